//! What is on record, and what a new count means beside it.

use std::fmt;
use std::str::FromStr;

/// How far a count may be from the record, in percent of it.
pub const TOLERANCE_PERCENT: u64 = 5;

/// Instructions per request, by scenario, as a text file: comments, then a line for the compiler, then one for each
/// scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The comments at the head, as they are.
    pub comment: String,
    /// Which compiler, for which machine.
    pub compiler: String,
    /// Scenario and count, in order.
    pub counts: Vec<(String, u64)>,
}

/// One scenario, as recorded and as measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    scenario: String,
    /// `None` for a scenario that is new.
    recorded: Option<u64>,
    /// `None` for a scenario that is gone.
    measured: Option<u64>,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// About what is on record.
    Within,
    /// More than is tolerated.
    Grown,
    /// Less by more than is tolerated: good, and worth a new record, or the next growth goes unseen.
    Shrunk,
    /// On record or measured, but not both.
    Unpaired,
}

impl Record {
    /// Each scenario, as recorded here and as `measured`.
    pub fn changes(&self, measured: &Self) -> Vec<Change> {
        let count = |of: &Self, name: &str| of.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
        let gone = self.counts.iter().filter(|(name, _)| count(measured, name).is_none());
        measured
            .counts
            .iter()
            .chain(gone)
            .map(|(name, _)| Change {
                scenario: name.clone(),
                recorded: count(self, name),
                measured: count(measured, name),
            })
            .collect()
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (comments, lines): (Vec<&str>, Vec<&str>) =
            text.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with('#'));
        let (compiler, counts) = lines.split_first().ok_or("the record is empty")?;
        let count = |line: &&str| {
            let (name, count) = line.split_once(' ').ok_or_else(|| format!("no count in {line:?}"))?;
            let count = count.trim().parse().map_err(|error| format!("{line:?}: {error}"))?;
            Ok((name.to_owned(), count))
        };
        let counts = counts.iter().map(count).collect::<Result<_, String>>()?;
        Ok(Self { comment: comments.join("\n"), compiler: (*compiler).to_owned(), counts })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\n{}", self.comment, self.compiler)?;
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{name} {count}"))
    }
}

impl Change {
    pub fn verdict(&self) -> Verdict {
        let (Some(recorded), Some(measured)) = (self.recorded, self.measured) else { return Verdict::Unpaired };
        if measured * 100 > recorded * (100 + TOLERANCE_PERCENT) {
            Verdict::Grown
        } else if measured * 100 < recorded * (100 - TOLERANCE_PERCENT) {
            Verdict::Shrunk
        } else {
            Verdict::Within
        }
    }

    /// Whether it fails the guard.
    pub fn fails(&self) -> bool {
        matches!(self.verdict(), Verdict::Grown | Verdict::Unpaired)
    }

    /// What to do about it; empty if nothing.
    pub fn advice(&self) -> String {
        let Self { scenario, .. } = self;
        match self.verdict() {
            Verdict::Within => String::new(),
            Verdict::Grown => format!(
                "FAILED: {scenario} takes more than {TOLERANCE_PERCENT} % more instructions than recorded. If what it \
                 bought is worth that, `make instructions UPDATE=1` records it, and the commit says what it bought."
            ),
            Verdict::Shrunk => format!(
                "{scenario} takes more than {TOLERANCE_PERCENT} % fewer instructions than recorded: record that with \
                 `make instructions UPDATE=1`, so that it stays so."
            ),
            Verdict::Unpaired => {
                format!(
                    "FAILED: {scenario} is recorded or measured, not both: `make instructions UPDATE=1` records it."
                )
            }
        }
    }
}

/// A row of the table.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        write!(f, "| {} | {} | {} | ", self.scenario, count(self.recorded), count(self.measured))?;
        if let (Some(recorded), Some(measured)) = (self.recorded, self.measured) {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let ratio = measured as f64 / recorded as f64;
            write!(f, "{:+.1} % ", (ratio - 1.0) * 100.0)?;
        }
        f.write_str("|")
    }
}

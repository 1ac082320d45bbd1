//! `Options`: what the command line asks for.

use serde::Serialize;

/// The rows of a quick run: one of each kind, and no row that takes long to fill.
const QUICK: [&str; 10] =
    ["H-1k", "H-256k", "V-hot-0", "V-hot-5", "V-10k", "M-pass-1k", "M-miss-1k", "TLS-1k", "H2-1k", "MEM"];

#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// Fewer rows, rounds and seconds.
    pub quick: bool,
    /// How many times each target is measured.
    pub rounds: usize,
    /// How long each time takes.
    pub seconds: u64,
    /// The rows to measure, by id; none for those that `quick` says.
    rows: Vec<String>,
}

impl Options {
    /// Reads the arguments, among which `ids` name rows; `Err` says what is wrong with them.
    pub fn parse(arguments: &[String], ids: &[&str]) -> Result<Self, String> {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let mut options =
            Self { quick, rounds: if quick { 2 } else { 5 }, seconds: if quick { 1 } else { 3 }, rows: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--bench" | "--quick" => {}
                "--rounds" => options.rounds = number(argument, rest.next())?,
                "--seconds" => options.seconds = number(argument, rest.next())? as u64,
                // All rows whose ids begin so: `grow` is the four rows of growth.
                name => options.add(name, ids)?,
            }
        }
        Ok(options)
    }

    fn add(&mut self, name: &str, ids: &[&str]) -> Result<(), String> {
        let exact = ids.iter().filter(|id| id.eq_ignore_ascii_case(name)).count() > 0;
        let named = ids.iter().filter(|id| {
            id.eq_ignore_ascii_case(name)
                || (!exact && id.to_ascii_lowercase().starts_with(&format!("{}-", name.to_ascii_lowercase())))
        });
        let before = self.rows.len();
        self.rows.extend(named.map(|id| (*id).to_owned()));
        if self.rows.len() == before {
            return Err(format!(
                "`{name}` is no row and no option.\n\
                 options: --quick, --rounds N, --seconds N\n\
                 rows: {}",
                ids.join(" ")
            ));
        }
        Ok(())
    }

    /// Whether the row is to be measured.
    pub fn wants(&self, id: &str) -> bool {
        match (self.rows.is_empty(), self.quick) {
            (false, _) => self.rows.iter().any(|row| row == id),
            (true, true) => QUICK.contains(&id),
            (true, false) => true,
        }
    }
}

fn number(option: &str, value: Option<&String>) -> Result<usize, String> {
    let number = value.and_then(|value| value.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{option}` needs a whole number above zero"))
}

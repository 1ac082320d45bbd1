//! `Row`: one sentence of an RFC, and a story that would go differently if it did not hold.
//!
//! A file is a topic. Lines may be indented as reads best, empty lines and lines that begin with `#` are left out, and
//! the rest begin with what they are:
//!
//! ```text
//! topic: Freshness
//!
//! row: A response is fresh while its lifetime exceeds its age.
//! must RFC 9111 §4.2                  must, should, or observe (what the RFC leaves open)
//! only: when-stale                    if the sentence holds in one mode only
//! with: heuristic = true              configuration of the route, as often as needed
//! each: 404 | 410                     one row for each of these, which `$1` stands for; `a => b` are `$1` and `$2`
//!
//! > GET /a?b=1                        the client asks (`/` where no target is given), with these fields
//!   Accept: text/plain
//!   | content                         and this content
//!   < miss 200 one                    the origin is asked, and answers with this status, content and these fields
//!     ? !If-None-Match                what the question must have: a field's value, `Name` present, `!Name` absent
//!     Cache-Control: max-age=10       (Date and Content-Length are added; `!Date` leaves it out)
//!   = 200 one                         the client gets: status, content, fields as in `?`, and `Name ~ part of it`
//!     Age: 0
//! wait 10s
//! ```
//!
//! What follows `<`:
//!
//! | word | the origin |
//! | --- | --- |
//! | `miss` | is asked for the whole, without conditions of the cache's own |
//! | `check` | is asked whether what is stored is still true |
//! | `any` | is asked, however |
//! | `cut` | is asked, and its answer breaks off after this content |
//! | `fails` | is asked, and cannot be reached |
//! | `hit` | is not asked under `when-stale`; under `every-hit` it is, and says that nothing changed |
//! | `behind` | is asked after the client was answered from the store |
//! | `unasked` | is not asked in any mode |
//!
//! Several `<` are several questions. Without `=` the client gets what the origin answered, or what is stored. A
//! status without content says nothing of the content, unless it is the one that is expected anyway.
//!
//! `{now}`, `{now-10s}`, `{start+1h}` are dates: now, and as the row began. `{now|850}` and `{now|asctime}` write them in
//! the obsolete forms.

use std::path::Path;
use std::time::Duration;

/// What a route does before it serves what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    EveryHit,
    WhenStale,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::WhenStale, Self::EveryHit];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EveryHit => "every-hit",
            Self::WhenStale => "when-stale",
        }
    }
}

/// How binding a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Must,
    Should,
    /// The RFC leaves it open; this is what truehit does.
    Observe,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Observe => "observe",
        }
    }
}

/// A file of rows.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) sentence: String,
    pub(crate) clause: String,
    pub(crate) kind: Kind,
    /// Which of the alternatives of `each` it is: what `$1` stands for.
    pub(crate) value: String,
    only: Option<Mode>,
    /// Keys of `[defaults]` and their values, as the environment has them.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
}

/// A request and what comes of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// How long after the step before.
    pub(crate) after: Duration,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) content: Option<String>,
    pub(crate) origin: Side,
    pub(crate) reply: Option<Reply>,
}

/// The origin's part in a step.
#[derive(Debug)]
pub(crate) enum Side {
    Hit,
    Unasked,
    Asked(Vec<Question>),
    Behind(Vec<Question>),
}

/// A question to the origin, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) how: How,
    pub(crate) with: Vec<Expectation>,
    /// `None` if the origin cannot be reached.
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Miss,
    Check,
    Any,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: String,
    pub(crate) fields: Vec<(String, String)>,
    /// Names of fields that are not added.
    pub(crate) without: Vec<String>,
    /// Whether it breaks off after its content.
    pub(crate) cut: bool,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content: Option<String>,
    pub(crate) fields: Vec<Expectation>,
}

/// What a head must have.
#[derive(Clone, Debug)]
pub(crate) enum Expectation {
    Is(String, String),
    Has(String, String),
    Present(String),
    Absent(String),
}

impl Row {
    /// The modes in which it is played.
    pub(crate) fn modes(&self) -> impl Iterator<Item = Mode> {
        Mode::ALL.into_iter().filter(|mode| self.only.is_none_or(|only| only == *mode))
    }
}

impl Topic {
    /// Reads a file, or says which line is wrong.
    pub(crate) fn parse(path: &Path, text: &str) -> Self {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut reader = Reader { topic: Self { file, name: String::new(), rows: Vec::new() }, wait: Duration::ZERO };
        for group in groups(text) {
            for values in alternatives(&group) {
                for (number, line) in &group {
                    let filled = substituted(line, &values);
                    let read = reader.line(*number, &filled);
                    read.unwrap_or_else(|| panic!("{}:{number}: cannot be read: {line}", reader.topic.file));
                }
                if let Some((row, value)) = reader.row().zip(values.first()) {
                    (*value).clone_into(&mut row.value);
                }
            }
        }
        for row in &reader.topic.rows {
            assert!(
                !row.clause.is_empty() && !row.steps.is_empty(),
                "{}: {} is not whole",
                reader.topic.file,
                row.sentence
            );
        }
        reader.topic
    }
}

/// A line of a file, with its number.
type Line<'a> = (usize, &'a str);

/// The lines that say something, row by row.
fn groups(text: &str) -> Vec<Vec<Line<'_>>> {
    let mut groups = vec![Vec::new()];
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("row: ") {
            groups.push(Vec::new());
        }
        if !line.is_empty() && !line.starts_with('#') {
            groups.last_mut().expect("there is one").push((index + 1, line));
        }
    }
    groups
}

/// What `$1`, `$2` and so on stand for, once for each row to be made of a group.
fn alternatives<'a>(group: &[Line<'a>]) -> Vec<Vec<&'a str>> {
    let each = group.iter().filter_map(|(_, line)| line.strip_prefix("each: "));
    let all: Vec<Vec<&str>> =
        each.flat_map(|line| line.split(" | ").map(|one| one.split(" => ").map(str::trim).collect())).collect();
    if all.is_empty() { vec![Vec::new()] } else { all }
}

fn substituted(line: &str, values: &[&str]) -> String {
    if line.starts_with("each: ") {
        return line.to_owned();
    }
    values
        .iter()
        .enumerate()
        .fold(line.to_owned(), |line, (index, value)| line.replace(&format!("${}", index + 1), value))
}

struct Reader {
    topic: Topic,
    wait: Duration,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Option<()> {
        if line.starts_with("each: ") {
            return Some(());
        }
        if let Some(name) = line.strip_prefix("topic: ") {
            name.clone_into(&mut self.topic.name);
        } else if let Some(sentence) = line.strip_prefix("row: ") {
            self.topic.rows.push(Row {
                line: number,
                sentence: sentence.to_owned(),
                clause: String::new(),
                kind: Kind::Must,
                value: String::new(),
                only: None,
                settings: Vec::new(),
                steps: Vec::new(),
            });
        } else if let Some(time) = line.strip_prefix("wait ") {
            self.wait += duration(time)?;
        } else if let Some(request) = line.strip_prefix("> ") {
            let (method, target) = request.split_once(' ').unwrap_or((request, "/"));
            let step = Step {
                line: number,
                after: std::mem::take(&mut self.wait),
                method: method.to_owned(),
                target: target.to_owned(),
                fields: Vec::new(),
                content: None,
                origin: Side::Hit,
                reply: None,
            };
            self.row()?.steps.push(step);
        } else if let Some(said) = line.strip_prefix("< ") {
            self.step()?.origin(said)?;
        } else if let Some(reply) = line.strip_prefix("= ") {
            let (status, content) = status_and_content(reply)?;
            self.step()?.reply = Some(Reply { status, content, fields: Vec::new() });
        } else if let Some(content) = line.strip_prefix("| ") {
            self.step()?.content = Some(content.to_owned());
        } else if self.row()?.steps.is_empty() {
            self.row()?.head(line)?;
        } else {
            self.step()?.field(line)?;
        }
        Some(())
    }

    fn row(&mut self) -> Option<&mut Row> {
        self.topic.rows.last_mut()
    }

    fn step(&mut self) -> Option<&mut Step> {
        self.row()?.steps.last_mut()
    }
}

impl Row {
    /// A line between the sentence and the first step.
    fn head(&mut self, line: &str) -> Option<()> {
        if let Some(mode) = line.strip_prefix("only: ") {
            self.only = Some(Mode::ALL.into_iter().find(|known| known.as_str() == mode)?);
        } else if let Some(setting) = line.strip_prefix("with: ") {
            let (key, value) = setting.split_once(" = ")?;
            self.settings.push((key.to_owned(), value.trim_matches('"').to_owned()));
        } else {
            let (kind, clause) = line.split_once(' ')?;
            let kinds = [Kind::Must, Kind::Should, Kind::Observe];
            self.kind = kinds.into_iter().find(|known| known.as_str() == kind)?;
            clause.clone_into(&mut self.clause);
        }
        Some(())
    }
}

impl Step {
    /// What is asked for: the target, and for methods that mean something by it, the content.
    pub(crate) fn asked(&self) -> String {
        asked(&self.method, &self.target, self.content.as_deref().unwrap_or_default())
    }

    fn origin(&mut self, said: &str) -> Option<()> {
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        let (how, cut) = match word {
            "hit" => return Some(()),
            "unasked" => {
                self.origin = Side::Unasked;
                return Some(());
            }
            "miss" => (How::Miss, false),
            "check" => (How::Check, false),
            "cut" => (How::Any, true),
            "any" | "fails" | "behind" => (How::Any, false),
            _ => return None,
        };
        let answer = match word {
            "fails" => None,
            _ => {
                let (status, content) = status_and_content(rest)?;
                let content = content.unwrap_or_default();
                Some(Answer { status, content, fields: Vec::new(), without: Vec::new(), cut })
            }
        };
        let question = Question { how, with: Vec::new(), answer };
        match &mut self.origin {
            Side::Asked(questions) | Side::Behind(questions) => questions.push(question),
            side if word == "behind" => *side = Side::Behind(vec![question]),
            side => *side = Side::Asked(vec![question]),
        }
        Some(())
    }

    /// A line that belongs to the request, the last question or the reply, whichever was begun last.
    fn field(&mut self, line: &str) -> Option<()> {
        if let Some(reply) = &mut self.reply {
            reply.fields.push(Expectation::parse(line)?);
            return Some(());
        }
        let question = match &mut self.origin {
            Side::Asked(questions) | Side::Behind(questions) => questions.last_mut(),
            Side::Hit | Side::Unasked => None,
        };
        let Some(question) = question else {
            self.fields.push(name_and_value(line)?);
            return Some(());
        };
        if let Some(expected) = line.strip_prefix("? ") {
            question.with.push(Expectation::parse(expected)?);
        } else if let Some(name) = line.strip_prefix('!') {
            question.answer.as_mut()?.without.push(name.to_ascii_lowercase());
        } else {
            question.answer.as_mut()?.fields.push(name_and_value(line)?);
        }
        Some(())
    }
}

impl Expectation {
    fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix('!') {
            return Some(Self::Absent(name.to_ascii_lowercase()));
        }
        if let Some((name, part)) = text.split_once(" ~ ") {
            return Some(Self::Has(name.to_ascii_lowercase(), part.to_owned()));
        }
        match name_and_value(text) {
            Some((name, value)) => Some(Self::Is(name, value)),
            None if !text.contains([' ', ':']) => Some(Self::Present(text.to_ascii_lowercase())),
            None => None,
        }
    }
}

/// See [`Step::asked`].
pub(crate) fn asked(method: &str, target: &str, content: &str) -> String {
    match method {
        "GET" | "HEAD" => target.to_owned(),
        _ => format!("{method} {target} {content}"),
    }
}

fn name_and_value(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    (!name.contains(' ')).then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

fn status_and_content(text: &str) -> Option<(u16, Option<String>)> {
    let (status, content) = text.split_once(' ').map_or((text, None), |(status, content)| (status, Some(content)));
    Some((status.parse().ok()?, content.map(str::to_owned)))
}

/// `10s`, `5m`, `1h`, `2d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()? * unit))
}

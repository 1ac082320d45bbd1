//! What is wrong with a configuration: every problem that was found, each on one line, with its place and its remedy.
//!
//! All of them are the operator's to fix, so there are no kinds to match on: a problem is a place, a key and a sentence.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written. The order is the one in which problems are reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the configuration file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line, from 1; `None` where the file as a whole is meant.
        line: Option<usize>,
    },
    /// In the environment variable of this name.
    Environment(String),
    /// By this flag of the command line.
    Flag(String),
    /// Nowhere: the default holds.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key, as `route[2].verify`; empty where the file as a whole is meant.
    pub key: String,
    /// What was found, what is allowed, and the nearest known name where there is one.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::Default {
            write!(f, "{}: ", self.place)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration that cannot be used: at least one [`Problem`], in the order of their places.
///
/// `Display` gives one line per problem. The process ends with 78 (`EX_CONFIG`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Sorts the problems by place.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self { problems }
    }
}

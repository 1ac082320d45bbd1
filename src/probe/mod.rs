//! `truehit probe URL`: asks an origin a bounded number of questions and says how truehit can check its responses.
//!
//! It knows no more than the proxy: answers are judged by the rules in [`crate::rules`]. Four steps, each a file:
//! [`ask()`] sends the questions, [`judge()`] turns answers into [`Findings`], [`advise()`] turns findings into [`Advice`],
//! and `print` renders both. Only the first does I/O.

mod advice;
mod ask;
mod judge;
mod print;

use http::HeaderMap;
use reqwest::Url;
use serde::Serialize;

pub use self::advice::{Advice, advise};
pub use self::ask::{Answer, Answers, BODY_MAX, QUESTIONS_MAX, ask};
pub use self::judge::judge;
pub use self::print::{json, table};

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The first question got no answer.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// What went wrong, innermost last.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The client could not be set up.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// What the origin's answers show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    /// The status of the GET.
    pub status: u16,
    /// The length of its content in bytes.
    pub bytes: usize,
    /// How long the GET took, in milliseconds.
    pub get_ms: f64,
    /// Whether two GETs in a row gave the same bytes.
    pub repeatable: bool,
    /// What its entity tag is worth.
    pub tag: Tag,
    /// The tag as it was sent.
    pub tag_value: Option<String>,
    /// Whether it carries `Last-Modified`.
    pub last_modified: bool,
    /// What a conditional GET with its own validators was answered.
    pub conditional: Conditional,
    /// How long that took, in milliseconds.
    pub conditional_ms: Option<f64>,
    /// Whether a tag that was made up is answered 304 as well.
    pub confirms_any_tag: bool,
    /// What HEAD was answered.
    pub head: Head,
    /// Whether `Repr-Digest` comes when it is wanted.
    pub repr_digest: ReprDigest,
    /// What `Accept-Encoding` changes.
    pub coding: Coding,
    /// The `timeout` of `Keep-Alive`, in seconds.
    pub keep_alive_s: Option<u64>,
    /// Why the response would not be stored, in the words of `truehit_not_stored_total`.
    pub not_stored: Vec<&'static str>,
    /// Whether it carries `Age`: some other cache answered.
    pub age: bool,
    /// The request fields that `Vary` names.
    pub vary: Vec<String>,
}

/// What an entity tag is worth as proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// There is none.
    Absent,
    /// It is strong.
    Strong,
    /// It is a digest of the bytes, by this recipe, whatever its prefix says.
    Recognised(&'static str),
    /// It is strong by its prefix and made of time and length: it vouches for copies older than a second.
    Clock,
    /// It is weak and no digest that is known.
    Weak,
    /// It differed between two GETs of the same bytes.
    Unstable,
    /// It stayed the same although the bytes differed.
    Untrue,
}

impl Tag {
    /// Whether an equal tag proves equal bytes.
    #[must_use]
    pub const fn proves(self) -> bool {
        match self {
            Self::Strong | Self::Recognised(_) | Self::Clock => true,
            Self::Absent | Self::Weak | Self::Unstable | Self::Untrue => false,
        }
    }
}

/// What a conditional GET was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditional {
    /// There was no validator to ask with.
    NotAsked,
    /// 304, and it repeats the tag that was asked about.
    NotModified,
    /// 304 without that tag.
    NotModifiedWithoutTag,
    /// The whole representation again, although the bytes are the same.
    Ignored,
    /// The representation had changed meanwhile, so nothing is known.
    Changed,
    /// Another status, or no answer.
    Failed,
}

/// What HEAD was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// 200, and its validators are those of GET.
    Agrees,
    /// 200, and these fields differ from those of GET.
    Differs(Vec<String>),
    /// Another status.
    Status(u16),
    /// No answer.
    Failed,
}

/// Whether `Repr-Digest` comes when it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReprDigest {
    /// It does not.
    Absent,
    /// On GET only, and it is right.
    OnGet,
    /// On HEAD too, and it is right.
    OnHead,
    /// It is not the SHA-256 of the bytes.
    Wrong,
}

/// What `Accept-Encoding` changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    /// Nothing: the answer is not encoded.
    None,
    /// It is encoded, and `Vary` says that it depends.
    Declared(String),
    /// It is encoded, and `Vary` does not say so.
    Undeclared(String),
}

/// The whole probe, from the URL to the advice.
///
/// # Errors
///
/// If the first question gets no answer. Later questions that fail are findings.
pub async fn probe(url: &Url, fields: &HeaderMap) -> Result<(Findings, Advice), ProbeError> {
    let answers = ask(url, fields).await?;
    let findings = judge(&answers);
    let advice = advise(url.path(), &findings);
    Ok((findings, advice))
}

//! The promise as a type: the two ways in which a stored response can leave.
//!
//! > Every cached response that truehit serves is either **checked** (the origin confirmed it, by an exchange that
//! > began after this request arrived) or **excused** (a named policy, visible in the response, the log and a metric,
//! > allowed it unchecked). Nothing else can be served from the store.
//!
//! [`Confirmation`] is what an exchange showed; it is made by [`judge`](super::judge) alone. A request turns it into
//! [`Checked`] by showing that the exchange is one it may use. [`Excused`] is made by [`decide`](super::decide) and
//! names its policy. Only these two give access to stored content, so a search for their constructors finds every way
//! out of the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::ask::Ask;
use super::collapse;
use super::moment::Moment;
use super::outcome::{Excuse, Proof};
use super::partial::PartialResponse;
use super::range::ContentRange;
use super::stored::StoredResponse;

/// What an exchange showed: this stored response was the origin's current one at some time after `began`.
#[derive(Clone, Debug)]
pub struct Confirmation<R = StoredResponse> {
    response: Arc<R>,
    began: Moment,
    proof: Proof,
    status: StatusCode,
}

impl<R> Confirmation<R> {
    /// For the judge alone.
    pub(super) const fn new(response: Arc<R>, began: Moment, proof: Proof, status: StatusCode) -> Self {
        Self { response, began, proof, status }
    }

    /// The response that was confirmed, to be kept.
    #[must_use]
    pub const fn response(&self) -> &Arc<R> {
        &self.response
    }

    /// The status of the answer that confirmed it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What showed it.
    #[must_use]
    pub const fn proof(&self) -> Proof {
        self.proof
    }

    /// Vouches for the response towards a request that arrived at `arrived`, or refuses because the exchange began
    /// before that: then the request needs an excuse like any other.
    #[must_use]
    pub fn vouch(&self, arrived: Moment) -> Option<Checked<R>> {
        let usable = collapse::usable(self.began, arrived, Duration::ZERO);
        usable.then(|| Checked { response: Arc::clone(&self.response), proof: self.proof })
    }
}

/// A stored response that may be served, one way or the other.
#[derive(Clone, Debug)]
pub enum Served<R = StoredResponse> {
    /// The origin confirmed it.
    Checked(Checked<R>),
    /// A policy allowed it.
    Excused(Excused<R>),
}

/// A stored response that the origin confirmed by an exchange that began after the request arrived.
#[derive(Clone, Debug)]
pub struct Checked<R = StoredResponse> {
    response: Arc<R>,
    proof: Proof,
}

impl<R> Checked<R> {
    /// What showed it.
    #[must_use]
    pub const fn proof(&self) -> Proof {
        self.proof
    }
}

/// A stored response that a named policy allows to be served unchecked.
#[derive(Clone, Debug)]
pub struct Excused<R = StoredResponse> {
    response: Arc<R>,
    excuse: Excuse,
}

impl<R> Excused<R> {
    /// For [`decide`](super::decide) alone.
    pub(super) const fn new(response: Arc<R>, excuse: Excuse) -> Self {
        Self { response, excuse }
    }

    /// The policy that allowed it.
    #[must_use]
    pub const fn excuse(&self) -> Excuse {
        self.excuse
    }
}

impl<R> Served<R> {
    /// The response: its head, and facts about its content.
    #[must_use]
    pub const fn response(&self) -> &Arc<R> {
        match self {
            Self::Checked(checked) => &checked.response,
            Self::Excused(excused) => &excused.response,
        }
    }
}

impl Served {
    /// The content and its trailers: the door out of the store.
    #[must_use]
    pub fn into_content(self) -> (Bytes, Option<Box<HeaderMap>>) {
        self.response().content()
    }
}

impl Served<PartialResponse> {
    /// The part that answers the request, and which one that is: the only way in which a stored part leaves as it is.
    #[must_use]
    pub fn part_for(&self, ask: &Ask) -> Option<(Bytes, ContentRange)> {
        let range = self.response().answers(ask)?;
        Some((self.response().content(range.span())?, range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{ago, stored};

    #[test]
    fn whom_a_confirmation_vouches_for() {
        let check = |sentence: &str, began: u64, arrived: u64, expected: Option<&str>| {
            let response = stored().build();
            let confirmation = Confirmation::new(response, ago(began).at, Proof::StrongTag, StatusCode::NOT_MODIFIED);
            let proof = confirmation.vouch(ago(arrived).at).map(|checked| checked.proof().as_str());
            assert_eq!(proof, expected, "{sentence}");
        };
        check("who arrived before it began has a check", 1, 2, Some("strong-tag"));
        check("so has who arrived at that moment", 1, 1, Some("strong-tag"));
        check("who arrived later has none, whatever the route excuses", 2, 1, None);
    }

    #[test]
    fn content_leaves_by_a_proof_or_an_excuse() {
        let confirmation = Confirmation::new(stored().build(), ago(1).at, Proof::Bytes, StatusCode::OK);
        let (content, trailers) = Served::Checked(confirmation.vouch(ago(2).at).unwrap()).into_content();
        assert_eq!((&content[..], trailers), (&b"abc"[..], None));
        let excused = Excused::new(stored().build(), Excuse::Lease);
        assert_eq!(Served::Excused(excused).into_content().0, "abc");
    }
}

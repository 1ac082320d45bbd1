//! `RequestFields`: the fields of a request as they came, and as they leave for the origin.
//!
//! Most requests are answered from what is stored and never leave, so the second form is made when something first asks
//! for it. What the origin does not get to see must not be believed here either: so what selects a response is read from
//! the fields as they leave, or from those as they came where that makes no difference.

use std::sync::OnceLock;

use http::HeaderMap;
use http::header::{self, HeaderName};

use super::fields::{self, is_forwarded_as_sent};
use super::forwarding::{self, Hop};
use super::list;

/// The fields of a request.
#[derive(Clone, Debug)]
pub struct RequestFields {
    received: HeaderMap,
    /// Whether `Connection` says nothing about other fields.
    nominates_none: bool,
    /// Whether `Range` and `If-Range` leave with them.
    ranged: bool,
    hop: Option<Hop>,
    leaving: OnceLock<Box<HeaderMap>>,
}

impl RequestFields {
    /// The fields of a request, and whether it asks for a range. Until [`leave_by`](Self::leave_by) says how they leave,
    /// they do without what a hop adds.
    #[must_use]
    pub fn new(received: HeaderMap, ranged: bool) -> Self {
        let nominates_none = nominates_none(&received);
        Self { received, nominates_none, ranged, hop: None, leaving: OnceLock::new() }
    }

    /// Says what this hop adds and takes. To be called before anything is asked of the fields.
    pub fn leave_by(&mut self, hop: Hop) {
        self.hop = Some(hop);
        self.leaving = OnceLock::new();
    }

    /// As they came.
    #[must_use]
    pub const fn received(&self) -> &HeaderMap {
        &self.received
    }

    /// As they go to the origin: hop-by-hop fields and the client's own conditions are gone, and what an intermediary
    /// adds is there. `Range` and `If-Range` are there if the request asks for a range that is understood.
    #[must_use]
    pub fn leaving(&self) -> &HeaderMap {
        self.leaving.get_or_init(|| Box::new(self.made()))
    }

    /// The same as a map of one's own.
    #[must_use]
    pub fn to_leave(&self) -> HeaderMap {
        self.leaving.get().map_or_else(|| self.made(), |leaving| HeaderMap::clone(leaving))
    }

    fn made(&self) -> HeaderMap {
        match &self.hop {
            Some(hop) => hop.leaving(&self.received, |name| is_answered(name, self.ranged)),
            None => stripped(&self.received, self.ranged),
        }
    }

    /// A map in which the fields of these names are as they leave. Others may not be.
    #[must_use]
    pub fn named<'a>(&self, mut names: impl Iterator<Item = &'a HeaderName>) -> &HeaderMap {
        if self.nominates_none && names.all(leaves_as_sent) { &self.received } else { self.leaving() }
    }
}

/// A request's fields without hop-by-hop ones and without its own conditions, which truehit answers itself.
pub(super) fn stripped(received: &HeaderMap, ranged: bool) -> HeaderMap {
    fields::end_to_end(received, 0, |name| is_answered(name, ranged))
}

/// Whether truehit itself answers to a field, so that it does not leave.
fn is_answered(name: &HeaderName, ranged: bool) -> bool {
    const ALWAYS: [HeaderName; 4] =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::EXPECT, header::CONTENT_LENGTH];
    ALWAYS.contains(name) || !ranged && (*name == header::RANGE || *name == header::IF_RANGE)
}

/// Whether a field of this name, if `Connection` does not nominate it, leaves as it came, whoever sent it.
pub(super) fn leaves_as_sent(name: &HeaderName) -> bool {
    is_forwarded_as_sent(name) && !forwarding::may_be_removed(name)
}

/// Whether `Connection` nominates no field (RFC 9110 §7.6.1): it says at most how long the connection lasts.
pub(super) fn nominates_none(received: &HeaderMap) -> bool {
    let lines = received.get_all(header::CONNECTION).iter();
    lines.flat_map(|line| list::members(line.as_bytes())).all(fields::is_about_persistence)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use http::{HeaderValue, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::rules::forwarding::{Marks, Via};
    use crate::rules::testing::{FIELD_NAMES, any_head, head};

    fn hop(trusted: bool) -> Hop {
        Hop {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: false,
            trusted,
            authority: HeaderValue::from_static("api.test"),
            received: Version::HTTP_11,
            marks: Arc::new(Marks { via: Via::new("truehit-1"), host: None }),
        }
    }

    #[test]
    fn what_a_connection_nominates_is_not_believed() {
        let name = HeaderName::from_static("x-tenant");
        let seen = |connection: &str| {
            let fields = RequestFields::new(head(&[("connection", connection), ("x-tenant", "1")]), false);
            fields.named([&name].into_iter()).contains_key(&name)
        };
        assert!(seen("keep-alive, Close"));
        assert!(!seen("close, X-Tenant"), "RFC 9110 §7.6.1");
    }

    proptest! {
        #[test]
        fn a_field_looked_up_by_name_is_as_it_leaves(received in any_head(FIELD_NAMES), trusted in any::<bool>()) {
            for name in received.keys().chain([&header::HOST, &header::VIA, &header::FORWARDED]) {
                let mut fields = RequestFields::new(received.clone(), false);
                fields.leave_by(hop(trusted));
                let named: Vec<_> = fields.named([name].into_iter()).get_all(name).iter().cloned().collect();
                let leaving: Vec<_> = fields.leaving().get_all(name).iter().collect();
                prop_assert_eq!(named.iter().collect::<Vec<_>>(), leaving, "{}", name);
            }
        }
    }
}

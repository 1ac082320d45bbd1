//! What a 304 says about a stored part.

use std::sync::Arc;

use http::{StatusCode, header, response};

use super::Exchange;
use crate::rules::outcome::Proof;
use crate::rules::partial::PartialResponse;
use crate::rules::policy::{Policy, Verify};
use crate::rules::promise::Confirmation;
use crate::rules::validator::EntityTag;

/// Judges the answer to a conditional request about `part`: what it confirms, if it does.
///
/// Under `every-hit` and a lease only an equal strong tag that the 304 repeats counts: a part has no digest by which
/// another tag could have been recognised, and nothing to be held against a full answer now and then.
#[must_use]
pub fn conditional(
    part: &Arc<PartialResponse>,
    answer: &response::Parts,
    policy: &Policy,
    exchange: Exchange,
) -> Option<Confirmation<PartialResponse>> {
    let head = part.head();
    let own = head.tag.as_ref();
    let repeated = EntityTag::of(&answer.headers);
    let proof = match policy.verify {
        // RFC 9111 §4.3.3, §4.3.4: without a tag, the 304 means what was asked about.
        Verify::WhenStale => {
            let named = repeated.is_none_or(|tag| own.is_some_and(|own| own.weak_eq(&tag)));
            named.then_some(Proof::NotModified)
        }
        Verify::EveryHit | Verify::Lease(_) | Verify::Off => {
            let named = repeated.is_some_and(|tag| own.is_some_and(|own| own.strong_eq(&tag)));
            // RFC 9111 §5.1: with `Age`, the answer was not made by the origin for this request.
            (named && head.tag_vouches && !answer.headers.contains_key(header::AGE)).then_some(Proof::StrongTag)
        }
    };
    let proof = proof.filter(|_| answer.status == StatusCode::NOT_MODIFIED)?;
    let fresh = Arc::new(part.freshened(&answer.headers, policy, exchange));
    Some(Confirmation::new(fresh, exchange.standing.confirmed, proof, answer.status))
}

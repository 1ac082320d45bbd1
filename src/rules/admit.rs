//! Whether a response may be stored (RFC 9111 §3), decided on its head.

use http::{StatusCode, header, response};

use super::ask::Ask;
use super::moment::Moment;
use super::outcome::SkipReason;
use super::policy::{Policy, Verify};
use super::stored::StoredHead;
use super::vary::Vary;
use super::{freshness, integrity, stream, targeted};
use crate::faults::{Fault, seeded};

/// What is known of a response body before it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// Its exact length in bytes, if declared.
    pub length: Option<u64>,
    /// Whether only the end of the connection ends it.
    pub close_delimited: bool,
}

/// Why a response may not be stored, as far as its own word against it tells: what says `no-store` need not be read any
/// further. Agrees with [`admit`].
#[must_use]
pub fn refused_at_sight(answer: &response::Parts, policy: &Policy) -> Option<SkipReason> {
    if answer.status != StatusCode::OK || policy.verify == Verify::Off {
        return None;
    }
    let directives = targeted::effective(&answer.headers, &policy.targeted);
    if directives.must_understand {
        return None;
    }
    let private = || directives.private.is_everything().then_some(SkipReason::Private);
    directives.no_store.then_some(SkipReason::NoStore).or_else(private)
}

/// Decides whether the response to `ask` may be stored. `head` is `answer`'s head, read for storing.
///
/// # Errors
/// Why it may not.
pub fn admit(
    ask: &Ask,
    answer: &response::Parts,
    head: &StoredHead,
    framing: Framing,
    policy: &Policy,
    now: Moment,
) -> Result<(), SkipReason> {
    let directives = &head.directives;
    let refused = [
        (answer.status == StatusCode::PARTIAL_CONTENT, SkipReason::Partial),
        (!storable_status(answer.status, head, policy), SkipReason::Status),
        // RFC 9111 §5.2.2.5, §5.2.2.3: "the must-understand directive SHOULD be accompanied by no-store", which a cache
        // that understands the status ignores.
        (directives.no_store && !directives.must_understand, SkipReason::NoStore),
        // RFC 9111 §5.2.2.7: this is a shared cache.
        (directives.private.is_everything(), SkipReason::Private),
        // RFC 9111 §3.5: the directives that allow it.
        (
            ask.authorized && !(directives.public || directives.must_revalidate || directives.s_maxage.is_some()),
            SkipReason::Authorization,
        ),
        (
            answer.headers.contains_key(header::SET_COOKIE) && !policy.set_cookie && !seeded(Fault::StoreSetCookie),
            SkipReason::SetCookie,
        ),
        (head.vary == Vary::Star, SkipReason::VaryStar),
        (stream::is_event_stream(&answer.headers), SkipReason::EventStream),
        // RFC 9112 §8: an incomplete response cannot be told from a complete one, but by a digest.
        (
            framing.close_delimited
                && !policy.close_delimited
                && integrity::claims(&head.fields.to_map(0), None).next().is_none(),
            SkipReason::CloseDelimited,
        ),
        (framing.length.is_some_and(|length| length > policy.object_max), SkipReason::TooLarge),
        (never_usable(ask, head, policy, now), SkipReason::NeverUsable),
    ];
    match refused.into_iter().find(|(applies, _)| *applies) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// Under `every-hit` and a lease 200 alone is stored: it is what checks speak of. Under `when-stale`, by RFC 9111 §3, any
/// final status with explicit freshness or `public`, and those that RFC 9110 §15.1 calls heuristically cacheable.
fn storable_status(status: StatusCode, head: &StoredHead, policy: &Policy) -> bool {
    // RFC 9111 §3: "if the response status code is 206 or 304, or the must-understand cache directive [..] is present:
    // the cache understands the response status code".
    if head.directives.must_understand && status.canonical_reason().is_none() || status == StatusCode::NOT_MODIFIED {
        return false;
    }
    match policy.verify {
        Verify::EveryHit | Verify::Lease(_) => status == StatusCode::OK,
        Verify::WhenStale => {
            head.lifetime().is_explicit() || head.directives.public || freshness::heuristically_cacheable(status)
        }
        Verify::Off => false,
    }
}

/// Under `when-stale`, a response that is not fresh now, that nothing allows to be served stale, and that cannot be
/// validated, could never be used. Only a 200 is validated: no other status is what a 304 speaks of.
///
/// To a POST no condition can be put, and RFC 9110 §9.3.3 asks for more than a guess: its responses "are only cacheable
/// when they include explicit freshness information".
fn never_usable(ask: &Ask, head: &StoredHead, policy: &Policy, now: Moment) -> bool {
    let conditional = ask.is_conditional();
    let validator = conditional && head.status == StatusCode::OK && head.has_validator();
    let stated = conditional || head.lifetime().is_explicit();
    let stale = head.directives.stale_while_revalidate.max(head.directives.stale_if_error).unwrap_or_default();
    let usable_for = head.lifetime().duration().saturating_add(stale);
    policy.verify == Verify::WhenStale && !validator && !(stated && usable_for > head.age(now))
}

impl SkipReason {
    /// Whether the next response to the same request will probably not be storable either, so that requests for it
    /// should not wait for each other.
    #[must_use]
    pub const fn will_repeat(self) -> bool {
        match self {
            Self::Status
            | Self::NoStore
            | Self::Private
            | Self::VaryStar
            | Self::SetCookie
            | Self::Authorization
            | Self::TooLarge
            | Self::TooSlow
            | Self::CloseDelimited
            | Self::EventStream
            | Self::NeverUsable
            | Self::Partial => true,
            Self::StaleIfError | Self::FillMemory | Self::Incomplete | Self::Contradicted | Self::Abandoned => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::policy::Credentials;
    use crate::rules::testing::{OriginAnswer, Req, ago, answer, get, policy, policy_with, secs, verify};

    const WHOLE: Framing = Framing { length: Some(3), close_delimited: false };

    fn admitted(request: &Req, answer: &OriginAnswer, framing: Framing, policy: &Policy) -> Result<(), SkipReason> {
        let admitted = admit(&request.ask(policy), answer.parts(), &answer.head(policy), framing, policy, ago(0).at);
        if let Some(reason) = refused_at_sight(answer.parts(), policy) {
            assert_eq!(admitted, Err(reason), "what is refused at sight would be refused for the same reason");
        }
        admitted
    }

    #[test]
    fn what_every_hit_and_a_lease_store() {
        for policy in [policy(), verify(Verify::Lease(secs(1)))] {
            let check = |sentence: &str, answer: OriginAnswer, expected: Result<(), SkipReason>| {
                assert_eq!(admitted(&get("/a"), &answer, WHOLE, &policy), expected, "{sentence}");
            };
            let control = |value: &str| answer(200).with("cache-control", value);
            check("a 200 without validator or lifetime", answer(200), Ok(()));
            check("each hit is checked, so no-cache is no obstacle", control("no-cache"), Ok(()));
            check("nor is must-revalidate", control("max-age=0, must-revalidate"), Ok(()));
            for status in [201, 203, 204, 301, 302, 304, 401, 403, 404, 410, 416, 500, 503] {
                check("200 alone", answer(status).with("cache-control", "max-age=60"), Err(SkipReason::Status));
            }
            check("no part (RFC 9111 §3.3)", answer(206), Err(SkipReason::Partial));
            check("no no-store (RFC 9111 §5.2.2.5)", control("no-store"), Err(SkipReason::NoStore));
            check("unless it is understood (§5.2.2.3)", control("must-understand, no-store"), Ok(()));
            check("no private (RFC 9111 §5.2.2.7)", control("private, max-age=9"), Err(SkipReason::Private));
            check("but the rest of what is so in part", control("private=\"x\""), Ok(()));
            check("no Vary: * (RFC 9111 §4.1)", answer(200).with("vary", "a, *"), Err(SkipReason::VaryStar));
            check("no Set-Cookie", answer(200).with("set-cookie", "a=1"), Err(SkipReason::SetCookie));
            let events = answer(200).with("content-type", "Text/Event-Stream; charset=utf-8");
            check("no stream of events", events, Err(SkipReason::EventStream));
        }
    }

    #[test]
    fn what_bounds_and_framing_allow() {
        let check = |sentence: &str, framing: Framing, expected: Result<(), SkipReason>| {
            assert_eq!(admitted(&get("/a"), &answer(200), framing, &policy()), expected, "{sentence}");
        };
        let framing = |length, close_delimited| Framing { length, close_delimited };
        check("as long as may be", framing(Some(1000), false), Ok(()));
        check("longer", framing(Some(1001), false), Err(SkipReason::TooLarge));
        check("of unknown length", framing(None, false), Ok(()));
        check("ended by closing (RFC 9112 §8)", framing(None, true), Err(SkipReason::CloseDelimited));
        let claimed = answer(200).with("repr-digest", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:");
        let ended = admitted(&get("/a"), &claimed, framing(None, true), &policy());
        assert_eq!(ended, Ok(()), "a digest tells where it ends (RFC 9530 §3)");
        let store = policy_with(|policy| policy.close_delimited = true);
        assert_eq!(admitted(&get("/a"), &answer(200), framing(None, true), &store), Ok(()), "where the route says so");
    }

    #[test]
    fn what_a_route_allows() {
        let rfc = policy_with(|policy| policy.authorization = Credentials::Rfc);
        let check = |sentence: &str, answer: OriginAnswer, policy: &Policy, expected: Result<(), SkipReason>| {
            let authorized = get("/a").with("authorization", "Basic YQ==");
            assert_eq!(admitted(&authorized, &answer, WHOLE, policy), expected, "{sentence}");
        };
        let denied = Err(SkipReason::Authorization);
        check("credentials are in the key", answer(200), &policy(), Ok(()));
        check("under rfc they forbid (RFC 9111 §3.5)", answer(200), &rfc, denied);
        for allowing in ["public", "must-revalidate", "s-maxage=1"] {
            check("unless the response allows", answer(200).with("cache-control", allowing), &rfc, Ok(()));
        }
        check("max-age allows nothing", answer(200).with("cache-control", "max-age=60"), &rfc, denied);
        let cookies = policy_with(|policy| policy.set_cookie = true);
        check("cookies, where the route says so", answer(200).with("set-cookie", "a=1"), &cookies, Ok(()));
    }

    #[test]
    fn what_when_stale_stores() {
        let check = |sentence: &str, answer: OriginAnswer, expected: Result<(), SkipReason>| {
            assert_eq!(admitted(&get("/a"), &answer, WHOLE, &verify(Verify::WhenStale)), expected, "{sentence}");
        };
        let fresh = |status| answer(status).with("cache-control", "max-age=60");
        check("a fresh 200", fresh(200), Ok(()));
        check("one with a tag", answer(200).etag("W/\"1\""), Ok(()));
        check("one with a date", answer(200).with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"), Ok(()));
        check("not one that could never be used", answer(200), Err(SkipReason::NeverUsable));
        check("nor one that is stale already", fresh(200).with("age", "60"), Err(SkipReason::NeverUsable));
        let may_be_stale = answer(200).with("age", "60").with("cache-control", "max-age=60, stale-if-error=1");
        check("unless it may be served stale", may_be_stale, Ok(()));
        let guessed = policy_with(|policy| {
            (policy.verify, policy.heuristic_max) = (Verify::WhenStale, Some(secs(86_400)));
        });
        let gone = answer(410).with("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT");
        assert_eq!(admitted(&get("/a"), &gone, WHOLE, &guessed), Ok(()), "or what is guessed to be fresh (§4.2.2)");
        for status in [201, 203, 204, 299, 300, 301, 302, 307, 308, 400, 404, 405, 410, 414, 499, 500, 501, 503, 599] {
            check("any final status with a lifetime (RFC 9111 §3)", fresh(status), Ok(()));
        }
        check("no 304, which is no answer of its own", fresh(304), Err(SkipReason::Status));
        check(
            "an unknown status that must be understood",
            fresh(599).with("cache-control", "must-understand"),
            Err(SkipReason::Status),
        );
        for status in [203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            check(
                "no validation for another status than 200",
                answer(status).etag("\"1\""),
                Err(SkipReason::NeverUsable),
            );
        }
        for status in [201, 302, 307, 400, 403, 500, 503] {
            check(
                "not heuristically cacheable (RFC 9110 §15.1)",
                answer(status).etag("\"1\""),
                Err(SkipReason::Status),
            );
        }
    }

    #[test]
    fn what_will_repeat_is_remembered() {
        let passing: Vec<_> = SkipReason::ALL.iter().filter(|reason| !reason.will_repeat()).collect();
        use SkipReason::*;
        assert_eq!(
            passing,
            [&FillMemory, &Incomplete, &Contradicted, &StaleIfError, &Abandoned],
            "the rest is the response's nature"
        );
    }
}

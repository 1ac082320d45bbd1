//! Whether a response may be stored (RFC 9111 §3), decided on its head.

use http::{HeaderMap, StatusCode, header, response};

use super::ask::Ask;
use super::moment::Moment;
use super::outcome::SkipReason;
use super::policy::{Policy, Verify};
use super::stored::StoredHead;
use super::vary::Vary;

/// What is known of a response body before it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// Its exact length in bytes, if declared.
    pub length: Option<u64>,
    /// Whether only the end of the connection ends it.
    pub close_delimited: bool,
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
        // RFC 9111 §5.2.2.5.
        (directives.no_store, SkipReason::NoStore),
        // RFC 9111 §5.2.2.7: this is a shared cache.
        (directives.private, SkipReason::Private),
        // RFC 9111 §3.5: the directives that allow it.
        (
            ask.authorized && !(directives.public || directives.must_revalidate || directives.s_maxage.is_some()),
            SkipReason::Authorization,
        ),
        (answer.headers.contains_key(header::SET_COOKIE) && !policy.set_cookie, SkipReason::SetCookie),
        (head.vary == Vary::Star, SkipReason::VaryStar),
        (is_event_stream(&answer.headers), SkipReason::EventStream),
        // RFC 9112 §8: an incomplete response cannot be told from a complete one.
        (framing.close_delimited, SkipReason::CloseDelimited),
        (framing.length.is_some_and(|length| length > policy.object_max), SkipReason::TooLarge),
        (never_usable(head, policy, now), SkipReason::NeverUsable),
    ];
    match refused.into_iter().find(|(applies, _)| *applies) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// Under `every-hit` and a lease 200 alone is stored: it is what checks speak of. Under `when-stale`, the statuses that
/// RFC 9110 §15.1 calls heuristically cacheable, the others of them only with explicit freshness.
fn storable_status(status: StatusCode, head: &StoredHead, policy: &Policy) -> bool {
    match (status.as_u16(), policy.verify) {
        (200, _) => true,
        (203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501, Verify::WhenStale) => !head.lifetime().is_zero(),
        _ => false,
    }
}

/// A stream of events has no end to wait for.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Under `when-stale` a response that is not fresh now and has no validator could never be used.
fn never_usable(head: &StoredHead, policy: &Policy, now: Moment) -> bool {
    policy.verify == Verify::WhenStale
        && head.tag.is_none()
        && head.last_modified.is_none()
        && head.lifetime() <= head.age(now)
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
            | Self::CloseDelimited
            | Self::EventStream
            | Self::NeverUsable
            | Self::Partial => true,
            Self::FillMemory | Self::Incomplete | Self::Contradicted | Self::Abandoned => false,
        }
    }
}

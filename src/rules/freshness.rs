//! Age and freshness lifetime (RFC 9111 §4.2): how old a response was when it arrived, and how long it may be reused.
//!
//! Whether it is fresh *now* is the caller's sum: it knows the moment of reception and of the question.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, DATE, EXPIRES};

use super::directives::{LONGEST, ResponseDirectives, seconds};
use super::list::members;
use super::validator::date_of;

/// The age of a response as it arrived: `corrected_initial_age` of RFC 9111 §4.2.3.
///
/// `asked` is when its request was sent, `received` when its head arrived. A wall clock that jumped between them, or an
/// origin whose clock runs ahead, makes no age negative.
#[must_use]
pub fn initial_age(head: &HeaderMap, asked: SystemTime, received: SystemTime) -> Duration {
    // "apparent_age = max(0, response_time - date_value);"
    let apparent = date_of(head, DATE).map_or(Duration::ZERO, |date| later_by(received, date));
    // "response_delay = response_time - request_time;"
    let delay = later_by(received, asked);
    // "corrected_age_value = age_value + response_delay;"
    let corrected = age_value(head).saturating_add(delay);
    // "corrected_initial_age = max(apparent_age, corrected_age_value);"
    apparent.max(corrected)
}

/// How long a response may be reused by a shared cache without asking (RFC 9111 §4.2.1); zero where it does not say.
///
/// Heuristic freshness (§4.2.2) is never applied: it is an "optional" that a cache of checked answers has no use for.
#[must_use]
pub fn lifetime(directives: &ResponseDirectives, head: &HeaderMap) -> Duration {
    // "If the cache is shared and the s-maxage response directive is present, use its value, or"
    if let Some(s_maxage) = directives.s_maxage {
        return s_maxage;
    }
    // "If the max-age response directive is present, use its value, or"
    if let Some(max_age) = directives.max_age {
        return max_age;
    }
    // "If the Expires response header field is present, use its value minus the value of the Date response header
    // field". RFC 9111 §5.3: an invalid date, "especially including the value "0"", is in the past. A response without
    // Date gets no lifetime from Expires: whoever receives it adds one first (RFC 9110 §6.6.1).
    match (date_of(head, EXPIRES), date_of(head, DATE)) {
        (Some(expires), Some(date)) => later_by(expires, date).min(LONGEST),
        _ => Duration::ZERO,
    }
}

fn later_by(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// RFC 9111 §5.1: "a cache encountering a message with a list-based Age field value SHOULD use the first member of the
/// field value, discarding subsequent ones", and one that is not a delta is ignored.
fn age_value(head: &HeaderMap) -> Duration {
    head.get(AGE).and_then(|line| members(line.as_bytes()).next()).and_then(seconds).unwrap_or_default()
}

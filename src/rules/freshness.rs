//! Age and freshness lifetime (RFC 9111 §4.2): how old a response was when it arrived, and how long it may be reused.
//!
//! Whether it is fresh *now* is the caller's sum: it knows the moment of reception and of the question.

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

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

/// A freshness lifetime, and who says so (RFC 9111 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The origin: by `s-maxage`, `max-age` or `Expires`.
    Explicit(Duration),
    /// This cache, from `Last-Modified` (§4.2.2).
    Heuristic(Duration),
    /// Nobody.
    Unstated,
}

impl Lifetime {
    /// How long; zero where nobody says.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Explicit(lifetime) | Self::Heuristic(lifetime) => lifetime,
            Self::Unstated => Duration::ZERO,
        }
    }

    /// Whether the origin says it.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::Explicit(_))
    }
}

/// How long a response with this status and head may be reused by a shared cache without asking (RFC 9111 §4.2.1).
///
/// `heuristic_max` is the longest lifetime that is guessed where the origin states none; `None` guesses nothing.
#[must_use]
pub fn lifetime(
    status: StatusCode,
    directives: &ResponseDirectives,
    head: &HeaderMap,
    heuristic_max: Option<Duration>,
) -> Lifetime {
    // "If the cache is shared and the s-maxage response directive is present, use its value, or"
    // "If the max-age response directive is present, use its value, or"
    if let Some(stated) = directives.s_maxage.or(directives.max_age) {
        return Lifetime::Explicit(stated);
    }
    let date = date_of(head, DATE);
    // "If the Expires response header field is present, use its value minus the value of the Date response header
    // field". RFC 9111 §5.3: "invalid date formats, especially the value "0"", are times in the past. A response without
    // Date gets no lifetime from Expires: whoever receives it adds one first (RFC 9110 §6.6.1).
    if head.contains_key(EXPIRES) && !directives.targeted {
        let expires = date_of(head, EXPIRES).zip(date).map(|(expires, date)| later_by(expires, date));
        return Lifetime::Explicit(expires.unwrap_or_default().min(LONGEST));
    }
    // "Otherwise, no explicit expiration time is present in the response. A heuristic freshness lifetime might be
    // applicable". §4.2.2: "If the response has a Last-Modified header field, caches are encouraged to use a heuristic
    // expiration value that is no more than some fraction of the interval since that time. A typical setting of this
    // fraction might be 10%."
    let heuristic = heuristic_max.zip(date_of(head, LAST_MODIFIED)).zip(date);
    match heuristic.filter(|_| may_be_guessed(status, directives)) {
        Some(((max, modified), date)) => Lifetime::Heuristic((later_by(date, modified) / 10).min(max)),
        None => Lifetime::Unstated,
    }
}

/// RFC 9111 §4.2.2: heuristics are for statuses that are defined as heuristically cacheable, and for responses that are
/// "explicitly marked as cacheable (e.g., by using a public response directive)".
fn may_be_guessed(status: StatusCode, directives: &ResponseDirectives) -> bool {
    directives.public || heuristically_cacheable(status)
}

/// The statuses that "are heuristically cacheable" by RFC 9110 §15.1.
#[must_use]
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn later_by(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// RFC 9111 §5.1: "a cache encountering a message with a list-based Age field value SHOULD use the first member of the
/// field value, discarding subsequent ones", and one that is not a delta is ignored.
fn age_value(head: &HeaderMap) -> Duration {
    head.get(AGE).and_then(|line| members(line.as_bytes()).next()).and_then(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Lines, any_head, head};

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const DATED: u64 = 784_111_777;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn initial_ages() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let rows: &[(&str, Lines, u64, u64, u64)] = &[
            ("fresh from the origin", &[DATE], DATED, DATED, 0),
            ("the date lies behind (RFC 9111 §4.2.3, apparent_age)", &[DATE], DATED + 9, DATED + 10, 10),
            ("the origin's clock runs ahead: never negative", &[DATE], DATED - 100, DATED - 100, 0),
            ("Age and the delay add up (corrected_age_value)", &[DATE, ("age", "30")], DATED, DATED + 2, 32),
            ("the larger of both", &[DATE, ("age", "1")], DATED + 50, DATED + 50, 50),
            ("no Date: the delay alone", &[], DATED, DATED + 3, 3),
            ("a list: the first (§5.1)", &[("age", "5, 9")], 0, 0, 5),
            ("not a delta: ignored (§5.1)", &[("age", "-5")], 0, 0, 0),
            ("a wall clock that went back", &[("age", "5")], 10, 0, 5),
        ];
        for (sentence, lines, asked, received, expected) in rows {
            let age = initial_age(&head(lines), at(*asked), at(*received));
            assert_eq!(age, Duration::from_secs(*expected), "{sentence}");
        }
    }

    #[test]
    fn lifetimes() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        const EXPIRES: (&str, &str) = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
        let rows: &[(&str, Lines, u64)] = &[
            ("nothing said: none", &[DATE], 0),
            ("s-maxage first (§4.2.1)", &[DATE, EXPIRES, ("cache-control", "max-age=5, s-maxage=7")], 7),
            ("then max-age", &[DATE, EXPIRES, ("cache-control", "max-age=5")], 5),
            ("then Expires", &[DATE, EXPIRES], 60),
            ("max-age malformed is not replaced by Expires", &[DATE, EXPIRES, ("cache-control", "max-age=x")], 0),
            ("Expires: 0 is in the past (§5.3)", &[DATE, ("expires", "0")], 0),
            ("Expires before Date", &[("date", EXPIRES.1), ("expires", DATE.1)], 0),
            ("two Expires are no date", &[DATE, EXPIRES, EXPIRES], 0),
            ("Expires without Date", &[EXPIRES], 0),
            ("RFC 850 dates (RFC 9110 §5.6.7)", &[DATE, ("expires", "Sunday, 06-Nov-94 08:50:37 GMT")], 60),
            ("asctime dates", &[DATE, ("expires", "Sun Nov  6 08:50:37 1994")], 60),
        ];
        for (sentence, lines, expected) in rows {
            let head = head(lines);
            let lifetime = lifetime(StatusCode::OK, &ResponseDirectives::parse(&head), &head, None);
            assert_eq!(lifetime.duration(), Duration::from_secs(*expected), "{sentence}");
        }
    }

    #[test]
    fn lifetimes_that_are_guessed() {
        use Lifetime::{Explicit, Heuristic, Unstated};
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        const HOUR_BEFORE: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT");
        const YEAR_BEFORE: (&str, &str) = ("last-modified", "Sat, 06 Nov 1993 08:49:37 GMT");
        const HOUR_AFTER: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 09:49:37 GMT");
        const PUBLIC: (&str, &str) = ("cache-control", "public");
        let secs = Duration::from_secs;
        let rows: &[(&str, u16, Lines, Lifetime)] = &[
            ("a tenth of the time since then (RFC 9111 §4.2.2)", 200, &[DATE, HOUR_BEFORE], Heuristic(secs(360))),
            ("no more than the bound", 200, &[DATE, YEAR_BEFORE], Heuristic(secs(86_400))),
            ("modified in the future", 200, &[DATE, HOUR_AFTER], Heuristic(secs(0))),
            ("nothing to go by", 200, &[DATE], Unstated),
            ("what is stated is not guessed", 200, &[DATE, HOUR_BEFORE, ("expires", "0")], Explicit(secs(0))),
            (
                "a status that is heuristically cacheable (RFC 9110 §15.1)",
                404,
                &[DATE, HOUR_BEFORE],
                Heuristic(secs(360)),
            ),
            ("one that is not", 500, &[DATE, HOUR_BEFORE], Unstated),
            ("one that is not, marked as cacheable", 599, &[DATE, HOUR_BEFORE, PUBLIC], Heuristic(secs(360))),
        ];
        for (sentence, status, lines, expected) in rows {
            let (status, head) = (StatusCode::from_u16(*status).unwrap(), head(lines));
            let said = ResponseDirectives::parse(&head);
            assert_eq!(lifetime(status, &said, &head, Some(secs(86_400))), *expected, "{sentence}");
        }
        let targeted = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
        let expires = head(&[DATE, ("expires", "Sun, 06 Nov 1994 09:49:37 GMT")]);
        assert_eq!(lifetime(StatusCode::OK, &targeted, &expires, None), Unstated, "RFC 9213 §2.2: Expires is ignored");
    }

    proptest! {
        #[test]
        fn no_head_makes_it_panic(
            any in any_head(&["age", "date", "expires", "cache-control"]), asked: u32, received: u32,
        ) {
            let _ = initial_age(&any, at(asked.into()), at(received.into()));
            let _ = lifetime(StatusCode::OK, &ResponseDirectives::parse(&any), &any, Some(Duration::MAX));
        }
    }
}

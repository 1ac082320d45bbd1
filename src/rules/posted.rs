//! When the response to a POST answers later GETs of its target.

use http::uri::PathAndQuery;
use http::{StatusCode, header, response};

use super::location::target_on_same_origin;
use super::policy::{Policy, Verify};
use super::stored::StoredHead;

/// Whether the response to a POST of `target`, on `scheme` and `authority`, is what a GET of it would have got. `head`
/// is the head of `answer`, read for storing; the rest is for [`admit`](super::admit) to say, as of any GET.
///
/// RFC 9110 §9.3.3: "Responses to POST requests are only cacheable when they include explicit freshness information
/// [..] and a Content-Location header field that has the same value as the POST's target URI". Where each hit is checked
/// a GET asks anyway, so this is for `when-stale`.
#[must_use]
pub fn answers_gets(
    scheme: &str,
    authority: &[u8],
    target: &PathAndQuery,
    answer: &response::Parts,
    head: &StoredHead,
    policy: &Policy,
) -> bool {
    let mut locations = answer.headers.get_all(header::CONTENT_LOCATION).iter();
    let location = locations.next().filter(|_| locations.next().is_none());
    policy.verify == Verify::WhenStale
        // RFC 9110 §8.7: in a 200 to an unsafe request it says "that this is a new representation of that resource".
        && answer.status == StatusCode::OK
        && head.lifetime().is_explicit()
        && location.and_then(|value| target_on_same_origin(scheme, authority, target.as_str(), value)).as_ref()
            == Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{OriginAnswer, answer, policy_with, secs, verify};

    #[test]
    fn which_responses_to_posts_answer_gets() {
        fn check(sentence: &str, answer: &OriginAnswer, policy: &Policy, expected: bool) {
            let target = PathAndQuery::from_static("/a?b");
            let answers = answers_gets("http", b"api.test", &target, answer.parts(), &answer.head(policy), policy);
            assert_eq!(answers, expected, "{sentence}");
        }
        let stale = verify(Verify::WhenStale);
        let fresh = |status| answer(status).with("cache-control", "max-age=60");
        let located = |location: &str| fresh(200).with("content-location", location);
        for same in ["/a?b", "?b", "", "a?b", "./a?b", "//api.test/a?b", "http://API.test:80/a?b"] {
            check(same, &located(same), &stale, true);
        }
        for other in ["/a", "/a?c", "/b?b", "//other.test/a?b", "https://api.test/a?b", "http://api.test:81/a?b"] {
            check(other, &located(other), &stale, false);
        }
        check("freshness alone is not enough", &fresh(200), &stale, false);
        let twice = located("/a?b").with("content-location", "/c");
        check("nor are two places", &twice, &stale, false);
        let expires = answer(200)
            .with("date", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("expires", "Thu, 01 Jan 2026 00:01:00 GMT")
            .with("content-location", "/a?b");
        check("Expires is explicit (RFC 9111 §4.2.1)", &expires, &stale, true);
        let dated = answer(200)
            .with("date", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT")
            .with("content-location", "/a?b");
        let guessing = policy_with(|policy| {
            policy.verify = Verify::WhenStale;
            policy.heuristic_max = Some(secs(3600));
        });
        check("a guess is not (RFC 9111 §4.2.2)", &dated, &guessing, false);
        for status in [201, 204, 206, 303, 404] {
            check("a 200 alone", &fresh(status).with("content-location", "/a?b"), &stale, false);
        }
        for verify in [Verify::EveryHit, Verify::Lease(secs(9)), Verify::Off] {
            let policy = policy_with(|policy| policy.verify = verify);
            check("under when-stale alone", &located("/a?b"), &policy, false);
        }
    }
}

//! Stored responses are whole, immutable and weighed; freshening changes their head alone.

use proptest::prelude::*;

use super::*;
use crate::rules::testing::{ago, any_head, get, head, policy, secs, sent, stored};

#[test]
fn only_what_is_whole_is_recorded() {
    let check = |sentence: &str, chunks: &[&'static str], declared: Option<u64>, expected: Option<usize>| {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Bytes::from_static(chunk.as_bytes())).collect();
        let recorded = Recorded::complete(&chunks, declared, &HeaderMap::new(), None);
        assert_eq!(recorded.map(|recorded| recorded.len()).ok(), expected, "{sentence}");
    };
    check("as long as was declared", &["a", "bc"], Some(3), Some(3));
    check("of undeclared length (RFC 9112 §7.1)", &["abc"], None, Some(3));
    check("empty", &[], Some(0), Some(0));
    check("too short (RFC 9112 §8)", &["ab"], Some(3), None);
    check("too long", &["abcd"], Some(3), None);
}

#[test]
fn only_what_is_what_it_claims_is_recorded() {
    const SHORT: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    const LONG: &str =
        "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";
    let check = |sentence: &str, content: &'static str, claim: &str, expected: bool| {
        for field in ["content-digest", "repr-digest"] {
            let (claiming, silent) = (head(&[(field, claim)]), HeaderMap::new());
            for (head, trailers) in [(&claiming, None), (&silent, Some(claiming.clone()))] {
                let recorded = Recorded::complete(&[Bytes::from_static(content.as_bytes())], None, head, trailers);
                assert_eq!(recorded.is_ok(), expected, "{sentence}, in {field}");
            }
        }
    };
    check("what has the digest (RFC 9530 §2, §3)", "abc", SHORT, true);
    check("by SHA-512", "abc", LONG, true);
    check("by both", "abc", &format!("{SHORT}, {LONG}"), true);
    check("not what has another", "abd", SHORT, false);
    check("by SHA-512", "abd", LONG, false);
    let half = SHORT.replace("ungW", "AAAA");
    check("not what has one of two", "abc", &format!("{half}, {LONG}"), false);
    check("what claims by algorithms that nobody believes (§5)", "abd", "md5=:AAAA:", true);
    check("what is malformed claims nothing", "abd", "sha-256=:", true);
}

#[test]
fn what_a_head_claimed_is_known_and_shared_by_all_heads() {
    let claim = head(&[("repr-digest", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:")]);
    let recorded = Recorded::complete(&[Bytes::from_static(b"abc")], None, &claim, None).unwrap();
    let one = stored().build();
    let one = StoredResponse::new(one.head().clone(), recorded, &sent(&[]), one.standing());
    let known = |stored: &StoredResponse| Algorithm::ALL.map(|algorithm| stored.is_digested(algorithm));
    assert_eq!(known(&one), [true, false], "nothing is computed twice, nor unasked");
    let again = one.reheaded(one.head().clone(), &sent(&[]), one.standing());
    assert_eq!(again.digest(Algorithm::Sha512), Digest::of(b"abc", Algorithm::Sha512));
    assert_eq!(known(&one), [true, true]);
}

#[test]
fn what_is_read_from_a_head() {
    let one =
        stored().etag("\"1\"").with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT").with("age", "5").aged(3).build();
    assert!(one.head().tag_vouches);
    assert_eq!(one.head().age(ago(0).at), secs(8), "RFC 9111 §4.2.3");
    assert_eq!(one.head().fields.get("content-length").unwrap(), "3", "whatever framing it came in");
    assert!(one.head().fields.contains_key("date"), "RFC 9110 §6.6.1");
    assert!(!one.head().fields.contains_key("age"));
    assert_eq!(one.recognised(), None, "a strong tag needs no recognising");
    assert!(stored().etag("W/\"3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0\"").build().recognised().is_some());
    assert_eq!(stored().status(404).build().head().status, StatusCode::NOT_FOUND);
}

#[test]
fn what_a_response_weighs() {
    // Names that no store has shared yet; a value, and how long that is.
    let weights = |field: &str, value: &str| size_of::<HeaderName>() + field.len() + value.len() + 1;
    let plain = stored().build();
    let fields = weights("content-length", "3") + weights("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(plain.weight(), plain.len() + fields + ENTRY_OVERHEAD);
    let long = stored().body("abcdef").with("x-a", "12").build();
    assert_eq!(long.weight() - plain.weight(), 3 + weights("x-a", "12"));
    let varying = stored().varying("accept", "x").build();
    // The selecting fields are kept in canonical form and word for word: here both are a value of one byte and what is
    // written around it.
    let selecting = varying.selection().1.len() + 3 + 2 * size_of::<Box<[u8]>>();
    assert_eq!(varying.weight() - plain.weight(), weights("vary", "accept") + selecting);
    let grouped = stored().with("cache-groups", "\"g\"").build();
    assert!(grouped.weight() > plain.weight() + weights("cache-groups", "\"g\""), "groups are kept beside the field");
    assert!(stored().body("").build().is_empty() && !plain.is_empty());
    let recorded = |chunk| Recorded::complete(&[Bytes::from_static(chunk)], None, &HeaderMap::new(), None).unwrap();
    assert!(recorded(b"").is_empty() && !recorded(b"a").is_empty());
}

#[test]
fn a_date_stays_strong_while_a_304_repeats_it() {
    let (modified, later) = ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 01:00:00 GMT");
    let one = stored().with("last-modified", modified).with("date", later).build();
    assert!(one.head().strong_date().is_some(), "RFC 9110 §8.8.2.2");
    let after = |update: &[(&str, &str)]| one.head().freshened(&head(update), &policy(), ago(0).wall, ago(0));
    assert_eq!(after(&[("last-modified", modified)]).strong_date(), one.head().strong_date());
    assert_eq!(after(&[("last-modified", later)]).strong_date(), None);
}

#[test]
fn a_date_of_reception_makes_no_clock_tag_vouch() {
    // Received long after its modification by our clock; but by the origin's own, nobody knows.
    let undated = stored().etag("\"6955b900-3\"").with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT").build();
    assert!(undated.head().fields.contains_key("date") && !undated.head().tag_vouches);
}

#[test]
fn a_304_makes_no_young_tag_old() {
    let (modified, later) = ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 01:00:00 GMT");
    let young = stored().etag("\"6955b900-3\"").with("last-modified", modified).with("date", modified).build();
    let update = head(&[("etag", "\"6955b900-3\""), ("date", later)]);
    let fresh = young.freshened(&update, &sent(&[]), &policy(), ago(0).wall, ago(0), young.standing());
    assert_eq!(fresh.head().fields.get("date").unwrap(), later);
    assert!(!fresh.head().tag_vouches);
}

#[test]
fn vary_that_a_304_widens_selects_for_the_request_that_it_answered() {
    let one = stored().varying("accept", "x").build();
    let asking = |cookie: &str| get("/a").with("accept", "x").with("cookie", cookie).ask(&policy()).fields;
    let update = head(&[("vary", "cookie")]);
    let fresh = one.freshened(&update, &asking("a=1"), &policy(), ago(0).wall, ago(0), one.standing());
    assert!(one.selected_by(&asking("a=2")));
    assert!(fresh.selected_by(&asking("a=1")));
    assert!(!fresh.selected_by(&asking("a=2")), "whether it is for other cookies is not known");
}

#[test]
fn only_a_confirmation_takes_a_response_out_of_a_group() {
    let one = stored().with("cache-groups", "\"old\"").build();
    let groups = |list: &str| Groups::of(&head(&[("cache-groups", list)]));
    let freshened = |standing| {
        let update = head(&[("cache-groups", "\"new\"")]);
        one.freshened(&update, &sent(&[]), &policy(), ago(0).wall, ago(0), standing).head().groups.clone()
    };
    assert_eq!(freshened(Standing { confirmed: ago(0).at, epoch: 2 }), groups("\"new\""), "RFC 9111 §3.2");
    let touched = groups("\"old\", \"new\"");
    assert_eq!(freshened(one.standing()), touched, "an invalidation of the old group may not have been obeyed yet");
}

const NAMES: &[&str] =
    &["etag", "vary", "date", "age", "content-length", "content-encoding", "cache-control", "x-a", "expires"];

proptest! {
    #[test]
    fn freshening_never_changes_content(updates in proptest::collection::vec(any_head(NAMES), 0..5)) {
        let old = stored().etag("\"1\"").varying("accept", "x").build();
        let mut fresh = (*old).clone();
        for update in &updates {
            fresh = fresh.freshened(update, &sent(&[]), &policy(), ago(1).wall, ago(0), old.standing());
        }
        prop_assert_eq!(fresh.content(), old.content());
        prop_assert_eq!(fresh.sha256(), old.sha256());
        prop_assert_eq!(&fresh.head().tag, &old.head().tag);
        prop_assert_eq!(fresh.head().tag_vouches, old.head().tag_vouches);
        prop_assert_eq!(fresh.head().fields.get("content-length").unwrap(), "3");
    }
}

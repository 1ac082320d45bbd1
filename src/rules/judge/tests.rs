//! What the origin's answers say, row by row.

use super::*;
use crate::rules::policy::Credentials;
use crate::rules::testing::{OriginAnswer, Stored, answer, exchange, get, policy, policy_with, sent, stored, verify};

/// The `etag` package's form of "abc": a weak tag that is a digest of the stored bytes.
const EXPRESS: &str = "W/\"3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0\"";
/// `Repr-Digest` of "abc".
const ABC: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
const ABC_512: &str =
    "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";
/// `Repr-Digest` of something else.
const OTHER: &str = "sha-256=:AAAAv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
const DAY: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const SECOND_LATER: &str = "Thu, 01 Jan 2026 00:00:01 GMT";

/// A verdict in words: what proved it of which body, or why not.
fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Same(confirmation) => {
            let body = String::from_utf8(confirmation.response().agreed_prefix(99).to_vec()).unwrap();
            format!("same {body}: {}", confirmation.proof().as_str())
        }
        Verdict::Changed => "changed".to_owned(),
        Verdict::Answered => "answered".to_owned(),
        Verdict::Unproven(why) => format!("unproven: {}", why.as_str()),
    }
}

/// The request on whose behalf it was asked.
fn asked() -> Ask {
    get("/a").ask(&policy())
}

fn nginx() -> Stored {
    stored().etag("\"6955b900-3\"").with("last-modified", DAY).with("date", SECOND_LATER)
}

#[test]
fn answers_to_a_conditional_request() {
    let check = |sentence: &str, about: &[Stored], answer: OriginAnswer, policy: &Policy, expected: &str| {
        let candidates: Vec<_> = about.iter().map(Stored::build).collect();
        assert_eq!(
            words(conditional(&candidates, true, answer.parts(), &asked(), policy, exchange())),
            expected,
            "{sentence}"
        );
    };
    let one = [stored().etag("\"1\"")];
    let every_hit = policy();
    check(
        "an equal strong tag (RFC 9110 §8.8.3.2)",
        &one,
        answer(304).etag("\"1\""),
        &every_hit,
        "same abc: strong-tag",
    );
    for status in [200, 206, 401, 403, 404, 410, 500, 503] {
        check("anything but 304 is the answer", &one, answer(status).etag("\"1\""), &every_hit, "answered");
    }
    let aged = || answer(304).etag("\"1\"").with("age", "0");
    check("Age: not the origin's (RFC 9111 §5.1)", &one, aged(), &every_hit, "unproven: age");
    check("a strong tag that became weak", &one, answer(304).etag("W/\"1\""), &every_hit, "unproven: weak-tag");
    let pair = [stored().etag("\"1\"").body("one"), stored().etag("W/\"1\"").body("two")];
    check(
        "of two that differ in strength, that one",
        &pair,
        answer(304).etag("W/\"1\""),
        &every_hit,
        "unproven: weak-tag",
    );
    let weak_first = [pair[1].clone(), pair[0].clone()];
    check("whichever comes first", &weak_first, answer(304).etag("\"1\""), &every_hit, "same one: strong-tag");
    check("a tag nobody asked about", &one, answer(304).etag("\"2\""), &every_hit, "unproven: foreign-tag");
    check("a bare 304 means the only one", &one, answer(304), &every_hit, "same abc: strong-tag");
    let express = [stored().etag(EXPRESS)];
    check("a digest of the bytes", &express, answer(304).etag(EXPRESS), &every_hit, "same abc: recognised-tag");
    let weak = [stored().etag("W/\"7\"")];
    check("a weak tag (RFC 9110 §8.8.1)", &weak, answer(304).etag("W/\"7\""), &every_hit, "unproven: weak-tag");
    check("also where it became strong", &weak, answer(304).etag("\"7\""), &every_hit, "unproven: weak-tag");
    check("a young clock tag", &[nginx()], answer(304).etag("\"6955b900-3\""), &every_hit, "unproven: young-tag");
    let later =
        stored().etag("\"6955b900-3\"").with("last-modified", DAY).with("date", "Thu, 01 Jan 2026 00:00:02 GMT");
    check("an older one", &[later], answer(304).etag("\"6955b900-3\""), &every_hit, "same abc: strong-tag");
    check("no validator", &[stored()], answer(304), &every_hit, "unproven: nothing-comparable");
    let dated = [stored().with("last-modified", DAY)];
    check("a date", &dated, answer(304).with("last-modified", DAY), &every_hit, "unproven: nothing-comparable");

    let trusting = policy_with(|policy| (policy.trust.weak_etag, policy.trust.last_modified) = (true, true));
    check("a trusted weak tag", &weak, answer(304).etag("W/\"7\""), &trusting, "same abc: trusted-tag");
    check("a trusted date", &dated, answer(304), &trusting, "same abc: trusted-date");
    check("a young clock tag is not weak", &[nginx()], answer(304), &trusting, "unproven: young-tag");

    let two = [stored().etag("\"1\"").body("one"), stored().etag("\"2\"").body("two")];
    check("the tag picks (RFC 9111 §4.3.4)", &two, answer(304).etag("\"2\""), &every_hit, "same two: strong-tag");
    check("no tag picks none", &two, answer(304), &every_hit, "unproven: tag-not-repeated");

    let shared = policy_with(|policy| {
        policy.authorization = Credentials::Checked;
        (policy.trust.weak_etag, policy.trust.last_modified) = (true, true);
    });
    check("who may see it: a tag repeated", &one, answer(304).etag("\"1\""), &shared, "same abc: strong-tag");
    check("a digest repeated", &express, answer(304).etag(EXPRESS), &shared, "same abc: recognised-tag");
    check("nothing less", &one, answer(304), &shared, "unproven: tag-not-repeated");
    check("no trust in weak tags", &weak, answer(304).etag("W/\"7\""), &shared, "unproven: weak-tag");
    check("no trust in dates", &dated, answer(304), &shared, "unproven: tag-not-repeated");

    let claims = |digest: &str| answer(304).etag("\"1\"").with("repr-digest", digest);
    check("with the digest of the bytes (RFC 9530 §3)", &one, claims(ABC), &every_hit, "same abc: strong-tag");
    check("but not with that of others", &one, claims(OTHER), &every_hit, "unproven: contradicted");
    check(
        "by whichever algorithm",
        &[stored().etag("\"1\"").body("x")],
        claims(ABC_512),
        &every_hit,
        "unproven: contradicted",
    );
    check("under when-stale neither", &one, claims(OTHER), &verify(Verify::WhenStale), "unproven: contradicted");
    let nothing = Digest::of(b"", digest::Algorithm::Sha256).to_member();
    let of_itself = claims(nothing.to_str().unwrap());
    check("nor does one of its own lack of content count", &one, of_itself, &every_hit, "same abc: strong-tag");
    let digest_of_nothing = answer(304).etag("\"1\"").with("content-digest", OTHER);
    check("its content is not the stored one (§2)", &one, digest_of_nothing, &every_hit, "same abc: strong-tag");

    let when_stale = verify(Verify::WhenStale);
    let other = answer(304).etag("W/\"7\"").with("repr-digest", OTHER);
    check("a weak tag allows other bytes (RFC 9110 §8.8.1)", &weak, other, &when_stale, "same abc: not-modified");
    check("under when-stale any 304 (RFC 9111 §4.3.3)", &weak, answer(304), &when_stale, "same abc: not-modified");
    check("from any cache", &one, aged(), &when_stale, "same abc: not-modified");
    check("about a date", &dated, answer(304), &when_stale, "same abc: not-modified");
    check("but not of another tag", &one, answer(304).etag("\"2\""), &when_stale, "unproven: foreign-tag");
}

#[test]
fn answers_to_a_head() {
    let check = |sentence: &str, about: Stored, answer: OriginAnswer, expected: &str| {
        let stored = about.build();
        let own = repr_claim(answer.parts()).map(|claimed| stored.digest(claimed.algorithm()));
        assert_eq!(words(head(&stored, own, answer.parts(), &asked(), &policy(), exchange())), expected, "{sentence}");
    };
    let one = || stored().etag("\"1\"").with("last-modified", DAY);
    let two_hundred = || answer(200).etag("\"1\"");
    check("an equal digest (RFC 9530 §3)", stored(), answer(200).with("repr-digest", ABC), "same abc: repr-digest");
    check("another digest", one(), two_hundred().with("repr-digest", OTHER), "changed");
    check("by SHA-512", stored(), answer(200).with("repr-digest", ABC_512), "same abc: repr-digest");
    check("another by SHA-512", one().body("x"), two_hundred().with("repr-digest", ABC_512), "changed");
    check(
        "the digest decides before the tag",
        one(),
        answer(200).etag("\"2\"").with("repr-digest", ABC),
        "same abc: repr-digest",
    );
    check("an equal strong tag (RFC 9111 §4.3.5)", one(), two_hundred(), "same abc: strong-tag");
    check("and length", one(), two_hundred().with("content-length", "3"), "same abc: strong-tag");
    check("but another length", one(), two_hundred().with("content-length", "4"), "changed");
    check("and date", one(), two_hundred().with("last-modified", DAY), "same abc: strong-tag");
    check("but another date", one(), two_hundred().with("last-modified", SECOND_LATER), "changed");
    check("another tag", one(), answer(200).etag("\"2\""), "changed");
    check("a tag that became weak", one(), answer(200).etag("W/\"1\""), "unproven: young-tag");
    check("a digest of the bytes", stored().etag(EXPRESS), answer(200).etag(EXPRESS), "same abc: recognised-tag");
    check("a weak tag", stored().etag("W/\"7\""), answer(200).etag("W/\"7\""), "unproven: weak-tag");
    check("a young clock tag", nginx(), answer(200).etag("\"6955b900-3\""), "unproven: young-tag");
    check("no tag in HEAD", one(), answer(200), "unproven: nothing-comparable");
    check("none in GET", stored(), two_hundred(), "unproven: nothing-comparable");
    let zipped = || one().with("content-encoding", "gzip");
    check("HEAD is not coded, GET is", zipped(), two_hundred(), "unproven: nothing-comparable");
    let coded = two_hundred().with("repr-digest", ABC).with("content-encoding", "gzip");
    check("nor the other way, even with a digest", one(), coded, "unproven: nothing-comparable");
    check("both are", zipped(), two_hundred().with("content-encoding", "gzip"), "same abc: strong-tag");
    for status in [204, 304, 401, 404, 405, 500, 501] {
        check("405 and the like prove nothing", one(), answer(status).etag("\"1\""), "unproven: head-status");
    }
    check("Age: not the origin's", one(), two_hundred().with("age", "1"), "unproven: age");
}

#[test]
fn answers_of_a_digest_endpoint() {
    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let check = |sentence: &str, content: &str, answer: OriginAnswer, expected: &str| {
        let stored = stored().build();
        let verdict = digest_endpoint(
            &stored,
            stored.sha256(),
            answer.parts(),
            content.as_bytes(),
            &asked(),
            &policy(),
            exchange(),
        );
        assert_eq!(words(verdict), expected, "{sentence}");
    };
    check("the stored bytes'", HEX, answer(200), "same abc: digest-endpoint");
    check("other bytes'", &HEX.replace('b', "c"), answer(200), "changed");
    check("no digest", "not found", answer(200), "unproven: no-digest");
    check("an error that looks like one", HEX, answer(404), "unproven: no-digest");
    check("from another cache", HEX, answer(200).with("age", "1"), "unproven: age");
}

#[test]
fn a_full_answer_is_compared_byte_by_byte() {
    let check =
        |sentence: &str, about: Stored, answer: OriginAnswer, chunks: &[&str], length: Option<u64>, expected: &str| {
            let Some(mut comparison) = Comparison::begin(&about.build(), answer.parts(), length) else {
                return assert_eq!(expected, "not begun", "{sentence}");
            };
            let all = chunks.iter().all(|chunk| comparison.push(chunk.as_bytes()));
            let head = answer.head(&policy());
            let confirmation = comparison.finish(head, &sent(&[]), exchange()).filter(|_| all);
            let said = match confirmation {
                Some(confirmation) => words(Verdict::Same(confirmation)),
                None => format!("differs after {:?}", String::from_utf8(comparison.agreed().to_vec()).unwrap()),
            };
            assert_eq!(said, expected, "{sentence}");
        };
    check("the same bytes", stored(), answer(200), &["a", "", "bc"], None, "same abc: bytes");
    check("under any tag", stored().etag("\"1\""), answer(200).etag("\"2\""), &["abc"], None, "same abc: bytes");
    check("other bytes", stored(), answer(200), &["ab", "d"], None, "differs after \"ab\"");
    check("more bytes", stored(), answer(200), &["abc", "d"], None, "differs after \"abc\"");
    check("fewer bytes", stored(), answer(200), &["ab"], None, "differs after \"ab\"");
    check("no bytes", stored(), answer(200), &[], None, "differs after \"\"");
    check("nothing equals nothing", stored().body(""), answer(200), &[], None, "same : bytes");
    check("another length", stored(), answer(200), &[], Some(4), "not begun");
    check("another status", stored(), answer(203), &[], Some(3), "not begun");
    check("another coding", stored(), answer(200).with("content-encoding", "gzip"), &[], None, "not begun");
}

#[test]
fn a_full_answer_brings_its_own_head() {
    let old = stored().etag("\"1\"").with("x-a", "old").build();
    let answer = answer(200).etag("W/\"2\"").with("x-b", "new");
    let mut comparison = Comparison::begin(&old, answer.parts(), Some(3)).unwrap();
    assert!(comparison.push(b"abc"));
    let confirmed = comparison.finish(answer.head(&policy()), &sent(&[]), exchange()).unwrap();
    let fields = &confirmed.response().head().fields;
    assert_eq!(fields.get("etag").unwrap(), "W/\"2\"");
    assert_eq!(
        (fields.get("x-a"), fields.get("x-b").unwrap(), fields.get("content-length").unwrap()),
        (None, "new".parse().unwrap(), 3.into())
    );
    assert!(!confirmed.response().head().tag_vouches, "what the new tag is worth is settled anew");
}

#[test]
fn what_a_clients_head_says_of_a_stored_get() {
    let check = |sentence: &str, about: Stored, answer: OriginAnswer, expected: &str| {
        let (stored, now) = (about.build(), exchange().answered);
        let said = match head_update(&stored, answer.parts(), &asked(), &policy(), now.wall, now) {
            HeadUpdate::Freshened(fresh) => {
                assert_eq!(fresh.standing(), stored.standing(), "{sentence}: nothing was confirmed");
                format!("freshened: {}", fresh.head().lifetime().duration().as_secs())
            }
            HeadUpdate::Differs => "differs".to_owned(),
            HeadUpdate::Silent => "silent".to_owned(),
        };
        assert_eq!(said, expected, "{sentence}");
    };
    let fresh = || answer(200).with("cache-control", "max-age=60");
    let one = || stored().etag("\"1\"").with("last-modified", DAY);
    check("an equal tag (RFC 9111 §4.3.5)", one(), fresh().etag("\"1\""), "freshened: 60");
    check("an equal date", one(), fresh().with("last-modified", DAY), "freshened: 60");
    check("an equal length", one(), fresh().with("content-length", "3"), "freshened: 60");
    check("another tag", one(), fresh().etag("\"2\"").with("content-length", "3"), "differs");
    check("a weaker one", one(), fresh().etag("W/\"1\""), "differs");
    check("a tag where none is stored", stored(), fresh().etag("\"1\""), "differs");
    check("another date", one(), fresh().etag("\"1\"").with("last-modified", SECOND_LATER), "differs");
    check("another length", one(), fresh().etag("\"1\"").with("content-length", "4"), "differs");
    check("nothing to compare", one(), fresh(), "silent");
    check("another status than 200", one(), answer(404).etag("\"1\""), "silent");
    check("about another status than 200", stored().status(404), fresh().with("content-length", "3"), "silent");
}

#[test]
fn a_digest_in_a_clients_head_counts_where_that_of_the_content_is_known() {
    let (stored, now) = (stored().etag("\"1\"").build(), exchange().answered);
    let said = |digest: &str| {
        let answer = answer(200).etag("\"1\"").with("repr-digest", digest);
        matches!(head_update(&stored, answer.parts(), &asked(), &policy(), now.wall, now), HeadUpdate::Differs)
    };
    assert!(!said(OTHER), "nothing is hashed for it");
    let _known = stored.sha256();
    assert!(said(OTHER), "RFC 9530 §3");
    assert!(!said(ABC));
    assert!(!said(ABC_512), "nor by another algorithm");
}

//! Tables and laws of stored parts.

use proptest::prelude::*;

use super::*;
use crate::rules::completion::Completion;
use crate::rules::judge::part::conditional;
use crate::rules::learn::{Learned, Shown};
use crate::rules::outcome::Proof;
use crate::rules::testing::{
    OriginAnswer, ago, answer, exchange, get, head, policy, policy_with, secs, sent, stored_part, verify,
};

const OLD: (&str, &str) = ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
const LATER: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:02 GMT");

fn span(start: u64, end: u64) -> Span {
    Span::new(start, end).unwrap()
}

fn stated(start: u64, end: u64, complete: u64) -> Place {
    Place::stated(ContentRange::new(span(start, end), complete).unwrap())
}

/// RFC 9111 alone, with `parts = "lenient"`.
fn lenient() -> Policy {
    policy_with(|policy| (policy.verify, policy.lenient_parts) = (Verify::WhenStale, true))
}

/// The place of an answer to `range` with this `Content-Range`, and the part that `content` is there.
fn placed(range: &str, content_range: &str, content: &str, policy: &Policy) -> Result<RecordedPart, SkipReason> {
    let stated = ContentRange::of(&head(&[("content-range", content_range)])).unwrap();
    RecordedPart::received(&[Bytes::copy_from_slice(content.as_bytes())], Place::of(&ask(range), stated, policy))
}

fn ask(range: &str) -> Ask {
    get("/a").with("range", range).ask(&policy())
}

#[test]
fn a_part_answers_what_lies_wholly_within_it() {
    let stored = stored_part(4, "45678", 10, &[("etag", "\"1\"")]);
    let check = |sentence: &str, range: &str, expected: Option<&str>| {
        let found = stored.answers(&ask(range)).map(|range| stored.content(range.span()).unwrap());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{sentence}");
    };
    check("all of it (RFC 9111 §3.3)", "bytes=4-8", Some("45678"));
    check("some of it", "bytes=6-7", Some("67"));
    check("not what begins before it", "bytes=3-5", None);
    check("nor what ends after it", "bytes=6-9", None);
    check("nor an open end", "bytes=6-", None);
    check("nor a suffix that it has only in part", "bytes=-5", None);
    check("nor several", "bytes=4-5,7-8,0-0", None);
    check("but several that are one", "bytes=4-5,7-8", Some("45678"));
    check("nor what there is not", "bytes=10-", None);
    assert!(stored.answers(&get("/a").ask(&policy())).is_none(), "nor a request for the whole");
    let on = |tag: &str| get("/a").with("range", "bytes=4-8").with("if-range", tag).ask(&policy());
    assert!(stored.answers(&on("\"1\"")).is_some());
    assert!(stored.answers(&on("\"2\"")).is_none(), "RFC 9110 §13.1.5: the whole is asked for");
}

#[test]
fn which_206_may_be_stored() {
    let fresh = |answer: OriginAnswer| answer.with("cache-control", "max-age=60");
    let five = || answer(206).with("content-range", "bytes 0-4/10");
    let length = Some(5);
    let (strict, rfc) = (policy(), verify(Verify::WhenStale));
    let check = |sentence: &str, answer: &OriginAnswer, length, policy: &Policy, expected: Result<(), SkipReason>| {
        let framing = Framing { length, close_delimited: false };
        let admitted = admit(&ask("bytes=0-4"), answer.parts(), framing, policy, exchange());
        assert_eq!(admitted.map(|_| ()), expected, "{sentence}");
    };
    check("with a strong tag (RFC 9111 §3.3)", &five().etag("\"1\""), length, &strict, Ok(()));
    let (weak, tagless) = (five().etag("W/\"1\""), five());
    check("not with one by which it cannot be checked", &weak, length, &strict, Err(SkipReason::Partial));
    check("nor without", &fresh(tagless), length, &strict, Err(SkipReason::Partial));
    check("fresh, it needs none", &fresh(five()), length, &rfc, Ok(()));
    check("stale, it does", &five(), length, &rfc, Err(SkipReason::NeverUsable));
    check("of unknown length until its end", &fresh(five()), None, &rfc, Ok(()));
    check("not what contradicts itself", &fresh(five()), Some(4), &rfc, Err(SkipReason::Contradicted));
    let unknown = fresh(answer(206).with("content-range", "bytes 0-4/*"));
    check("not of a representation of unknown length", &unknown, length, &rfc, Err(SkipReason::Partial));
    let several = fresh(answer(206).with("content-type", "multipart/byteranges; boundary=a"));
    check("not several parts", &several, Some(100), &rfc, Err(SkipReason::Partial));
    let all = answer(206).with("content-range", "bytes 0-4/5");
    check("everything is checked like a 200", &all, length, &strict, Ok(()));
    for (name, value, reason) in [
        ("cache-control", "no-store", SkipReason::NoStore),
        ("cache-control", "private", SkipReason::Private),
        ("vary", "*", SkipReason::VaryStar),
        ("set-cookie", "a=1", SkipReason::SetCookie),
    ] {
        let forbidden = five().etag("\"1\"").with(name, value);
        for policy in [&strict, &rfc] {
            check("what forbids a 200 forbids its parts", &forbidden, length, policy, Err(reason));
        }
    }
}

#[test]
fn bytes_that_are_not_as_many_as_their_range_belong_nowhere() {
    let range = ContentRange::new(span(4, 10), 10).unwrap();
    let received =
        |bytes: &'static str| RecordedPart::received(&[Bytes::from_static(bytes.as_bytes())], Place::stated(range));
    assert!(received("456789").is_ok());
    for contradicting in ["01234", "0123456", ""] {
        assert_eq!(received(contradicting).map(|_| ()), Err(SkipReason::Contradicted), "{contradicting}");
    }
}

#[test]
fn where_a_suffix_that_contradicts_itself_is_placed() {
    let check = |sentence: &str, range: &str, stated: &str, content: &str, expected: Option<&str>| {
        let settled = placed(range, stated, content, &lenient()).ok();
        let range = settled.map(|part| part.range.to_header_value());
        assert_eq!(range.as_ref().map(|range| range.to_str().unwrap()), expected, "{sentence}");
    };
    let five = "01234";
    check("by its first position", "bytes=-5", "bytes 4-9/10", five, Some("bytes 4-8/9"));
    check("also where less is stated", "bytes=-5", "bytes 4-6/10", five, Some("bytes 4-8/9"));
    check("where nothing is wrong, as it says", "bytes=-5", "bytes 0-4/10", five, Some("bytes 0-4/10"));
    check("not what is shorter than what was asked for", "bytes=-5", "bytes 4-9/10", "0123", None);
    check("nor what is longer", "bytes=-5", "bytes 4-9/10", "0123456", None);
    check("but as it says what is as long as that", "bytes=-5", "bytes 4-9/10", "012345", Some("bytes 4-9/10"));
    check("not where no suffix was asked for", "bytes=4-8", "bytes 4-9/10", five, None);
    check("nor an open end", "bytes=4-", "bytes 4-9/10", five, None);
    check("nor a suffix beside another range", "bytes=-5,0-0", "bytes 4-9/10", five, None);
    check("not where that would be everything", "bytes=-5", "bytes 0-9/10", five, None);
    check(
        "nor beyond all numbers",
        "bytes=-5",
        "bytes 18446744073709551613-18446744073709551613/18446744073709551614",
        five,
        None,
    );
    for strict in [policy(), verify(Verify::WhenStale), policy_with(|policy| policy.lenient_parts = true)] {
        let settled = placed("bytes=-5", "bytes 4-9/10", five, &strict);
        assert_eq!(settled.map(|_| ()), Err(SkipReason::Contradicted), "and nowhere else");
    }
}

#[test]
fn what_is_stored_of_a_guessed_part() {
    let fresh = answer(206).with("content-range", "bytes 4-9/10").with("cache-control", "max-age=60").etag("\"1\"");
    for length in [Some(5), None] {
        let framing = Framing { length, close_delimited: false };
        let (head, place) = admit(&ask("bytes=-5"), fresh.parts(), framing, &lenient(), exchange()).unwrap();
        let part = RecordedPart::received(&[Bytes::from_static(b"01234")], place).unwrap();
        let kept = Kept::of(head, part, &sent(&[]), exchange().standing);
        let Ok(Kept::Part(part)) = kept else { panic!("it is never the whole") };
        assert_eq!(
            part.head().fields.get("content-length").unwrap(),
            "9",
            "the whole has another length than was stated"
        );
        let bytes = |range: &str| part.answers(&ask(range)).map(|range| part.content(range.span()).unwrap());
        for (range, expected) in [("bytes=-5", "01234"), ("bytes=6-8", "234"), ("bytes=6-", "234"), ("bytes=-1", "4")] {
            assert_eq!(bytes(range).as_deref(), Some(expected.as_bytes()), "{range}");
        }
        assert_eq!(bytes("bytes=3-4"), None, "what it has not");
    }
    let framing = Framing { length: Some(4), close_delimited: false };
    let short = admit(&ask("bytes=-5"), fresh.parts(), framing, &lenient(), exchange());
    assert_eq!(short.map(|_| ()), Err(SkipReason::Contradicted), "what is too short is known before it comes");
}

#[test]
fn a_guessed_part_is_neither_joined_nor_completed() {
    let tag = [("etag", "\"1\"")];
    let guessed = || placed("bytes=-5", "bytes 4-9/10", "01234", &lenient()).unwrap();
    let exact = |place| RecordedPart::received(&[Bytes::from_static(b"abcd")], place).unwrap();
    let known = stored_part(0, "abcd", 9, &tag);
    assert!(known.combined(&exact(stated(3, 7, 9)), &head(&tag), &sent(&[]), &lenient(), exchange()).is_some());
    assert!(known.combined(&guessed(), &head(&tag), &sent(&[]), &lenient(), exchange()).is_none());
    let headed = answer(200).etag("\"1\"").with("cache-control", "max-age=60").head(&lenient());
    let Ok(Kept::Part(part)) = Kept::of(headed, guessed(), &sent(&[]), exchange().standing) else {
        panic!("it is never the whole")
    };
    let newer = exact(stated(0, 4, 9));
    assert!(part.combined(&newer, &head(&tag), &sent(&[]), &lenient(), exchange()).is_none());
    let (part, now) = (Arc::new(part), exchange().answered.at);
    assert!(Completion::of(&part, &lenient()).is_none());
    assert!(Completion::unvalidated(&part, &lenient(), &Learned::default(), now).is_none());
}

#[test]
fn which_parts_are_of_one_representation() {
    let check = |sentence: &str, own: &[(&str, &str)], other: &[(&str, &str)], expected: (bool, bool)| {
        let stored = stored_part(0, "01234", 10, own);
        let same = |policy: &Policy| stored.is_same(&head(other), policy);
        assert_eq!((same(&policy()), same(&verify(Verify::WhenStale))), expected, "{sentence}");
    };
    let (tag, weak) = (("etag", "\"1\""), ("etag", "W/\"1\""));
    check("an equal strong tag (RFC 9111 §3.4)", &[tag], &[tag], (true, true));
    check("another", &[tag], &[("etag", "\"2\"")], (false, false));
    check("a weak one", &[weak], &[weak], (false, false));
    check("none", &[], &[], (false, false));
    check("an equal strong date (RFC 9110 §8.8.2.2), by RFC 9111 alone", &[OLD, LATER], &[OLD], (false, true));
    check("a date of the same second", &[OLD, ("date", OLD.1)], &[OLD], (false, false));
    check("a date beside a tag", &[OLD, LATER], &[OLD, tag], (false, false));
    check("a tag that is lost", &[OLD, LATER, tag], &[OLD], (false, false));
}

#[test]
fn what_a_304_confirms() {
    let check = |sentence: &str, own: &[(&str, &str)], lines: &[(&str, &str)], expected: [Option<Proof>; 2]| {
        let stored = stored_part(0, "01234", 10, own);
        let answer = lines.iter().fold(answer(304), |answer, (name, value)| answer.with(name, value));
        let proof = |policy: &Policy| Some(conditional(&stored, answer.parts(), policy, exchange())?.proof());
        assert_eq!([proof(&policy()), proof(&verify(Verify::WhenStale))], expected, "{sentence}");
    };
    let (tag, rfc) = (("etag", "\"1\""), Some(Proof::NotModified));
    check("an equal strong tag", &[tag], &[tag], [Some(Proof::StrongTag), rfc]);
    check("not a tag that is not repeated", &[tag], &[], [None, rfc]);
    check("nor another", &[tag], &[("etag", "\"2\"")], [None, None]);
    check("nor a weak one", &[("etag", "W/\"1\"")], &[("etag", "W/\"1\"")], [None, rfc]);
    check("nor an answer with Age (RFC 9111 §5.1)", &[tag], &[tag, ("age", "1")], [None, rfc]);
    let stored = stored_part(0, "01234", 10, &[tag]);
    let whole = answer(200).etag("\"1\"");
    assert!(conditional(&stored, whole.parts(), &policy(), exchange()).is_none(), "nor another status");
}

#[test]
fn what_a_part_lacks_is_asked_for_by_its_strong_validator() {
    let check = |sentence: &str, part: Arc<PartialResponse>, policy: &Policy, expected: Option<(&str, &str)>| {
        let mut request = HeaderMap::new();
        let completion = Completion::of(&part, policy);
        completion.inspect(|completion| completion.set_range(&mut request));
        let sent = |name: &str| request.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(sent("range").zip(sent("if-range")), expected, "{sentence}");
    };
    let (tag, rfc) = (&[("etag", "\"1\"")], verify(Verify::WhenStale));
    check("the end", stored_part(0, "01234", 10, tag), &policy(), Some(("bytes=5-", "\"1\"")));
    check("the beginning", stored_part(5, "56789", 10, tag), &policy(), Some(("bytes=0-4", "\"1\"")));
    check("not both", stored_part(4, "45", 10, tag), &policy(), None);
    check("not without a validator (RFC 9111 §3.4)", stored_part(0, "01234", 10, &[]), &rfc, None);
    check("nor by a weak tag", stored_part(0, "01234", 10, &[("etag", "W/\"1\"")]), &rfc, None);
    let dated = || stored_part(0, "01234", 10, &[OLD, LATER]);
    check("a strong date will do by RFC 9111", dated(), &rfc, Some(("bytes=5-", OLD.1)));
    check("a date proves nothing else", dated(), &policy(), None);
    let small = policy_with(|policy| policy.object_max = 9);
    check("not where the whole may not be stored", stored_part(0, "01234", 10, tag), &small, None);
}

#[test]
fn what_a_fresh_part_without_a_validator_lacks_is_asked_for_where_a_route_says_so() {
    let learned = |shown: &[Shown]| {
        let mut learned = Learned::default();
        shown.iter().for_each(|shown| learned.learn(*shown, ago(0).at, secs(60)));
        learned
    };
    let part = |start, bytes, fields: &[(&str, &str)]| stored_part(start, bytes, 10, fields);
    let (fresh, tag) = (("cache-control", "max-age=60"), ("etag", "\"1\""));
    let check =
        |sentence: &str, part: Arc<PartialResponse>, policy: &Policy, shown: &[Shown], expected: Option<&str>| {
            let mut request = HeaderMap::new();
            let completion = Completion::unvalidated(&part, policy, &learned(shown), ago(0).at);
            completion.inspect(|completion| completion.set_range(&mut request));
            assert_eq!(request.get("range").map(|value| value.to_str().unwrap()), expected, "{sentence}");
            assert!(!request.contains_key("if-range"), "{sentence}");
        };
    let rfc = verify(Verify::WhenStale);
    let unchecked = policy_with(|policy| policy.lenient_parts = true);
    check("the end", part(0, "01234", &[fresh]), &lenient(), &[], Some("bytes=5-"));
    check("the beginning", part(5, "56789", &[fresh]), &lenient(), &[], Some("bytes=0-4"));
    check("by no weak tag either", part(0, "01234", &[fresh, ("etag", "W/\"1\"")]), &lenient(), &[], Some("bytes=5-"));
    check("not both", part(4, "45", &[fresh]), &lenient(), &[], None);
    check("not what a validator asks for", part(0, "01234", &[fresh, tag]), &lenient(), &[], None);
    check("not of what is stale", part(0, "01234", &[]), &lenient(), &[], None);
    check("not by default", part(0, "01234", &[fresh]), &rfc, &[], None);
    check("not where each hit is checked", part(0, "01234", &[fresh]), &unchecked, &[], None);
    check("not where it was of no use", part(0, "01234", &[fresh]), &lenient(), &[Shown::RestUseless], None);
    let small = Policy { object_max: 9, ..lenient() };
    check("not where the whole may not be stored", part(0, "01234", &[fresh]), &small, &[], None);
}

#[test]
fn nothing_completes_a_part_without_a_validator() {
    let part = stored_part(0, "01234", 10, &[("cache-control", "max-age=60"), OLD]);
    let completion = Completion::unvalidated(&part, &lenient(), &Learned::default(), ago(0).at).unwrap();
    assert!(completion.is_unvalidated());
    let rest = || answer(206).with("content-range", "bytes 5-9/10").with("cache-control", "max-age=60");
    for answer in [rest(), rest().etag("\"1\""), rest().with(OLD.0, OLD.1)] {
        let judged = completion.judge(answer.parts(), Some(5), &lenient(), exchange());
        assert!(judged.is_none(), "RFC 9111 §3.4: they share no strong validator");
    }
}

#[test]
fn which_answers_complete_a_part() {
    let tag = ("etag", "\"1\"");
    let end = || answer(206).with("content-range", "bytes 5-9/10").etag("\"1\"");
    let completion = Completion::of(&stored_part(0, "01234", 10, &[tag, ("a", "1"), ("b", "1")]), &policy()).unwrap();
    let judged = |answer: &OriginAnswer, length| completion.judge(answer.parts(), length, &policy(), exchange());
    let completed = judged(&end().with("a", "2"), Some(5)).unwrap();
    let field = |name: &str| completed.head.fields.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((completed.before.as_deref(), completed.after), (Some(&b"01234"[..]), None));
    assert_eq!((field("a"), field("b")), ("2".into(), "1".into()), "RFC 9111 §3.4: updated by the new response");
    assert_eq!((field("content-length"), completed.head.status), ("10".into(), StatusCode::OK));
    assert!(!completed.head.fields.contains_key("content-range"));
    let check = |sentence: &str, answer: OriginAnswer, length: Option<u64>| {
        assert!(judged(&answer, length).is_none(), "{sentence}");
    };
    check("not another representation's", answer(206).with("content-range", "bytes 5-9/10").etag("\"2\""), Some(5));
    check("not that of none", answer(206).with("content-range", "bytes 5-9/10"), Some(5));
    check("not another range", answer(206).with("content-range", "bytes 4-9/10").etag("\"1\""), Some(6));
    check("not another length", answer(206).with("content-range", "bytes 5-9/11").etag("\"1\""), Some(5));
    check("not more or fewer bytes", end(), Some(4));
    check("not what may turn out to be", end(), None);
    check("not what another cache kept (RFC 9111 §5.1)", end().with("age", "1"), Some(5));
    check("not the whole", answer(200).etag("\"1\""), Some(10));
}

#[test]
fn a_part_that_is_everything_is_the_whole() {
    let recorded = RecordedPart::received(&[Bytes::from_static(b"abc")], stated(0, 3, 3));
    let kept = Kept::of(answer(200).head(&policy()), recorded.unwrap(), &sent(&[]), exchange().standing);
    assert!(matches!(kept, Ok(Kept::Whole(whole)) if whole.len() == 3), "RFC 9110 §15.3.7.3");
}

#[test]
fn a_route_bounds_what_is_combined() {
    let stored = stored_part(0, "01234", 10, &[("etag", "\"1\"")]);
    let more = RecordedPart::received(&[Bytes::from_static(b"567")], stated(5, 8, 10)).unwrap();
    let combined = |object_max| {
        let policy = policy_with(|policy| policy.object_max = object_max);
        stored.combined(&more, &head(&[("etag", "\"1\"")]), &sent(&[]), &policy, exchange())
    };
    assert!(combined(8).is_some());
    assert!(combined(7).is_none());
}

proptest! {
    #[test]
    fn a_place_has_as_many_bytes_as_came_and_begins_where_it_is_stated(
        (start, stated, more) in (0u64..50, 1u64..50, 0u64..50),
        suffix in 1u64..50,
        length in 0u64..50,
    ) {
        let range = ContentRange::new(span(start, start + stated), start + stated + more).unwrap();
        let place = Place::of(&ask(&format!("bytes=-{suffix}")), range, &lenient());
        match place.range(length) {
            Err(_) => prop_assert!(length != stated && (length != suffix || start == 0)),
            Ok(placed) => {
                prop_assert_eq!((placed.span().start(), placed.span().len()), (start, length));
                prop_assert!(placed == range || placed.complete() == start + suffix);
                prop_assert_eq!(placed == range, length == stated);
            }
        }
    }

    #[test]
    fn combining_never_invents_moves_or_loses_a_byte(
        whole in "[a-z]{2,60}",
        (a, b, c, d) in (0usize..60, 1usize..60, 0usize..60, 1usize..60),
    ) {
        let complete = whole.len();
        let cut = |start: usize, length: usize| (start, (start + length).min(complete));
        let ((a, b), (c, d)) = (cut(a, b), cut(c, d));
        prop_assume!(a < b && c < d && b - a < complete);
        let stored = stored_part(a as u64, &whole[a..b], complete as u64, &[("etag", "\"1\"")]);
        let place = stated(c as u64, d as u64, complete as u64);
        let newer = RecordedPart::received(&[Bytes::copy_from_slice(&whole.as_bytes()[c..d])], place).unwrap();
        let combined = stored.combined(&newer, &head(&[("etag", "\"1\"")]), &sent(&[]), &policy(), exchange());
        let apart = c > b || a > d;
        prop_assert_eq!(combined.is_none(), apart);
        match combined {
            None => {}
            Some(Kept::Whole(all)) => {
                prop_assert_eq!((a.min(c), b.max(d)), (0, complete));
                prop_assert!(all.len() == complete && all.continues_with(0, whole.as_bytes()));
            }
            Some(Kept::Part(part)) => {
                prop_assert_eq!(part.range().span(), span(a.min(c) as u64, b.max(d) as u64));
                prop_assert_eq!(part.kept_bytes(), &whole.as_bytes()[a.min(c)..b.max(d)]);
                prop_assert_eq!(part.range().complete(), complete as u64);
            }
        }
    }

    #[test]
    fn any_range_within_a_part_is_the_slice_of_the_whole(
        whole in "[a-z]{2,40}",
        (start, length) in (0usize..40, 1usize..40),
        (first, more) in (0u64..50, 0u64..50),
    ) {
        let end = (start + length).min(whole.len());
        prop_assume!(start < end && end - start < whole.len());
        let stored = stored_part(start as u64, &whole[start..end], whole.len() as u64, &[]);
        let answering = stored.answers(&ask(&format!("bytes={first}-{}", first + more)));
        let last = (first + more).min(whole.len() as u64 - 1);
        let within = start as u64 <= first && first <= last && last < end as u64;
        prop_assert_eq!(answering.is_some(), within);
        if let Some(range) = answering {
            let bytes = stored.content(range.span()).unwrap();
            prop_assert_eq!(&bytes[..], &whole.as_bytes()[first as usize..=last as usize]);
        }
    }
}

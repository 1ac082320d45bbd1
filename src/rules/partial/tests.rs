//! Tables and laws of stored parts.

use proptest::prelude::*;

use super::*;
use crate::rules::completion::Completion;
use crate::rules::judge::part::conditional;
use crate::rules::outcome::Proof;
use crate::rules::testing::{OriginAnswer, answer, exchange, get, head, policy, policy_with, stored_part, verify};

const OLD: (&str, &str) = ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
const LATER: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:02 GMT");

fn span(start: u64, end: u64) -> Span {
    Span::new(start, end).unwrap()
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
    let received = |bytes: &'static str| RecordedPart::received(&[Bytes::from_static(bytes.as_bytes())], range);
    assert!(received("456789").is_ok());
    for contradicting in ["01234", "0123456", ""] {
        assert_eq!(received(contradicting).map(|_| ()), Err(SkipReason::Contradicted), "{contradicting}");
    }
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
fn which_answers_complete_a_part() {
    let tag = ("etag", "\"1\"");
    let end = || answer(206).with("content-range", "bytes 5-9/10").etag("\"1\"");
    let completion = Completion::of(&stored_part(0, "01234", 10, &[tag, ("a", "1"), ("b", "1")]), &policy()).unwrap();
    let judged = |answer: &OriginAnswer, length| completion.judge(answer.parts(), length, &policy(), exchange());
    let completed = judged(&end().with("a", "2"), Some(5)).unwrap();
    let field = |name: &str| completed.head.fields[name].to_str().unwrap().to_owned();
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
    let recorded = RecordedPart::received(&[Bytes::from_static(b"abc")], ContentRange::new(span(0, 3), 3).unwrap());
    let kept = Kept::of(answer(200).head(&policy()), recorded.unwrap(), &HeaderMap::new(), exchange().standing);
    assert!(matches!(kept, Ok(Kept::Whole(whole)) if whole.len() == 3), "RFC 9110 §15.3.7.3");
}

#[test]
fn a_route_bounds_what_is_combined() {
    let stored = stored_part(0, "01234", 10, &[("etag", "\"1\"")]);
    let more =
        RecordedPart::received(&[Bytes::from_static(b"567")], ContentRange::new(span(5, 8), 10).unwrap()).unwrap();
    let combined = |object_max| {
        let policy = policy_with(|policy| policy.object_max = object_max);
        stored.combined(&more, &head(&[("etag", "\"1\"")]), &HeaderMap::new(), &policy, exchange())
    };
    assert!(combined(8).is_some());
    assert!(combined(7).is_none());
}

proptest! {
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
        let range = ContentRange::new(span(c as u64, d as u64), complete as u64).unwrap();
        let newer = RecordedPart::received(&[Bytes::copy_from_slice(&whole.as_bytes()[c..d])], range).unwrap();
        let combined = stored.combined(&newer, &head(&[("etag", "\"1\"")]), &HeaderMap::new(), &policy(), exchange());
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

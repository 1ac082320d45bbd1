//! Tables and laws of ranges.

use proptest::prelude::*;

use super::*;
use crate::rules::testing::{Lines, any_head, head};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn read(lines: &[(&str, &str)]) -> Asked {
    asked(&Method::GET, &head(lines))
}

fn ranges(value: &str) -> RangeRequest {
    match read(&[("range", value)]) {
        Asked::Bytes(request) => request,
        other => panic!("{value}: {other:?}"),
    }
}

/// What a `Range` comes to, as text: `0-4` or `0-4, 9-9`.
fn resolved(value: &str, complete: u64) -> String {
    let text = |span: &Span| format!("{}-{}", span.start, span.end - 1);
    match ranges(value).resolve(complete) {
        Resolved::Whole => "whole".to_owned(),
        Resolved::One(span) => text(&span),
        Resolved::Several(spans) => spans.iter().map(text).collect::<Vec<_>>().join(", "),
        Resolved::Unsatisfiable => "unsatisfiable".to_owned(),
    }
}

#[test]
fn which_ranges_a_cache_reads() {
    let many = format!("bytes={}", vec!["0-0"; RANGES_MAX + 1].join(","));
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<(), Asked>);
    let rows: &[Row<'_>] = &[
        ("no Range", &[], Err(Asked::Whole)),
        ("If-Range alone is ignored (RFC 9110 §13.1.5)", &[("if-range", "\"1\"")], Err(Asked::Whole)),
        ("first and last (§14.1.2)", &[("range", "bytes=0-4")], Ok(())),
        ("an open end", &[("range", "bytes=5-")], Ok(())),
        ("a suffix", &[("range", "bytes=-5")], Ok(())),
        ("several, with whitespace and empty members (§5.6.1)", &[("range", "bytes=0-0, ,-1 ,")], Ok(())),
        ("units have no case (§14.1)", &[("range", "Bytes=0-4")], Ok(())),
        ("another unit is the origin's to understand (§14.2)", &[("range", "items=0-4")], Err(Asked::Foreign)),
        ("and so is no unit", &[("range", "0-4")], Err(Asked::Foreign)),
        ("and two fields", &[("range", "bytes=0-4"), ("range", "bytes=5-")], Err(Asked::Foreign)),
        ("last before first is invalid (§14.1.1)", &[("range", "bytes=4-0")], Err(Asked::Whole)),
        ("one invalid member spoils all", &[("range", "bytes=0-4,4-0")], Err(Asked::Whole)),
        ("no set", &[("range", "bytes=")], Err(Asked::Whole)),
        ("no numbers", &[("range", "bytes=-")], Err(Asked::Whole)),
        ("signs are no digits", &[("range", "bytes=+0-4")], Err(Asked::Whole)),
        ("more than are served (§14.2)", &[("range", &many)], Err(Asked::Whole)),
    ];
    for (sentence, lines, expected) in rows {
        let asked = match read(lines) {
            Asked::Bytes(_) => Ok(()),
            other => Err(other),
        };
        assert_eq!(asked, *expected, "{sentence}");
    }
    let range = head(&[("range", "bytes=0-4")]);
    assert_eq!(asked(&Method::HEAD, &range), Asked::Whole, "RFC 9110 §14.2: HEAD ignores Range");
}

#[test]
fn what_ranges_come_to() {
    let rows = [
        ("first and last", "bytes=2-4", 10, "2-4"),
        ("the last byte is included", "bytes=9-9", 10, "9-9"),
        ("an open end", "bytes=6-", 10, "6-9"),
        ("past the end is the remainder (RFC 9110 §14.1.2)", "bytes=6-99", 10, "6-9"),
        ("numbers that no 64 bits hold", "bytes=6-99999999999999999999999", 10, "6-9"),
        ("a suffix", "bytes=-3", 10, "7-9"),
        ("a longer suffix is everything", "bytes=-30", 10, "0-9"),
        ("everything", "bytes=0-", 10, "0-9"),
        ("beginning at the end", "bytes=10-", 10, "unsatisfiable"),
        ("a suffix of nothing", "bytes=-0", 10, "unsatisfiable"),
        ("of nothing", "bytes=0-", 0, "unsatisfiable"),
        ("the end of nothing", "bytes=-5", 0, "whole"),
        ("what cannot be satisfied is left out", "bytes=2000-,0-4", 1000, "0-4"),
        ("a later one that takes an earlier one in", "bytes=900-909,0-4,500-", 910, "500-909, 0-4"),
        ("several", "bytes=0-4,500-504", 1000, "0-4, 500-504"),
        ("in the order asked for (§15.3.7.2)", "bytes=-5,0-4", 1000, "995-999, 0-4"),
        ("overlapping ones are one", "bytes=0-4,2-7", 1000, "0-7"),
        ("touching ones are one", "bytes=5-9,0-4", 1000, "0-9"),
        ("so are those whose gap costs less than a part", "bytes=0-4,85-90", 1000, "0-90"),
        ("not those whose gap costs more", "bytes=0-4,86-90", 1000, "0-4, 86-90"),
        ("one that joins two", "bytes=0-4,500-504,3-501", 1000, "0-504"),
    ];
    for (sentence, value, complete, expected) in rows {
        assert_eq!(resolved(value, complete), expected, "{sentence}");
    }
}

#[test]
fn when_a_part_may_be_sent() {
    let rows: &[(&str, Lines, bool)] = &[
        ("without a condition", &[], true),
        ("the strong tag (RFC 9110 §13.1.5)", &[("if-range", "\"1\"")], true),
        ("another tag", &[("if-range", "\"2\"")], false),
        ("a weak tag never", &[("if-range", "W/\"1\"")], false),
        ("the very date", &[("if-range", MODIFIED)], true),
        ("a later date is another", &[("if-range", "Sun, 06 Nov 1994 08:49:38 GMT")], false),
        ("nothing that is a validator", &[("if-range", "yesterday")], false),
        ("two fields", &[("if-range", "\"1\""), ("if-range", "\"1\"")], false),
    ];
    let representation = head(&[("etag", "\"1\""), ("last-modified", MODIFIED)]);
    let (tag, date) = (EntityTag::of(&representation), date_of(&representation, header::LAST_MODIFIED));
    for (sentence, lines, expected) in rows {
        let lines: Vec<_> = lines.iter().copied().chain([("range", "bytes=0-")]).collect();
        let Asked::Bytes(request) = read(&lines) else { panic!("{sentence}") };
        assert_eq!(request.holds(tag.as_ref(), date), *expected, "{sentence}");
        assert_eq!(request.is_conditional(), lines.len() > 1, "{sentence}");
        assert!(!request.is_conditional() || !request.holds(None, None), "{sentence}: nothing to compare with");
    }
    let weak = EntityTag::new(true, b"1");
    let Asked::Bytes(request) = read(&[("range", "bytes=0-"), ("if-range", "\"1\"")]) else { panic!() };
    assert!(!request.holds(weak.as_ref(), None), "a representation's weak tag is none");
}

#[test]
fn what_a_content_range_says() {
    let said = |value: &str| {
        ContentRange::of(&head(&[("content-range", value)]))
            .map(|range| (range.span().start(), range.span().end(), range.complete()))
    };
    assert_eq!(said("bytes 0-4/10"), Some((0, 5, 10)));
    assert_eq!(said(" Bytes 9-9/10 "), Some((9, 10, 10)));
    for not in [
        "",
        "bytes 0-4",
        "bytes 0-4/*",
        "bytes */10",
        "bytes 4-0/10",
        "bytes 5-10/10",
        "items 0-4/10",
        "bytes=0-4/10",
        "bytes 0-4/18446744073709551615",
        "bytes 0-4/10, bytes 5-9/10",
    ] {
        assert_eq!(said(not), None, "RFC 9110 §14.4: {not}");
    }
    let twice = head(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
    assert_eq!(ContentRange::of(&twice), None, "one part has one");
    assert_eq!(unsatisfied(10), "bytes */10");
}

proptest! {
    #[test]
    fn what_is_rendered_is_read(start in 0u64..u64::MAX / 4, length in 1u64..u64::MAX / 4, rest in 0u64..u64::MAX / 4) {
        let range = ContentRange::new(Span::new(start, start + length).unwrap(), start + length + rest).unwrap();
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_RANGE, range.to_header_value());
        prop_assert_eq!(ContentRange::of(&head), Some(range));
    }

    #[test]
    fn a_resolved_range_has_every_byte_that_was_asked_for_and_no_other_but_short_gaps(
        asked in proptest::collection::vec((0u64..700, 0u64..200), 1..=RANGES_MAX),
        complete in 0u64..700,
    ) {
        let set: Vec<_> = asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
        let spans = match ranges(&format!("bytes={}", set.join(","))).resolve(complete) {
            Resolved::Whole => return Err(TestCaseError::fail("only for suffixes of nothing")),
            Resolved::One(span) => vec![span],
            Resolved::Several(spans) => spans,
            Resolved::Unsatisfiable => Vec::new(),
        };
        let wanted = |byte: u64| asked.iter().any(|(first, more)| (*first..=first + more).contains(&byte));
        let sent = |byte: u64| spans.iter().filter(|span| (span.start..span.end).contains(&byte)).count();
        let mut unwanted = 0;
        for byte in 0..complete {
            prop_assert!(sent(byte) <= 1, "no byte twice");
            prop_assert!(!wanted(byte) || sent(byte) == 1, "byte {byte}");
            unwanted = if sent(byte) == 1 && !wanted(byte) { unwanted + 1 } else { 0 };
            prop_assert!(unwanted <= GAP_MAX);
        }
        prop_assert!(spans.iter().all(|span| span.end <= complete));
    }

    #[test]
    fn no_field_makes_it_panic(any in any_head(&["range", "if-range", "content-range"]), complete: u64) {
        let _ = ContentRange::of(&any);
        if let Asked::Bytes(request) = asked(&Method::GET, &any) {
            let _ = (request.resolve(complete), request.holds(None, None));
        }
    }

    #[test]
    fn no_set_of_ranges_makes_it_panic(set in "[0-9, -]{0,40}", complete: u64) {
        if let Asked::Bytes(request) = read(&[("range", &format!("bytes={set}"))]) {
            let _ = request.resolve(complete);
        }
    }
}

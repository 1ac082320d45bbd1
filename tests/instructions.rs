//! The guard on instructions per request (`make instructions`) can fail: what it says of counts beside the record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../benches/instructions/record.rs"]
mod record;

use record::{Record, Verdict};

/// A record of one scenario.
fn recorded(count: u64) -> Record {
    format!("# Why.\n\nrustc 1.95.0 here\nhit {count}\n").parse().unwrap()
}

#[test]
fn a_scenario_fails_that_grew_by_more_than_five_percent_and_one_that_shrank_is_told() {
    for (measured, verdict, fails) in [
        (94_999, Verdict::Shrunk, false),
        (95_000, Verdict::Within, false),
        (100_000, Verdict::Within, false),
        (105_000, Verdict::Within, false),
        (105_001, Verdict::Grown, true),
    ] {
        let [change] = &recorded(100_000).changes(&recorded(measured))[..] else { panic!("one scenario, one change") };
        assert_eq!((change.verdict(), change.fails()), (verdict, fails), "{measured}");
        let told = change.advice();
        assert_eq!(told.contains("hit") && told.contains("make instructions UPDATE=1"), verdict != Verdict::Within);
    }
}

#[test]
fn a_scenario_that_is_only_recorded_or_only_measured_fails() {
    let (one, none) = (recorded(1), Record { counts: Vec::new(), ..recorded(1) });
    for (record, measured) in [(&one, &none), (&none, &one)] {
        let changes = record.changes(measured);
        assert!(changes.iter().all(|change| change.verdict() == Verdict::Unpaired && change.fails()));
        assert_eq!(changes.len(), 1);
    }
}

#[test]
fn a_row_says_both_counts_and_by_how_much_they_differ() {
    let changes = recorded(100_000).changes(&recorded(106_500));
    assert_eq!(changes[0].to_string(), "| hit | 100000 | 106500 | +6.5 % |");
}

#[test]
fn the_committed_record_is_one_and_is_written_as_it_is_read() {
    let text = include_str!("../benches/instructions/record.txt");
    let record: Record = text.parse().unwrap();
    let names: Vec<_> = record.counts.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["hit", "checked", "pass", "miss"]);
    assert_eq!(record.to_string(), text);
}

//! Conformance as data: rows that read like the RFCs' own sentences, each played against the real proxy.
//!
//! A row (`rows/*.rows`, the form is told in `row.rs`) has a sentence, the clause that decides it, and steps: what a
//! client asks, what the origin is asked and answers, what the client gets, and how much time goes by. Every row is
//! played in both modes, `every-hit` and `when-stale`, unless its sentence holds in one only. Time is paused, so all of
//! them together take about a second. docs/conformance.md is the table of them.
//!
//! `ROWS=word cargo test --test conformance` plays only the rows whose file name or sentence has the word in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod document;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/house.rs"]
mod house;
mod origin;
mod play;
mod row;

use std::path::{Path, PathBuf};

use play::play;
use row::{Mode, Topic};

/// The topics, in the order of their files' names.
fn topics() -> Vec<Topic> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/rows");
    let entries = std::fs::read_dir(directory).expect("the rows are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Topic::parse(file, &std::fs::read_to_string(file).unwrap())).collect()
}

/// Plays the rows on as many threads as there are, and gives what failed in the order of the rows.
fn failures(topics: &[Topic]) -> (usize, Vec<String>) {
    let wanted = std::env::var("ROWS").unwrap_or_default();
    let plays: Vec<_> = topics
        .iter()
        .flat_map(|topic| topic.rows.iter().map(move |row| (topic, row)))
        .filter(|(topic, row)| topic.file.contains(&wanted) || row.sentence.contains(&wanted))
        .flat_map(|(topic, row)| row.modes().map(move |mode| (topic, row, mode)))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let chunks = plays.chunks(plays.len().div_ceil(threads).max(1));
        let handles: Vec<_> = chunks
            .map(|chunk| {
                scope.spawn(move || {
                    let told = chunk.iter().filter_map(|(topic, row, mode)| {
                        let fault = play(row, *mode).err()?;
                        Some(format!("{}:{}: {} [{}]\n    {fault}", topic.file, row.line, row.sentence, mode.as_str()))
                    });
                    told.collect::<Vec<_>>()
                })
            })
            .collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a row does not panic")).collect()
    });
    (plays.len(), failed)
}

#[test]
fn every_row_holds() {
    let (played, failed) = failures(&topics());
    assert!(played > 0, "no row has that word");
    assert!(failed.is_empty(), "{} of {played} plays failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_committed_table_is_up_to_date() {
    let text = document::render(&topics());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/conformance.md is out of date: run `make generate`");
}

#[test]
fn a_sentence_is_said_once() {
    let topics = topics();
    let rows = topics.iter().flat_map(|topic| topic.rows.iter());
    let mut sentences: Vec<_> = rows.map(|row| (&row.sentence, row.line, &row.clause)).collect();
    sentences.sort_unstable();
    sentences.dedup();
    let twice: Vec<_> = sentences.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// The interpreter finds what is wrong: each of these steps is false, and the fault says so.
#[test]
fn a_false_row_fails() {
    const STORED: &str = "> GET\n< miss 200 one\nCache-Control: max-age=60\nETag: \"1\"\n> GET\n";
    for (mode, steps, fault) in [
        (Mode::WhenStale, "< miss 200 two", "the origin was not asked"),
        (Mode::WhenStale, "< hit\n= 200 two", "content"),
        (Mode::WhenStale, "< hit\n= 404", "status"),
        (Mode::WhenStale, "< hit\n= 200\nETag: \"2\"", "etag"),
        (Mode::WhenStale, "< hit\n= 200\n!ETag", "etag"),
        (Mode::WhenStale, "< hit\n= 200\nX-A", "x-a"),
        (Mode::WhenStale, "wait 60s\n> GET\n< hit", "the origin was asked"),
        (Mode::EveryHit, "< unasked", "the origin was asked"),
        (Mode::EveryHit, "< miss 200 two", "with conditions"),
        (Mode::EveryHit, "< any 200 two\n? If-None-Match: \"2\"", "if-none-match"),
        (Mode::EveryHit, "< any 200 two\n? !If-None-Match", "if-none-match"),
    ] {
        let text = format!("topic: Faults\nrow: A false row.\nmust RFC 9111 §4\n{STORED}{steps}\n");
        let topic = Topic::parse(Path::new("faults.rows"), &text);
        let error = play(&topic.rows[0], mode).expect_err(steps);
        assert!(error.contains(fault), "{steps}: {error}");
    }
}

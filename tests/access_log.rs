//! What a line of the access log says, and what it never says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use truehit::access_log::{AccessLog, CheckNote, Entry};
use truehit::metrics::CheckResult;
use truehit::rules::outcome::{Kind, Outcome};
use truehit::rules::policy::Strategy;

/// A standard output that hands each line over, and waits until it is taken.
struct Lines(mpsc::SyncSender<String>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.send(String::from_utf8(line.to_vec()).unwrap()).map_err(std::io::Error::other)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn entry<'a>(outcome: &'a Outcome, path: &'a str, query: Option<&'a str>) -> Entry<'a> {
    Entry {
        arrived: UNIX_EPOCH + Duration::from_millis(1_795_234_567_089),
        method: &Method::GET,
        route: "users",
        host: Some("api.example"),
        path,
        query,
        status: StatusCode::OK,
        bytes: 42,
        elapsed: Duration::from_micros(1_234),
        outcome,
        check: None,
        peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}

/// The line that this entry makes.
fn line(entry: &Entry<'_>) -> String {
    let (sender, lines) = mpsc::sync_channel(1);
    let (log, _guard) = AccessLog::to(Lines(sender), 16, true);
    log.record(entry);
    lines.recv().unwrap()
}

#[test]
fn a_line_says_how_the_request_ended_in_the_words_of_cache_status() {
    let outcome = Outcome {
        fwd_status: Some(StatusCode::NOT_MODIFIED),
        collapsed: true,
        ..Outcome::new(Kind::Checked, "strong-tag")
    };
    let check =
        CheckNote { strategy: Strategy::Conditional, result: CheckResult::Same, elapsed: Duration::from_micros(987) };
    let entry = Entry { check: Some(check), ..entry(&outcome, "/users/1", Some("token=secret&page=2")) };
    insta::assert_snapshot!(line(&entry).trim_end(), @r#"{"ts":"2026-11-21T04:16:07.089Z","method":"GET","route":"users","host":"api.example","path":"/users/1","query":"token=*&page=*","status":200,"bytes":42,"dur_ms":1.234,"outcome":"checked","reason":"strong-tag","fwd_status":304,"collapsed":true,"stored":false,"check":{"strategy":"conditional","result":"same","ms":0.987},"peer":"127.0.0.1"}"#);
}

#[test]
fn a_client_cannot_write_a_second_line_or_a_terminal_sequence() {
    let outcome = Outcome::new(Kind::Miss, "uri-miss");
    let line = line(&Entry { host: Some("a\r\n{\"forged\":1}\u{1b}[2J"), ..entry(&outcome, "/", None) });
    assert_eq!(line.matches('\n').count(), 1);
    assert!(!line.contains('\u{1b}') && !line.contains('\r'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["host"], "a\r\n{\"forged\":1}\u{1b}[2J");
}

#[test]
fn a_line_is_bounded_whatever_the_client_sends() {
    let outcome = Outcome::new(Kind::Miss, "uri-miss");
    let long = "/x".repeat(32 * 1024);
    let query = "name=value&".repeat(6_000);
    let line = line(&Entry { host: Some(&long), ..entry(&outcome, &long, Some(&query)) });
    assert!(line.len() < 4096, "{} bytes", line.len());
}

#[test]
fn a_blocked_standard_output_costs_lines_and_never_holds_a_request() {
    let (sender, lines) = mpsc::sync_channel(0);
    let (log, guard) = AccessLog::to(Lines(sender), 4, true);
    let outcome = Outcome::new(Kind::Miss, "uri-miss");
    // The writer's thread holds one line that nobody takes; four wait; the rest cannot.
    for _ in 0..100 {
        log.record(&entry(&outcome, "/", None));
    }
    let dropped = log.dropped_lines();
    assert!((95..=96).contains(&dropped), "{dropped}");
    // Every line was either written or counted.
    let written = std::thread::spawn(move || lines.iter().count());
    drop(log);
    drop(guard);
    assert_eq!(u64::try_from(written.join().unwrap()).unwrap() + dropped, 100);
}

#[test]
fn a_log_that_is_off_writes_nothing_until_it_is_turned_on() {
    let (sender, lines) = mpsc::sync_channel(1);
    let (log, _guard) = AccessLog::to(Lines(sender), 16, false);
    let outcome = Outcome::new(Kind::Miss, "uri-miss");
    log.record(&entry(&outcome, "/first", None));
    log.set(true);
    log.record(&entry(&outcome, "/second", None));
    assert!(lines.recv().unwrap().contains("/second"));
}

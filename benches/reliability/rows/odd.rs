//! G14, G17 and G20: another's test of HTTP/2, a clock that jumps, and an origin that says nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Scale;
use crate::client::Kept;
use crate::ledger::Ledger;
use crate::load::{Load, Place, Pressure, judge};
use crate::report::Report;
use crate::site::KEYS;
use crate::stand::{CONTINUE, Manners, Origin, STOP, Sidecar, program};

/// G14.
pub async fn h2(_: Scale) -> Report {
    let mut report = Report::new("G14", "HTTP/2 by h2spec", "all of its tests".to_owned());
    let origin = Origin::start(Manners::default());
    let sidecar = Sidecar::start(origin.address, "");
    let port = sidecar.address.port().to_string();
    let mut command = Command::new("h2spec");
    command.args(["-h", "127.0.0.1", "-p", &port, "-P", "/k/1", "-o", "5"]).stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output()).await.expect("it does not panic");
    let Ok(output) = run else {
        report.not_run("h2spec");
        return report;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().rev().find(|line| line.contains("passed")).unwrap_or("no summary").to_owned();
    let failed = last.split(", ").find_map(|part| part.strip_suffix(" failed")?.parse::<u64>().ok());
    report.hold("h2spec", last, "at most 1 failed", failed.is_some_and(|failed| failed <= 1));
    report
}

/// Where Debian has the library that tells a process another time.
const FAKETIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// Days from today, in turn.
const JUMPS: [&str; 4] = ["+10d", "-10d", "+0", "+3650d"];

/// G17.
pub async fn clock(scale: Scale) -> Report {
    let (seconds, every) = (scale.of(8, 120), scale.of(1, 5));
    let mut report =
        Report::new("G17", "a clock that jumps", format!("{seconds} s; the wall clock jumps every {every} s"));
    let Some(library) = FAKETIME.map(Path::new).into_iter().find(|path| path.exists()) else {
        report.not_run("libfaketime");
        return report;
    };
    let said = Said::new();
    said.say("+0");
    let mut command = Command::new(program());
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &said.0)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let origin = Origin::start(Manners::default());
    let more = "[[route]]\nname = \"registers\"\npaths = [\"/k/**\"]\n\
                [[route]]\nname = \"aged\"\nverify = \"when-stale\"\n";
    let sidecar = Sidecar::start_as(command, 0, origin.address, more);
    let ledger = Arc::new(Ledger::new());
    let pressure =
        Pressure { readers: 16, writers: 4, every: Duration::from_millis(5), reads: u64::MAX, pause: Duration::ZERO };
    let load = Load::start(&ledger, &Place::new(sidecar.address), origin.address, pressure);
    let (begun, mut jumps, mut link) = (Instant::now(), 0, Kept::to(sidecar.address));
    let (mut aged, mut wrong, mut failed) = (0, 0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        said.say(JUMPS[jumps % JUMPS.len()]);
        jumps += 1;
        let until = begun.elapsed() + Duration::from_secs(every);
        while begun.elapsed() < until {
            for key in 0..8 {
                match link.get(&format!("/fresh/500/{key}")).await {
                    Ok(reply) if reply.status == 200 => {
                        let age = reply.field("age");
                        aged += u64::from(!age.is_empty());
                        wrong += u64::from(!age.is_empty() && age.parse::<u32>().is_err());
                    }
                    _ => failed += 1,
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    let (tally, took) = load.stop().await;
    report.tell("jumps", jumps);
    // That the jumps were seen is shown by a time that truehit tells: that of its last reload.
    let told = "truehit_config_last_reload_success_timestamp_seconds";
    let began = sidecar.metric(told).await;
    said.say("+10d");
    sidecar.configure(origin.address, more);
    let moved = |now: f64| (now - began).abs() > 1.0;
    crate::stand::comes_true(Duration::from_secs(10), || async { moved(sidecar.metric(told).await) }).await;
    let days = (sidecar.metric(told).await - began) / 86_400.0;
    let seen = (9.9..10.1).contains(&days);
    report.hold("days between the start and a reload after a jump of 10", format!("{days:.2}"), "10", seen);
    judge(&mut report, &ledger, took);
    report.none("answers other than 200, and failures", tally.other_statuses(&[200]) + tally.all_failed() + failed);
    report.tell("responses with an Age", aged);
    report.none("of them negative or no number", wrong);
    report.none("panics", counted(sidecar.metric("truehit_handler_panics_total").await));
    report
}

/// What the time is said to be: a file, removed with it.
struct Said(PathBuf);

impl Said {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("truehit-reliability-{}-clock", std::process::id())))
    }

    fn say(&self, time: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, time).and_then(|()| std::fs::rename(&new, &self.0)).expect("a temporary file");
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How long the origin may be silent, in the row below.
const SILENCE: Duration = Duration::from_secs(1);

/// G20.
pub async fn unverifiable(scale: Scale) -> Report {
    let rounds = scale.of(1, 5);
    let size = format!("the origin is stopped (SIGSTOP) {rounds} times; {KEYS} clients at a time");
    let mut report = Report::new("G20", "an origin that says nothing", size);
    let origin = Origin::start(Manners::default());
    let more = format!(
        "origin.response_timeout = \"{}ms\"\n[[route]]\nname = \"registers\"\npaths = [\"/k/**\"]\n\
         [[route]]\nname = \"excused\"\non_check_error = \"serve-stale\"\n",
        SILENCE.as_millis()
    );
    let sidecar = Sidecar::start(origin.address, &more);
    let (mut refused, mut marked, mut served, mut unmarked, mut longest) = (0, 0, 0, 0, Duration::ZERO);
    for _ in 0..rounds {
        for key in 0..KEYS {
            for target in targets(key) {
                let reply = Kept::to(sidecar.address).get(&target).await;
                assert!(reply.is_ok_and(|reply| reply.status == 200), "it is stored while all is well");
            }
        }
        origin.signal(STOP);
        let clients: Vec<_> = (0..KEYS)
            .flat_map(targets)
            .map(|target| {
                let address = sidecar.address;
                tokio::spawn(async move {
                    let asked = Instant::now();
                    let reply = Kept::to(address).get(&target).await;
                    (target, reply, asked.elapsed())
                })
            })
            .collect();
        for client in clients {
            let (target, reply, took) = client.await.expect("a client does not panic");
            longest = longest.max(took);
            match reply {
                Ok(reply) if target.starts_with("/k/") => match reply.status {
                    503 | 504 => refused += 1,
                    _ => served += 1,
                },
                Ok(reply) if reply.status == 200 && reply.field("cache-status").contains("detail=stale-if-error") => {
                    marked += 1
                }
                _ => unmarked += 1,
            }
        }
        origin.signal(CONTINUE);
        sleep(SILENCE).await;
        let mut link = Kept::to(sidecar.address);
        crate::stand::comes_true(Duration::from_secs(10), || async {
            Kept::to(sidecar.address).get("/k/0").await.is_ok_and(|reply| reply.status == 200)
        })
        .await;
        let _ = link.get("/k/1").await;
    }
    let all = KEYS as u64 * rounds;
    report.hold("by default: refused with 504, or 503 by a breaker", refused, all.to_string(), refused == all);
    report.none("by default: anything else", served);
    report.hold("where a route allows it: served, and marked `stale-if-error`", marked, all.to_string(), marked == all);
    report.none("where a route allows it: anything else", unmarked);
    let excused = sidecar.metric("truehit_excused_total{route=\"excused\",policy=\"stale-if-error\"}").await;
    report.hold("the same, by the metric", excused, all.to_string(), counted(excused) == all);
    // Two checks may follow each other: one that began before the origin was stopped, and one's own.
    report.at_most("longest wait", longest.as_secs_f64() * 1e3, 2.0 * SILENCE.as_secs_f64() * 1e3 + 500.0, "ms");
    report
}

/// A register, and something that a route serves stale.
fn targets(key: usize) -> [String; 2] {
    [format!("/k/{key}"), format!("/checked/500/{key}")]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
pub(super) fn counted(value: f64) -> u64 {
    value as u64
}

//! G01 and G02: registers read through truehit while they are written around it, in good weather and in bad.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::Scale;
use crate::ledger::Ledger;
use crate::load::{Load, Place, Pressure, judge};
use crate::relay::{Relay, Weather};
use crate::report::Report;
use crate::site::KEYS;
use crate::stand::{Manners, Origin, Sidecar};

const READERS: usize = 64;
const WRITERS: usize = 8;

/// Two hundred writes a second, of each writer.
const EVERY: Duration = Duration::from_millis(5);

/// G01.
pub async fn plain(scale: Scale) -> Report {
    let reads = scale.of(60_000, 10_000_000);
    let size = format!("{KEYS} keys, {WRITERS} writers, {READERS} readers, {reads} reads");
    let mut report = Report::new("G01", "linearizable reads", size);
    let ledger = Arc::new(Ledger::new());
    let origin = Origin::start(Manners::default());
    let sidecar = Sidecar::start(origin.address, "");
    let pressure = Pressure { readers: READERS, writers: WRITERS, every: EVERY, reads, pause: Duration::ZERO };
    let load = Load::start(&ledger, &Place::new(sidecar.address), origin.address, pressure);
    let (tally, took) = load.run(Duration::from_secs(scale.of(30, 1_800))).await;
    judge(&mut report, &ledger, took);
    report.none("answers other than 200", tally.other_statuses(&[200]));
    report.none("requests without an answer", tally.all_failed());
    report.tell(
        "origin requests per read",
        format!("{:.3}", share(origin.count("requests").await, tally.with_status(200))),
    );
    report.tell("confidence", "no violation in n reads: fewer than 3 in n, with 95 %");
    report
}

/// G02.
pub async fn flaky(scale: Scale) -> Report {
    let reads = scale.of(10_000, 1_000_000);
    let weather = Weather {
        jitter: Duration::from_millis(50),
        resets: 50,
        cuts: 10,
        stalls: 5,
        stalled_for: Duration::from_secs(5),
    };
    let size = format!(
        "{reads} reads; of what the origin sends, each piece up to 50 ms late; 5 % cut and reset, 1 % cut and ended, 0.5 % \
         never come"
    );
    let mut report = Report::new("G02", "linearizable reads over a bad network", size);
    let ledger = Arc::new(Ledger::new());
    let origin = Origin::start(Manners::default());
    let relay = Relay::start(origin.address, weather).await;
    let sidecar = Sidecar::start(
        relay.address,
        "origin.response_timeout = \"1s\"\norigin.progress_timeout = \"1s\"\norigin.connect_timeout = \"1s\"",
    );
    let pause = Duration::from_millis(1);
    let pressure = Pressure { readers: READERS, writers: WRITERS, every: EVERY, reads, pause };
    let load = Load::start(&ledger, &Place::new(sidecar.address), origin.address, pressure);
    let (tally, took) = load.run(Duration::from_secs(scale.of(30, 1_800))).await;
    judge(&mut report, &ledger, took);
    tally.tell(&mut report);
    let done = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let damage = &relay.damage;
    report.tell(
        "resets, cuts, stalls",
        format!("{}, {}, {}", done(&damage.resets), done(&damage.cuts), done(&damage.stalls)),
    );
    report.none("answers other than 200, 502, 503 and 504", tally.other_statuses(&[200, 502, 503, 504]));
    report.none(
        "requests without an answer (content that was seen to be cut is one)",
        tally.all_failed() - tally.failed("cut"),
    );
    report
}

/// One count as a share of another.
fn share(part: u64, whole: u64) -> f64 {
    crate::report::figure(part) / crate::report::figure(whole.max(1))
}

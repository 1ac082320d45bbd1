//! G05, G07 and G08: processes that are killed, restarted, reloaded and told to end, under load.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Scale;
use crate::client::Kept;
use crate::ledger::Ledger;
use crate::load::{Load, Place, Pressure, judge};
use crate::report::Report;
use crate::stand::{Manners, Origin, Sidecar, comes_true};

/// Thirty-two readers, four writers.
const PRESSURE: Pressure = Pressure {
    readers: 32,
    writers: 4,
    every: Duration::from_millis(5),
    reads: u64::MAX,
    pause: Duration::from_millis(2),
};

/// The highest of some times, in ms.
fn highest_ms(times: &[Duration]) -> f64 {
    times.iter().max().map_or(f64::NAN, |longest| longest.as_secs_f64() * 1e3)
}

/// The middle one.
fn median_ms(times: &[Duration]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(f64::NAN, |middle| middle.as_secs_f64() * 1e3)
}

/// Asks until it is answered with 200; how long that took.
async fn until_served(place: &Place) -> Option<Duration> {
    let begun = Instant::now();
    let served = comes_true(Duration::from_secs(20), || async {
        let answer = Kept::to(place.get()).get("/k/0").await;
        answer.is_ok_and(|reply| reply.status == 200)
    });
    served.await.then(|| begun.elapsed())
}

/// G05.
pub async fn origin(scale: Scale) -> Report {
    let times = scale.of(8, 200);
    let mut report =
        Report::new("G05", "the origin is killed", format!("SIGKILL {times} times, 1.5 s apart, under load"));
    let ledger = Arc::new(Ledger::new());
    let mut origin = Some(Origin::start(Manners::default()));
    let address = origin.as_ref().expect("it was just started").address;
    let sidecar = Sidecar::start(address, "");
    let place = Place::new(sidecar.address);
    let load = Load::start(&ledger, &place, address, PRESSURE);
    let mut recoveries = Vec::new();
    for _ in 0..times {
        sleep(Duration::from_millis(1_000)).await;
        if let Some(running) = origin.take() {
            running.kill().await;
        }
        let version = ledger.begin_anew();
        sleep(Duration::from_millis(500)).await;
        origin = Some(Origin::start(Manners { port: address.port(), version, ..Manners::default() }));
        ledger.begun_anew(version);
        recoveries.extend(until_served(&place).await);
    }
    let (tally, took) = load.stop().await;
    judge(&mut report, &ledger, took);
    tally.tell(&mut report);
    report.none("answers other than 200, 502, 503 and 504", tally.other_statuses(&[200, 502, 503, 504]));
    report.none(
        "requests without an answer (content that was seen to be cut is one)",
        tally.all_failed() - tally.failed("cut"),
    );
    report.hold("recoveries", recoveries.len(), times.to_string(), recoveries.len() as u64 == times);
    report.tell("ms from the origin listening to the first 200, median", format!("{:.0}", median_ms(&recoveries)));
    report.at_most("the same, longest", highest_ms(&recoveries), 1_000.0, "ms");
    report
}

/// G07.
pub async fn own(scale: Scale) -> Report {
    let times = scale.of(8, 50);
    let mut report =
        Report::new("G07", "truehit is killed", format!("SIGKILL {times} times under load, restarted at once"));
    let ledger = Arc::new(Ledger::new());
    let origin = Origin::start(Manners::default());
    let mut sidecar = Sidecar::start(origin.address, "");
    let (port, place) = (sidecar.address.port(), Place::new(sidecar.address));
    let load = Load::start(&ledger, &place, origin.address, PRESSURE);
    let (mut ready, mut served) = (Vec::new(), Vec::new());
    for _ in 0..times {
        sleep(Duration::from_millis(700)).await;
        sidecar.kill().await;
        let begun = Instant::now();
        sidecar = Sidecar::start_on(port, origin.address, "");
        ready.push(begun.elapsed());
        served.extend(until_served(&place).await);
    }
    let (tally, took) = load.stop().await;
    judge(&mut report, &ledger, took);
    tally.tell(&mut report);
    report.none("answers other than 200", tally.other_statuses(&[200]));
    report.tell("ms from the start to serving, median", format!("{:.0}", median_ms(&ready)));
    report.at_most("the same, longest", highest_ms(&ready), 200.0, "ms");
    report.hold("served again", served.len(), times.to_string(), served.len() as u64 == times);
    report
}

/// Two configurations in turn, and one that is refused.
const CONFIGURATIONS: [&str; 3] =
    ["defaults.object_max = \"4MiB\"", "defaults.object_max = \"2MiB\"", "defaults.object_max = \"much\""];

/// G08.
pub async fn reloads(scale: Scale) -> Report {
    let (reloads, ends) = (scale.of(15, 100), scale.of(3, 20));
    let mut report = Report::new(
        "G08",
        "reloads, and ends under load",
        format!("{reloads} reloads, every tenth of a broken file; {ends} times SIGTERM while another takes over"),
    );
    let more = "drain.delay = \"300ms\"\n";
    let ledger = Arc::new(Ledger::new());
    let origin = Origin::start(Manners::default());
    let mut sidecar = Sidecar::start(origin.address, more);
    let place = Place::new(sidecar.address);
    let load = Load::start(&ledger, &place, origin.address, PRESSURE);
    let mut wrong = 0;
    for number in 1..=reloads {
        let (broken, way) = (number % 10 == 0, usize::try_from(number % 2).unwrap_or_default());
        let result = if broken { "error" } else { "success" };
        let series = format!("truehit_config_reloads_total{{result=\"{result}\"}}");
        let before = sidecar.metric(&series).await;
        sidecar.configure(origin.address, &format!("{more}{}", CONFIGURATIONS[if broken { 2 } else { way }]));
        let counted = comes_true(Duration::from_secs(10), || async { sidecar.metric(&series).await > before });
        wrong += u64::from(!counted.await);
    }
    report.none("reloads that were not counted as they should be", wrong);
    let mut late = 0;
    for _ in 0..ends {
        let next = Sidecar::start(origin.address, more);
        place.set(next.address);
        let old = std::mem::replace(&mut sidecar, next);
        late += u64::from(!old.terminate(Duration::from_secs(20)).await);
        sleep(Duration::from_millis(100)).await;
    }
    report.none("processes that did not end in 20 s", late);
    let (tally, took) = load.stop().await;
    judge(&mut report, &ledger, took);
    tally.tell(&mut report);
    report.none("answers other than 200", tally.other_statuses(&[200]));
    report.none("requests without an answer", tally.all_failed());
    report
}

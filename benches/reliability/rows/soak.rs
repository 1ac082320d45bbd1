//! The soak: everything at once for a long time, and whether anything grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Scale;
use crate::client::{Client, Kept};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::load::{Load, Place, Pressure, judge};
use crate::report::{Report, figure, megabytes};
use crate::site::KEYS;
use crate::stand::{Manners, Origin, Sidecar};

/// How long, unless SOAK_MINUTES says another number.
const MINUTES: u64 = 30;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// What is looked at, and how much of it may be more every minute.
const GOALS: [(&str, &str, f64); 4] = [
    ("RSS", "MB", 1.0),
    ("descriptors", "", 1.0),
    ("threads", "", 0.2),
    ("exchanges running and requests waiting", "", 0.5),
];

pub async fn mixed(scale: Scale) -> Report {
    let said = std::env::var("SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    let minutes = said.unwrap_or_else(|| scale.of(2, MINUTES));
    let long = Duration::from_secs(60 * minutes);
    // What fills and warms up at the beginning is no growth.
    let settled = (long / 3).min(Duration::from_secs(300));
    let mut report = Report::new(
        "soak",
        "mixed load",
        format!("{minutes} minutes, the first {} s left out of the slopes", settled.as_secs()),
    );
    let origin = Origin::start(Manners::default());
    let more =
        "cache.memory = \"64MiB\"\n[[route]]\nname = \"grouped\"\npaths = [\"/grouped/**\"]\nverify = \"when-stale\"\n";
    let sidecar = Sidecar::start(origin.address, more);
    let ledger = Arc::new(Ledger::new());
    let pressure = Pressure {
        readers: 8,
        writers: 4,
        every: Duration::from_millis(10),
        reads: u64::MAX,
        pause: Duration::from_millis(1),
    };
    let load = Load::start(&ledger, &Place::new(sidecar.address), origin.address, pressure);
    let (done, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let others: Vec<_> = (0..8)
        .map(|number| {
            let (done, failed, address) = (Arc::clone(&done), Arc::clone(&failed), sidecar.address);
            tokio::spawn(async move {
                let (mut dice, mut link) = (Dice::new(number + 7), Kept::to(address));
                while !done.load(Ordering::Relaxed) {
                    failed.fetch_add(u64::from(!other(&mut dice, &mut link, address).await), Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (begun, mut samples, mut peak, mut reloads) = (Instant::now(), Vec::new(), 0, 0);
    while begun.elapsed() < long {
        sleep(EVERY).await;
        let vitals = sidecar.vitals();
        let under_way =
            sidecar.metric("truehit_running_exchanges").await + sidecar.metric("truehit_waiting_requests").await;
        let minute = begun.elapsed().as_secs_f64() / 60.0;
        peak = peak.max(vitals.peak_kib);
        samples
            .push((minute, [megabytes(vitals.rss_kib), figure(vitals.descriptors), figure(vitals.threads), under_way]));
        // Now and then the configuration is read anew.
        if samples.len() % 6 == 0 {
            reloads += 1;
            sidecar.configure(origin.address, more);
        }
    }
    done.store(true, Ordering::Relaxed);
    for one in others {
        one.await.expect("a client does not panic");
    }
    let (mut tally, took) = load.stop().await;
    let settled: Vec<_> = samples.iter().filter(|(minute, _)| *minute * 60.0 >= settled.as_secs_f64()).collect();
    for (place, (what, unit, goal)) in GOALS.into_iter().enumerate() {
        let points: Vec<(f64, f64)> = settled.iter().map(|(minute, values)| (*minute, values[place])).collect();
        let least = points.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        report.tell(format!("{what}: least and most"), format!("{least:.0} to {most:.0} {unit}"));
        let slope = slope(&points);
        report.hold(
            format!("{what}: slope"),
            format!("{slope:+.3} {unit} a minute"),
            format!("under {goal}"),
            slope < goal,
        );
    }
    report.tell("highest RSS", format!("{:.1} MB", megabytes(peak)));
    report.tell("reloads", reloads);
    judge(&mut report, &ledger, took);
    report.tell(
        "p50, p99 of reads of registers",
        format!("{:.2}, {:.2} ms", tally.quantile_ms(500), tally.quantile_ms(990)),
    );
    report.none("reads of registers that failed", tally.all_failed() + tally.other_statuses(&[200]));
    report.none("other requests that failed", failed.load(Ordering::Relaxed));
    report
}

/// Some other request; whether it went as it should.
async fn other(dice: &mut Dice, link: &mut Kept, address: std::net::SocketAddr) -> bool {
    let size = [300, 1_500, 4_000, 20_000, 120_000][dice.pick(5)];
    let status = match dice.below(1_000) {
        // Nobody asks for it again.
        0..400 => link.get(&format!("/checked/{size}/{}", dice.below(u64::MAX))).await,
        // Many do.
        400..800 => link.get(&format!("/grouped/{size}/{}", dice.below(200))).await,
        800..900 => link.ask("HEAD", &format!("/checked/{size}/{}", dice.below(200)), "").await,
        900..980 => link.ask("GET", "/mine", &format!("Authorization: user-{}\r\n", dice.below(500))).await,
        980..985 => link.ask("POST", "/grouped/1/all", "Content-Length: 0\r\n").await,
        985..990 => link.get(&format!("/long/{}/{}", 2_000_000 + dice.below(10_000_000), dice.below(1_000))).await,
        _ => {
            let Ok(mut client) = Client::connect(address).await else { return false };
            let _ = client.send("GET", &format!("/k/{}", dice.pick(KEYS)), "").await;
            // It leaves without its answer.
            sleep(Duration::from_micros(dice.below(2_000))).await;
            return true;
        }
    };
    if status.is_err() {
        link.hang_up();
    }
    // So that those who read registers have most of the machine.
    sleep(Duration::from_millis(2)).await;
    status.is_ok_and(|reply| matches!(reply.status, 200 | 204))
}

/// The slope of the line that is nearest to the points by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = figure(points.len() as u64);
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        ((point.0 - x).mul_add(point.1 - y, over), (point.0 - x).mul_add(point.0 - x, under))
    });
    over / under
}

//! G03 and G04: many clients who want the same, and all that is stored being invalidated at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::Scale;
use crate::client::Kept;
use crate::ledger::Ledger;
use crate::report::{Report, figure};
use crate::stand::{Manners, Origin, Sidecar};

const CLIENTS: usize = 1_000;

/// How long the origin takes.
const DELAY: Duration = Duration::from_millis(20);

/// How often the hot key is written.
const EVERY: Duration = Duration::from_millis(7);

/// G03.
pub async fn hot(scale: Scale) -> Report {
    let longest = Duration::from_secs(scale.of(4, 60));
    let size = format!("{CLIENTS} clients on one key for {} s, an origin that takes 20 ms", longest.as_secs());
    let mut report = Report::new("G03", "one hot key", size);
    let ledger = Arc::new(Ledger::new());
    let origin = Origin::start(Manners { delay: DELAY, ..Manners::default() });
    let sidecar = Sidecar::start(origin.address, "");
    // All ask at once for what nobody has asked for.
    let start = Arc::new(Barrier::new(CLIENTS));
    let (mut links, mut answered) = (Vec::new(), 0);
    let first: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mut link, start) = (Kept::to(sidecar.address), Arc::clone(&start));
            tokio::spawn(async move {
                // So that each has its connection.
                let _ = link.get("/k/1").await;
                start.wait().await;
                (link.get("/k/0").await.is_ok_and(|reply| reply.status == 200), link)
            })
        })
        .collect();
    for one in first {
        let (ok, link) = one.await.expect("a client does not panic");
        answered += u64::from(ok);
        links.push(link);
    }
    report.hold("cold: clients answered", answered, CLIENTS.to_string(), answered == CLIENTS as u64);
    let cold = origin.count("unconditional").await;
    report.hold("cold: GETs at the origin, for this key and the one before it", cold, "2", cold == 2);
    // Then all read on, while the key is written.
    origin.reset().await;
    let begun = Instant::now();
    let readers: Vec<_> = links
        .into_iter()
        .map(|mut link| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let (mut done, mut failed) = (0u64, 0u64);
                while begun.elapsed() < longest {
                    let sent = ledger.send(0);
                    match link.get("/k/0").await {
                        Ok(reply) if reply.status == 200 => {
                            ledger.receive(&sent, &reply);
                            done += 1;
                        }
                        _ => failed += 1,
                    }
                }
                (done, failed)
            })
        })
        .collect();
    let mut writer = Kept::to(origin.address);
    while begun.elapsed() < longest {
        let version = ledger.begin(0);
        if Origin::write(&mut writer, 0, version).await {
            ledger.acknowledge(0, version);
        }
        tokio::time::sleep(EVERY).await;
    }
    let (mut done, mut failed) = (0, 0);
    for reader in readers {
        let (of_one, failed_of_one) = reader.await.expect("a reader does not panic");
        done += of_one;
        failed += failed_of_one;
    }
    let took = begun.elapsed();
    let (checks, asked) =
        (sidecar.metric("truehit_check_duration_seconds_count{").await, origin.count("requests").await);
    let each = sidecar.metric("truehit_check_duration_seconds_sum{").await / checks.max(1.0);
    let allowed = 2.0f64.mul_add((took.as_secs_f64() / each).ceil(), 1.0);
    report.tell("hot: reads", done);
    report.tell("hot: ms that a check took, on average", format!("{:.1}", each * 1e3));
    report.at_most("hot: requests at the origin, two a check's time and one", figure(asked), allowed, "");
    report.tell("hot: reads per request at the origin", format!("{:.0}", figure(done) / figure(asked.max(1))));
    report.none("hot: failed requests", failed);
    report.none("hot: reads that a write before them, or a read, shows to be stale", ledger.violations());
    report
}

const HERD: usize = 500;

/// What `origin.connections_max` is.
const PLACES: u64 = 64;

/// G04.
pub async fn herd(scale: Scale) -> Report {
    let keys = scale.of(1_000, 10_000);
    let size = format!("{keys} keys, {HERD} clients, origin.connections_max = {PLACES}");
    let mut report = Report::new("G04", "everything is invalidated at once", size);
    let origin = Origin::start(Manners { delay: Duration::from_millis(2), ..Manners::default() });
    let more =
        format!("origin.connections_max = {PLACES}\ndefaults.verify = \"when-stale\"\ncache.memory = \"256MiB\"");
    let sidecar = Sidecar::start(origin.address, &more);
    for (name, counted) in [("cold", "unconditional"), ("after the invalidation", "requests")] {
        if name != "cold" {
            let done = Kept::to(sidecar.address).ask("POST", "/grouped/1/all", "Content-Length: 0\r\n").await;
            assert!(done.is_ok_and(|done| done.status == 204), "the group is invalidated");
        }
        origin.reset().await;
        let (failed, took) = walk(&sidecar, keys).await;
        let asked = origin.count(counted).await;
        let running = origin.count("most_running").await;
        report.hold(format!("{name}: requests at the origin"), asked, keys.to_string(), asked == keys);
        report.hold(format!("{name}: most of them at once"), running, format!("at most {PLACES}"), running <= PLACES);
        report.none(format!("{name}: failed requests"), failed);
        report.tell(format!("{name}: seconds"), format!("{:.1}", took.as_secs_f64()));
    }
    report
}

/// Asks for every key, eight clients at a time for each; how many requests failed.
async fn walk(sidecar: &Sidecar, keys: u64) -> (u64, Duration) {
    let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let clients: Vec<_> = (0..HERD)
        .map(|_| {
            let (next, mut link) = (Arc::clone(&next), Kept::to(sidecar.address));
            tokio::spawn(async move {
                let mut failed = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= keys * 8 {
                        return failed;
                    }
                    let answer = link.get(&format!("/grouped/1024/{}", number / 8)).await;
                    failed += u64::from(!answer.is_ok_and(|reply| reply.status == 200));
                }
            })
        })
        .collect();
    let mut failed = 0;
    for client in clients {
        failed += client.await.expect("a client does not panic");
    }
    (failed, begun.elapsed())
}

//! G11, G15 and G16: clients that are slow, clients that may not see each other's, and clients that leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::Scale;
use crate::client::{Client, Kept};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::load::{Load, Place, Pressure, Tally, judge};
use crate::report::{Report, figure, megabytes};
use crate::site::KEYS;
use crate::stand::{Manners, Origin, Sidecar, comes_true};

const SLOW: usize = 1_000;

/// The ways to be slow: what such a client sends before it dawdles, and whether it goes on a byte at a time.
const WAYS: [(&str, &str, bool); 4] = [
    ("says nothing", "", false),
    ("ends no head", "GET /k/0 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", true),
    ("ends no content", "POST /k/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", true),
    ("reads nothing", "GET /big/50000000/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", false),
];

/// G11.
pub async fn slow(scale: Scale) -> Report {
    let deadline = Duration::from_secs(scale.of(3, 10));
    let size = format!("{SLOW} of each kind; deadlines of {} s", deadline.as_secs());
    let mut report = Report::new("G11", "slow clients", size);
    let origin = Origin::start(Manners::default());
    let seconds = deadline.as_secs();
    let sidecar = Sidecar::start(
        origin.address,
        &format!(
            "limits.head_timeout = \"{seconds}s\"\nlimits.content_timeout = \"{seconds}s\"\n\
             limits.write_timeout = \"{seconds}s\""
        ),
    );
    let ledger = Arc::new(Ledger::new());
    let pressure =
        Pressure { readers: 8, writers: 1, every: Duration::from_millis(5), reads: u64::MAX, pause: Duration::ZERO };
    let place = Place::new(sidecar.address);
    let mut calm = good(&ledger, &place, origin.address, pressure, deadline).await;
    let (quiet, idle) = (calm.quantile_ms(990), sidecar.vitals());
    report.tell("p99 of 8 good clients, quiet", format!("{quiet:.2} ms"));
    for (way, begins, drips) in WAYS {
        let opened = Arc::new(AtomicU64::new(0));
        let slow: Vec<_> =
            (0..SLOW).map(|_| tokio::spawn(dawdle(sidecar.address, begins, drips, Arc::clone(&opened)))).collect();
        // Connecting is work like any other, and so is what fills the kernel's buffers; what is measured is what it costs to
        // have them.
        comes_true(Duration::from_secs(10), || async { opened.load(Ordering::Relaxed) == SLOW as u64 }).await;
        let begun = Instant::now();
        sleep(deadline / 3).await;
        let mut busy = good(&ledger, &place, origin.address, pressure, deadline / 3).await;
        let held = sidecar.vitals();
        let p99 = busy.quantile_ms(990);
        report.at_most(format!("{way}: p99 of good clients, times that of the quiet run"), p99 / quiet, 1.5, "");
        report.none(format!("{way}: good requests that failed"), busy.all_failed() + busy.other_statuses(&[200]));
        let each = (megabytes(held.rss_kib) - megabytes(idle.rss_kib)) * 1e3 / figure(SLOW as u64);
        report.at_most(format!("{way}: memory of a slow client"), each, 1_000.0, "KB");
        // A client that reads nothing does not see the end: truehit says how many connections it has, this one included.
        let gone = comes_true(deadline + Duration::from_secs(20), || async {
            sidecar.metric("truehit_connections").await < figure(SLOW as u64) / 100.0
        });
        let gone = if gone.await { begun.elapsed().as_secs_f64() } else { f64::INFINITY };
        report.at_most(format!("{way}: all were closed after"), gone, deadline.as_secs_f64() + 5.0, "s");
        slow.iter().for_each(tokio::task::JoinHandle::abort);
    }
    report.none("violations of the registers", ledger.violations());
    report
}

/// Reads registers for a while.
async fn good(ledger: &Arc<Ledger>, place: &Place, origin: SocketAddr, pressure: Pressure, during: Duration) -> Tally {
    let load = Load::start(ledger, place, origin, pressure);
    sleep(during).await;
    load.stop().await.0
}

/// Connects, says something, and then a byte a second or nothing, until the other side closes.
async fn dawdle(address: SocketAddr, begins: &str, drips: bool, opened: Arc<AtomicU64>) {
    let Ok(mut client) = Client::narrow(address).await else { return };
    opened.fetch_add(1, Ordering::Relaxed);
    if client.write(begins.as_bytes()).await.is_err() {
        return;
    }
    if !drips {
        // What is sent to it waits for ever, until this task is ended.
        return std::future::pending().await;
    }
    while let Err(_) | Ok(Ok(1..)) = timeout(Duration::from_secs(1), client.sip(1 << 10)).await {
        // One byte now and then prolongs a head or content; the connection ends all the same.
        if begins.starts_with("GET") && client.write(b"x").await.is_err() {
            return;
        }
    }
}

const USERS: u64 = 1_000;

/// G15.
pub async fn isolation(scale: Scale) -> Report {
    let reads = scale.of(30_000, 1_000_000);
    let size = format!("{USERS} users on one URL, {reads} reads, one in twenty given up");
    let mut report = Report::new("G15", "nobody gets another's", size);
    for (name, means) in [("credentials in the key", "key"), ("credentials checked", "checked")] {
        let origin = Origin::start(Manners::default());
        let more = format!("defaults.authorization = \"{means}\"\ndefaults.cookies = \"{means}\"");
        let sidecar = Sidecar::start(origin.address, &more);
        let next = Arc::new(AtomicU64::new(0));
        let clients: Vec<_> = (0..64)
            .map(|number| {
                let (next, address) = (Arc::clone(&next), sidecar.address);
                tokio::spawn(async move {
                    let (mut dice, mut link) = (Dice::new(number), Kept::to(address));
                    let (mut right, mut foreign, mut failed, mut given_up) = (0, 0, 0, 0u64);
                    while next.fetch_add(1, Ordering::Relaxed) < reads / 2 {
                        let user = dice.below(USERS);
                        let (fields, who) = if user % 2 == 0 {
                            (format!("Authorization: user-{user}\r\n"), format!("user-{user}/nobody"))
                        } else {
                            (format!("Cookie: session={user}\r\n"), format!("nobody/session={user}"))
                        };
                        let patience = if dice.below(20) == 0 { dice.below(3_000) } else { 30_000_000 };
                        let answer = timeout(Duration::from_micros(patience), link.ask("GET", "/mine", &fields)).await;
                        match answer {
                            Err(_) => {
                                given_up += 1;
                                link.hang_up();
                            }
                            Ok(Ok(reply)) if reply.status == 200 => {
                                let own = reply.content == format!("this is for {who} alone\n").as_bytes();
                                right += u64::from(own);
                                foreign += u64::from(!own);
                            }
                            Ok(_) => failed += 1,
                        }
                    }
                    [right, foreign, failed, given_up]
                })
            })
            .collect();
        let mut all = [0; 4];
        for client in clients {
            let counts = client.await.expect("a client does not panic");
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let [right, foreign, failed, given_up] = all;
        report.tell(format!("{name}: reads of one's own, and given up"), format!("{right}, {given_up}"));
        report.none(format!("{name}: contents of somebody else"), foreign);
        report.none(format!("{name}: failed requests"), failed);
    }
    report
}

/// G16.
pub async fn cancellation(scale: Scale) -> Report {
    let count = scale.of(5_000, 100_000);
    let mut report =
        Report::new("G16", "clients that leave", format!("{count} requests given up at a random point, in 0 to 4 ms"));
    let origin = Origin::start(Manners { delay: Duration::from_millis(1), ..Manners::default() });
    let sidecar = Sidecar::start(origin.address, "cache.memory = \"64MiB\"");
    let ledger = Arc::new(Ledger::new());
    let place = Place::new(sidecar.address);
    let pressure =
        Pressure { readers: 4, writers: 2, every: Duration::from_millis(5), reads: u64::MAX, pause: Duration::ZERO };
    // The threads and descriptors of a process that has been at work.
    good(&ledger, &place, origin.address, pressure, Duration::from_secs(1)).await;
    let before = sidecar.vitals();
    let load = Load::start(&ledger, &place, origin.address, pressure);
    let next = Arc::new(AtomicU64::new(0));
    let leavers: Vec<_> = (0..64)
        .map(|number| {
            let (next, address) = (Arc::clone(&next), sidecar.address);
            tokio::spawn(async move {
                let mut dice = Dice::new(number + 100);
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    leave(address, &mut dice).await;
                }
            })
        })
        .collect();
    for leaver in leavers {
        leaver.await.expect("a client does not panic");
    }
    let (tally, took) = load.stop().await;
    let (running, waiting) = ("truehit_running_exchanges", "truehit_waiting_requests");
    let quiet = comes_true(Duration::from_secs(10), || async {
        sidecar.metric(running).await + sidecar.metric(waiting).await == 0.0
    });
    quiet.await;
    report.none("exchanges still running after 10 s", whole(sidecar.metric(running).await));
    report.none("requests still waiting", whole(sidecar.metric(waiting).await));
    report.none("bytes that fills still hold", whole(sidecar.metric("truehit_fill_bytes").await));
    let done = AtomicBool::new(false);
    let after = || sidecar.vitals();
    comes_true(Duration::from_secs(10), || async {
        done.store(after().descriptors <= before.descriptors + 150, Ordering::Relaxed);
        done.load(Ordering::Relaxed)
    })
    .await;
    let after = sidecar.vitals();
    report.hold(
        "descriptors, before and after",
        format!("{}, {}", before.descriptors, after.descriptors),
        "at most 150 more: pooled connections",
        after.descriptors <= before.descriptors + 150,
    );
    report.hold(
        "threads, before and after",
        format!("{}, {}", before.threads, after.threads),
        "at most 8 more: idle ones that did blocking work",
        after.threads <= before.threads + 8,
    );
    let mut stuck = 0;
    let mut link = Kept::to(sidecar.address);
    for key in 0..KEYS {
        let answer = timeout(Duration::from_secs(2), link.get(&format!("/k/{key}"))).await;
        stuck += u64::from(!answer.is_ok_and(|answer| answer.is_ok_and(|reply| reply.status == 200)));
    }
    report.none("keys that are stuck", stuck);
    judge(&mut report, &ledger, took);
    report.none("requests of those who stayed that failed", tally.all_failed() + tally.other_statuses(&[200]));
    report
}

/// One request that is given up: while it is sent, while it waits, or while its answer comes.
async fn leave(address: SocketAddr, dice: &mut Dice) {
    let Ok(mut client) = Client::connect(address).await else { return };
    let target = match dice.below(4) {
        0 => format!("/checked/20000/{}", dice.below(100)),
        1 => format!("/long/300000/{}", dice.below(1_000)),
        _ => format!("/k/{}", dice.pick(KEYS)),
    };
    let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", crate::client::HOST);
    let part = if dice.below(8) == 0 { dice.pick(request.len()) } else { request.len() };
    let _ = client.write(&request.as_bytes()[..part]).await;
    let patience = Duration::from_micros(dice.below(4_000));
    let _ = timeout(patience, client.reply(false)).await;
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "gauges of counts")]
fn whole(gauge: f64) -> u64 {
    gauge as u64
}

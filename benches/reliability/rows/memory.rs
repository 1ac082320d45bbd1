//! G09 and G10: what memory a store of many responses takes, and many large bodies on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Scale;
use crate::client::{Client, Failure, Kept};
use crate::dice::Dice;
use crate::report::{Report, figure, megabytes};
use crate::site::KEYS;
use crate::stand::{Manners, Origin, Sidecar, Vitals};

/// Clients that ask for what nobody has asked for before.
const SCANNERS: usize = 24;

/// Clients that ask for the hot set meanwhile.
const REGULARS: usize = 4;

/// How many resources are hot, for each MiB of the store: about a fiftieth of what it holds.
const HOT: usize = 8;

/// What the process may take beyond a quarter more than the store, in MB.
const FIXED: f64 = 40.0;

/// The highest memory of a process, looked at often: what the kernel remembers is for its whole life.
struct Watch {
    task: JoinHandle<()>,
    peak: Arc<AtomicU64>,
}

impl Watch {
    fn over(process: u32) -> Self {
        let peak = Arc::new(AtomicU64::new(0));
        let highest = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            while let Some(vitals) = Vitals::of(process) {
                highest.fetch_max(vitals.rss_kib, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self { task, peak }
    }

    fn peak_kib(self) -> u64 {
        self.task.abort();
        self.peak.load(Ordering::Relaxed)
    }
}

/// A store of so many MiB, and the bodies that are asked for, one size after the other.
struct Case {
    what: &'static str,
    mebibytes: u64,
    bodies: &'static [(usize, u64)],
    quick: bool,
}

/// Sizes in bytes; how many are in thousands.
const CASES: [Case; 7] = [
    Case { what: "512 B", mebibytes: 256, bodies: &[(512, 1_000)], quick: true },
    Case { what: "4 KB", mebibytes: 256, bodies: &[(4_096, 1_000)], quick: true },
    Case { what: "300 B, then 64 KB", mebibytes: 256, bodies: &[(300, 600), (65_536, 40)], quick: true },
    Case { what: "64 KB, then 300 B", mebibytes: 256, bodies: &[(65_536, 20), (300, 600)], quick: false },
    Case { what: "512 B", mebibytes: 64, bodies: &[(512, 300)], quick: false },
    Case {
        what: "4 KB, then 20 KB, then 512 B",
        mebibytes: 64,
        bodies: &[(4_096, 100), (20_000, 30), (512, 200)],
        quick: false,
    },
    Case { what: "4 KB", mebibytes: 1_024, bodies: &[(4_096, 600)], quick: false },
];

/// G09: unique URLs, many more than there is room for.
pub async fn unique(scale: Scale) -> Report {
    let size = format!("up to {} URLs a case", scale.of(60_000, 1_000_000));
    let mut report = Report::new("G09", "memory of a full store", size);
    for case in CASES.iter().filter(|case| case.quick || !scale.quick) {
        let mebibytes = if scale.quick { case.mebibytes / 16 } else { case.mebibytes };
        let origin = Origin::start(Manners::default());
        let sidecar = Sidecar::start(origin.address, &format!("cache.memory = \"{mebibytes}MiB\""));
        let regulars = Regulars::start(&sidecar, HOT * usize::try_from(mebibytes).unwrap_or_default());
        let before = regulars.ratio(Duration::from_secs(2)).await;
        let watch = Watch::over(sidecar.id());
        let begun = Instant::now();
        let mut failed = 0;
        for (bytes, thousands) in case.bodies {
            failed += scan(&sidecar, *bytes, scale.of(thousands * 60, thousands * 1_000)).await;
        }
        let took = begun.elapsed();
        let during = regulars.ratio_so_far();
        regulars.stop().await;
        let (peak, held) = (watch.peak_kib(), sidecar.metric("truehit_store_bytes").await);
        let entries = sidecar.metric("truehit_store_entries").await;
        let limit = figure(mebibytes << 20) / 1e6;
        let name = format!("{}, store of {mebibytes} MiB", case.what);
        report.at_most(format!("{name}: highest RSS"), megabytes(peak), 1.25f64.mul_add(limit, FIXED), "MB");
        report.tell(format!("{name}: RSS per byte allowed"), format!("{:.3}", megabytes(peak) / limit));
        report.tell(
            format!("{name}: responses held, and what they count for"),
            format!("{entries}, {:.1} MB", held / 1e6),
        );
        report.tell(
            format!("{name}: requests a second"),
            format!(
                "{:.0}",
                figure(case.bodies.iter().map(|(_, thousands)| scale.of(thousands * 60, thousands * 1_000)).sum())
                    / took.as_secs_f64()
            ),
        );
        report.at_most(
            format!("{name}: points that the hot set's hit ratio fell from {before:.1} %"),
            before - during,
            10.0,
            "",
        );
        report.none(format!("{name}: failed requests"), failed);
    }
    report
}

/// Asks for `count` resources of a size, each once; how many were not answered.
async fn scan(sidecar: &Sidecar, bytes: usize, count: u64) -> u64 {
    let next = Arc::new(AtomicU64::new(0));
    let scanners: Vec<_> = (0..SCANNERS)
        .map(|_| {
            let (next, mut link) = (Arc::clone(&next), Kept::to(sidecar.address));
            tokio::spawn(async move {
                let mut failed = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return failed;
                    }
                    let answer = link.get(&format!("/checked/{bytes}/{number}")).await;
                    failed += u64::from(!answer.is_ok_and(|reply| reply.status == 200 && reply.content.len() == bytes));
                }
            })
        })
        .collect();
    let mut failed = 0;
    for scanner in scanners {
        failed += scanner.await.expect("a scanner does not panic");
    }
    failed
}

/// Clients of the hot set.
struct Regulars {
    tasks: Vec<JoinHandle<()>>,
    done: Arc<AtomicBool>,
    counts: Arc<[AtomicU64; 2]>,
    hot: usize,
}

impl Regulars {
    fn start(sidecar: &Sidecar, hot: usize) -> Self {
        let (done, counts) = (Arc::new(AtomicBool::new(false)), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let tasks = (0..REGULARS).map(|number| {
            let (done, counts, mut link) = (Arc::clone(&done), Arc::clone(&counts), Kept::to(sidecar.address));
            tokio::spawn(async move {
                let mut dice = Dice::new(number as u64);
                while !done.load(Ordering::Relaxed) {
                    if let Ok(reply) = link.get(&format!("/checked/1024/hot-{}", dice.pick(hot))).await {
                        counts[0].fetch_add(1, Ordering::Relaxed);
                        counts[1].fetch_add(u64::from(reply.is_hit()), Ordering::Relaxed);
                    }
                }
            })
        });
        Self { tasks: tasks.collect(), done, counts, hot }
    }

    /// Lets them read until the hot set is stored, then for a while; the hit ratio then, in per cent.
    async fn ratio(&self, during: Duration) -> f64 {
        while self.counts[0].load(Ordering::Relaxed) < 10 * self.hot as u64 {
            sleep(Duration::from_millis(20)).await;
        }
        self.ratio_so_far();
        sleep(during).await;
        self.ratio_so_far()
    }

    /// The hit ratio since it was last asked for.
    fn ratio_so_far(&self) -> f64 {
        let [reads, hits] = [&self.counts[0], &self.counts[1]].map(|count| count.swap(0, Ordering::Relaxed));
        100.0 * figure(hits) / figure(reads.max(1))
    }

    async fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a client does not panic");
        }
    }
}

/// How many large bodies are asked for at a time.
const LARGE: usize = 200;

/// `cache.fill_memory` of this store, in MB: a quarter of 256 MiB.
const FILL_MEMORY: f64 = 67.108_864;

/// What the process may take beyond that, in MB.
const BEYOND: f64 = 32.0;

/// G10: large bodies that nobody has asked for before, at once, read slowly and then to the end.
pub async fn large(scale: Scale) -> Report {
    let bytes = usize::try_from(scale.of(20_000_000, 100_000_000)).unwrap_or(usize::MAX);
    let mut report =
        Report::new("G10", "large bodies at once", format!("{LARGE} bodies of {} MB at a time", bytes / 1_000_000));
    let seconds = scale.of(3, 15);
    for kind in ["big", "long"] {
        let origin = Origin::start(Manners::default());
        let sidecar = Sidecar::start(origin.address, "cache.memory = \"256MiB\"");
        // What the first requests set up is no cost of a large body.
        for key in 0..KEYS {
            let _ = Kept::to(sidecar.address).get(&format!("/k/{key}")).await;
        }
        let idle = sidecar.vitals();
        let cap = sidecar.metric("truehit_fill_capacity_bytes").await / 1e6;
        let name = if kind == "big" { "length told" } else { "length not told" };
        for (how, pace) in [("read at 256 KB a second", Some(Duration::from_secs(seconds))), ("read to the end", None)]
        {
            let watch = Watch::over(sidecar.id());
            let begun = Instant::now();
            let readers: Vec<_> = (0..LARGE)
                .map(|number| {
                    let target = format!("/{kind}/{bytes}/{number}-{}", pace.is_some());
                    tokio::spawn(read_large(sidecar.address, target, bytes, pace))
                })
                .collect();
            let (mut broken, mut fill) = (Vec::new(), 0.0f64);
            while readers.iter().any(|reader| !reader.is_finished()) {
                fill = fill.max(sidecar.metric("truehit_fill_bytes").await / 1e6);
                sleep(Duration::from_millis(100)).await;
            }
            for reader in readers {
                broken.extend(reader.await.expect("a reader does not panic").err());
            }
            let growth = megabytes(watch.peak_kib()) - megabytes(idle.rss_kib);
            report.at_most(format!("{name}, {how}: RSS above idle"), growth, FILL_MEMORY + BEYOND, "MB");
            report.at_most(format!("{name}, {how}: what fills held at most"), fill, cap, "MB");
            report.tell(format!("{name}, {how}: seconds"), format!("{:.1}", begun.elapsed().as_secs_f64()));
            let kinds = if broken.is_empty() { "0".to_owned() } else { format!("{broken:?}") };
            report.hold(format!("{name}, {how}: bodies that were not whole"), kinds, "0", broken.is_empty());
        }
    }
    report
}

/// Reads a body: to its end, or at 256 KB a second for a while.
async fn read_large(
    address: std::net::SocketAddr,
    target: String,
    bytes: usize,
    pace: Option<Duration>,
) -> Result<(), Failure> {
    let mut client = Client::connect(address).await?;
    client.send("GET", &target, "Connection: close\r\n").await?;
    let head = client.head().await?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(head.get(9..12).and_then(|status| status.parse().ok()).map_or(Failure::Garbled, Failure::Status));
    }
    let begun = Instant::now();
    if let Some(longest) = pace {
        while begun.elapsed() < longest {
            client.sip(25_600).await?;
            sleep(Duration::from_millis(100)).await;
        }
        return Ok(());
    }
    let mut read = client.buffered();
    while let Ok(more) = client.sip(1 << 16).await {
        read += more;
    }
    // Chunks have heads of their own.
    if read >= bytes && read < bytes + bytes / 100 { Ok(()) } else { Err(Failure::Cut) }
}

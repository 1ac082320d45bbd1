//! Load on registers: readers that judge each reply, writers that go around the proxy, and what became of it all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::client::{Failure, Kept};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::report::{Report, figure};
use crate::site::KEYS;
use crate::stand::Origin;

/// What became of requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub statuses: BTreeMap<u16, u64>,
    pub failures: BTreeMap<&'static str, u64>,
    /// How long each took that was answered, in µs.
    pub waits: Vec<u32>,
}

impl Tally {
    pub fn add(&mut self, answered: Result<u16, Failure>, took: Duration) {
        match answered {
            Ok(status) => {
                *self.statuses.entry(status).or_default() += 1;
                self.waits.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
            Err(failure) => {
                let name = match failure {
                    Failure::Refused => "refused",
                    Failure::Lost => "lost",
                    Failure::Cut => "cut",
                    Failure::Late => "late",
                    Failure::Garbled => "garbled",
                    Failure::Status(_) => "status",
                };
                *self.failures.entry(name).or_default() += 1;
            }
        }
    }

    pub fn join(&mut self, other: Self) {
        other.statuses.into_iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
        other.failures.into_iter().for_each(|(name, count)| *self.failures.entry(name).or_default() += count);
        self.waits.extend(other.waits);
    }

    /// How many had this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// How many had a status that is not among these.
    pub fn other_statuses(&self, expected: &[u16]) -> u64 {
        self.statuses.iter().filter(|(status, _)| !expected.contains(status)).map(|(_, count)| count).sum()
    }

    pub fn failed(&self, name: &str) -> u64 {
        self.failures.get(name).copied().unwrap_or_default()
    }

    pub fn all_failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The wait that so many of a thousand were below, in ms.
    pub fn quantile_ms(&mut self, thousandths: usize) -> f64 {
        self.waits.sort_unstable();
        let place = self.waits.len() * thousandths / 1000;
        self.waits.get(place.min(self.waits.len().saturating_sub(1))).map_or(f64::NAN, |wait| f64::from(*wait) / 1e3)
    }

    /// Tells what became of them.
    pub fn tell(&self, report: &mut Report) {
        let statuses = self.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        let failures = self.failures.iter().map(|(name, count)| format!("{name}: {count}"));
        report.tell("answers and failures", statuses.chain(failures).collect::<Vec<_>>().join(", "));
    }
}

/// Where clients go. It can change.
#[derive(Clone)]
pub struct Place(Arc<Mutex<SocketAddr>>);

impl Place {
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    pub fn get(&self) -> SocketAddr {
        *self.0.lock().expect("nothing panics under the lock")
    }

    pub fn set(&self, address: SocketAddr) {
        *self.0.lock().expect("nothing panics under the lock") = address;
    }
}

/// Readers and writers at work.
pub struct Load {
    done: Arc<AtomicBool>,
    readers: Vec<JoinHandle<Tally>>,
    writers: Vec<JoinHandle<()>>,
    begun: Instant,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    pub readers: usize,
    pub writers: usize,
    /// How often each writer writes.
    pub every: Duration,
    /// How many reads, all together; they go on until told to stop if this is `u64::MAX`.
    pub reads: u64,
    /// How long a reader waits after a failure.
    pub pause: Duration,
}

impl Load {
    /// Readers go to `place`, writers straight to the origin at `origin`.
    pub fn start(ledger: &Arc<Ledger>, place: &Place, origin: SocketAddr, pressure: Pressure) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let left = Arc::new(AtomicU64::new(pressure.reads));
        let readers = (0..pressure.readers).map(|number| {
            let (ledger, place, done, left) = (Arc::clone(ledger), place.clone(), Arc::clone(&done), Arc::clone(&left));
            tokio::spawn(read_on(number, ledger, place, done, left, pressure.pause))
        });
        let writers = (0..pressure.writers).map(|number| {
            let (ledger, done) = (Arc::clone(ledger), Arc::clone(&done));
            tokio::spawn(write_on(number, pressure, ledger, origin, done))
        });
        Self { readers: readers.collect(), writers: writers.collect(), done, begun: Instant::now() }
    }

    /// Waits until all reads are made, or `longest` is over.
    pub async fn run(self, longest: Duration) -> (Tally, Duration) {
        let begun = self.begun;
        while begun.elapsed() < longest && self.readers.iter().any(|reader| !reader.is_finished()) {
            sleep(Duration::from_millis(20)).await;
        }
        self.stop().await
    }

    /// Lets each finish what it has begun.
    pub async fn stop(self) -> (Tally, Duration) {
        self.done.store(true, Ordering::SeqCst);
        let mut all = Tally::default();
        for reader in self.readers {
            all.join(reader.await.expect("a reader does not panic"));
        }
        let took = self.begun.elapsed();
        for writer in self.writers {
            writer.await.expect("a writer does not panic");
        }
        (all, took)
    }
}

async fn read_on(
    number: usize,
    ledger: Arc<Ledger>,
    place: Place,
    done: Arc<AtomicBool>,
    left: Arc<AtomicU64>,
    pause: Duration,
) -> Tally {
    let mut dice = Dice::new(number as u64 + 1);
    let mut tally = Tally::default();
    let mut link = Kept::to(place.get());
    let targets: Vec<String> = (0..KEYS).map(|key| format!("/k/{key}")).collect();
    while !done.load(Ordering::Relaxed) && take_one(&left) {
        link.turn_to(place.get());
        let key = dice.pick(KEYS);
        let sent = ledger.send(key);
        let asked = Instant::now();
        let answer = link.get(&targets[key]).await;
        if let Ok(reply) = &answer
            && reply.status == 200
        {
            ledger.receive(&sent, reply);
        }
        let failed = answer.is_err();
        tally.add(answer.map(|reply| reply.status), asked.elapsed());
        if failed {
            link.hang_up();
            sleep(pause).await;
        }
    }
    tally
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Writes the keys that are this writer's own, one after the other: versions of a key are begun in their order. What was
/// not acknowledged stays in doubt: it may have been written or not.
async fn write_on(number: usize, pressure: Pressure, ledger: Arc<Ledger>, origin: SocketAddr, done: Arc<AtomicBool>) {
    let mut dice = Dice::new(1_000 + number as u64);
    let mut link = Kept::to(origin);
    let own: Vec<usize> = (0..KEYS).filter(|key| key % pressure.writers == number).collect();
    while !done.load(Ordering::Relaxed) {
        let longest = u64::try_from(pressure.every.as_micros()).unwrap_or(u64::MAX) * 2;
        sleep(Duration::from_micros(dice.below(longest + 1))).await;
        let key = own[dice.pick(own.len())];
        let version = ledger.begin(key);
        if Origin::write(&mut link, key, version).await {
            ledger.acknowledge(key, version);
        }
    }
}

/// Tells what a ledger has seen; there must be no violation.
pub fn judge(report: &mut Report, ledger: &Ledger, took: Duration) {
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let reads = count(&ledger.reads);
    report.tell("reads judged", reads);
    report.tell("reads a second", format!("{:.0}", figure(reads) / took.as_secs_f64()));
    report.tell("writes acknowledged", count(&ledger.writes));
    report.none("S1: reads older than an acknowledged write", count(&ledger.stale));
    report.none("S2: reads of what nobody had begun to write", count(&ledger.unwritten));
    report.none("S3: reads older than an earlier read", count(&ledger.backwards));
    report.none("S4: replies that contradict themselves", count(&ledger.torn));
}

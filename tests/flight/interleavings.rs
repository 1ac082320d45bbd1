//! The shell of the coalescer under thousands of schedules, each from a seed: who is polled when, who leaves where, which
//! exchange is answered, panics or hangs, and what time it is.
//!
//! Here the test is the executor of the members: it polls their futures by hand, one at a time, and drops them at any
//! point. Exchanges wait for its word. The shell's own tasks and timers run on a tokio runtime of one thread and paused
//! time, whenever the schedule lets them.
//!
//! Why not shuttle or loom: both see only the locks, atomics and tasks that a program takes from them. The shell takes
//! tasks, timers and `Notify` from tokio, and the clock through it; to hand it theirs would take a shim in front of
//! everything that `src/flight` is made of, an optional dependency of the program, and replacements for what tokio does.
//! What a schedule of whole polls cannot show is another thread in between: after the lock of the table is released,
//! before what was decided under it is done. Of that the model has every order in small worlds (`Shell::Late` in
//! `tests/model`), and [`on_threads`] a few thousand at random.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use truehit::clock::Clock;
use truehit::flight::event::Exchange;
use truehit::flight::{Flights, Landing};
use truehit::rules::moment::Moment;
use truehit::rules::policy::Collapse;

use crate::dice::Dice;

/// How long an exchange may run.
const PATIENCE: Duration = Duration::from_millis(40);

const STEPS: u64 = 80;

/// The version of a key that an exchange found, once it has been told to look.
type Word = oneshot::Sender<u64>;

/// A member, and the version and the moment at which it asked.
struct Waiting {
    key: u8,
    landing: Pin<Box<dyn Future<Output = Landing<u64>>>>,
    floor: u64,
    arrived: Moment,
    lease: Duration,
}

struct Schedule {
    dice: Dice,
    clock: Clock,
    flights: Flights<u8, u64>,
    rules: Collapse,
    versions: [u64; 2],
    members: Vec<Waiting>,
    /// Exchanges that have begun and wait for a word, by key and number.
    begun: Arc<Mutex<BTreeMap<(u8, Exchange), Word>>>,
    found: Vec<String>,
}

/// Runs the schedule of a seed to its end, and gives what is wrong with it.
pub fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut dice = Dice::new(seed);
        let clock = Clock::system();
        let gather = if dice.below(2) == 0 { 0.0 } else { 0.5 };
        let overlap = 1 + usize::try_from(dice.below(3)).unwrap();
        let mut schedule = Schedule {
            dice,
            clock,
            flights: Flights::new(clock, 12, PATIENCE),
            rules: Collapse { enabled: true, overlap, gather, gather_max: Duration::from_millis(5) },
            versions: [0; 2],
            members: Vec::new(),
            begun: Arc::default(),
            found: Vec::new(),
        };
        for _ in 0..STEPS {
            schedule.step().await;
        }
        schedule.end().await;
        schedule.found
    })
}

impl Schedule {
    async fn step(&mut self) {
        // No two steps at one instant: what happened first then is not known to anybody.
        tokio::time::advance(Duration::from_nanos(1)).await;
        match self.dice.below(14) {
            0..3 => self.ask(),
            3..6 => self.poll_one(),
            6 => self.leave(),
            7 => self.versions[usize::from(self.dice.below(4) == 0)] += 1,
            8..10 => self.answer_one(),
            10 => self.lose_one(),
            11 => tokio::time::advance(self.dice.wait(6)).await,
            12 if self.dice.below(8) == 0 => tokio::time::advance(PATIENCE).await,
            _ => tokio::task::yield_now().await,
        }
    }

    fn ask(&mut self) {
        let key = u8::from(self.dice.below(4) == 0);
        let (arrived, floor) = (self.clock.moment(), self.versions[usize::from(key)]);
        let lease = if self.dice.below(5) == 0 { self.dice.wait(10) } else { Duration::ZERO };
        let begun = Arc::clone(&self.begun);
        let start = move |began: truehit::flight::Began| async move {
            let (word, told) = oneshot::channel();
            begun.lock().unwrap().insert((key, began.exchange), word);
            // Whoever drops the word loses the exchange.
            told.await.unwrap_or_else(|_| panics_quietly())
        };
        let joined = self.flights.join(key, arrived, lease, &self.rules, start);
        // As many wait as may: the bound itself has a test of its own.
        let Ok(member) = joined else { return };
        self.members.push(Waiting { key, landing: Box::pin(member.landed()), floor, arrived, lease });
    }

    fn poll_one(&mut self) {
        if self.members.is_empty() {
            return;
        }
        let at = self.pick(self.members.len());
        let member = &mut self.members[at];
        let Poll::Ready(landing) = member.landing.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return;
        };
        let member = self.members.swap_remove(at);
        if let Landing::Answered { answer, began, .. } = landing {
            if began < member.arrived.before(member.lease) {
                self.found.push(format!("asked at {:?}, answered by what began at {began:?}", member.arrived));
            }
            if member.lease.is_zero() && *answer < member.floor {
                self.found.push(format!("key {}: version {answer}, after {}", member.key, member.floor));
            }
        }
    }

    fn leave(&mut self) {
        if !self.members.is_empty() {
            let at = self.pick(self.members.len());
            drop(self.members.swap_remove(at));
        }
    }

    fn answer_one(&mut self) {
        if let Some((key, word)) = self.take_word() {
            // The exchange may have run out of time.
            let _ = word.send(self.versions[usize::from(key)]);
        }
    }

    fn lose_one(&mut self) {
        drop(self.take_word());
    }

    fn take_word(&mut self) -> Option<(u8, Word)> {
        let mut begun = self.begun.lock().unwrap();
        let all: Vec<_> = begun.keys().copied().collect();
        if all.is_empty() {
            return None;
        }
        let which = all[usize::try_from(self.dice.below(all.len() as u64)).unwrap()];
        begun.remove(&which).map(|word| (which.0, word))
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.dice.below(count as u64)).unwrap()
    }

    /// Lets everything come to its end, answered by nobody, and looks at what is left. An exchange may take its
    /// patience, and those queued behind it theirs.
    async fn end(&mut self) {
        for _ in 0..10 {
            tokio::time::advance(PATIENCE).await;
            tokio::task::yield_now().await;
            for _ in 0..self.members.len() {
                self.poll_all();
            }
        }
        if !self.members.is_empty() {
            self.found.push(format!("{} wait for ever", self.members.len()));
        }
        let left = (self.flights.waiting(), self.flights.running(), self.flights.keys());
        if left != (self.members.len(), 0, 0) {
            self.found.push(format!("waiting, running, keys at the end: {left:?}"));
        }
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        if tasks != 0 {
            self.found.push(format!("{tasks} tasks at the end"));
        }
    }

    fn poll_all(&mut self) {
        self.members
            .retain_mut(|member| member.landing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

/// A panic of the test's own, without a word on standard error.
fn panics_quietly() -> ! {
    std::panic::resume_unwind(Box::new(()))
}

/// One round on several threads: members join, wait and leave, and exchanges take no time, or a little, or are lost.
/// Gives what is left at the end.
pub async fn on_threads(round: u64) -> Vec<String> {
    let clock = Clock::system();
    let flights: Flights<u8, usize> = Flights::new(clock, 1_000, Duration::from_secs(10));
    let rules = Collapse { enabled: true, overlap: 2, gather: 0.0, gather_max: Duration::ZERO };
    let begun = Arc::new(AtomicUsize::new(0));
    let tasks = (0..8_u64).map(|at| {
        let (flights, begun) = (flights.clone(), Arc::clone(&begun));
        tokio::spawn(async move {
            let mut dice = Dice::new(round << 8 | at);
            for _ in 0..4 {
                let (begun, yields, lost) = (Arc::clone(&begun), dice.below(4), dice.below(16) == 0);
                // An exchange tells how many had begun with it: one that a member may use began after the member asked.
                let floor = begun.load(Ordering::SeqCst);
                let start = move |_| async move {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                    }
                    if lost { panics_quietly() } else { number }
                };
                let member = flights.join(0, clock.moment(), Duration::ZERO, &rules, start).unwrap();
                if dice.below(4) == 0 {
                    drop(member);
                    continue;
                }
                if let Landing::Answered { answer, .. } = member.landed().await
                    && *answer <= floor
                {
                    return Some(format!("exchange {answer} for a member who asked after {floor} had begun"));
                }
            }
            None
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut found = Vec::new();
    for task in tasks {
        match tokio::time::timeout(Duration::from_secs(20), task).await {
            Ok(ended) => found.extend(ended.unwrap()),
            Err(_) => found.push("a member waits for ever".to_owned()),
        }
    }
    let left = || (flights.waiting(), flights.running(), flights.keys());
    let gone = async {
        while left() != (0, 0, 0) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), gone).await.is_err() {
        found.push(format!("waiting, running, keys at the end: {:?}", left()));
    }
    found
}

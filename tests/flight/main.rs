//! Collapsing, told as stories: paused time, exchanges that a test answers by hand or that take a while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
mod interleavings;
mod laws;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use truehit::clock::Clock;
use truehit::flight::{Began, Flights, Landing, Member, TooManyWaiters};
use truehit::rules::policy::Collapse;

const ONE: Collapse = Collapse { enabled: true, overlap: 1, gather: 0.0, gather_max: Duration::from_millis(5) };
const NO_LEASE: Duration = Duration::ZERO;

/// A proxy with an origin that counts, takes 10 ms, and answers how many exchanges had begun with this one.
struct Stage {
    clock: Clock,
    flights: Flights<&'static str, usize>,
    begun: Arc<AtomicUsize>,
}

impl Stage {
    fn new(waiters_max: usize) -> Self {
        let clock = Clock::system();
        let flights = Flights::new(clock, waiters_max, Duration::from_secs(1));
        Self { clock, flights, begun: Arc::default() }
    }

    fn join(&self, lease: Duration, rules: &Collapse) -> Result<Member<&'static str, usize>, TooManyWaiters> {
        let begun = Arc::clone(&self.begun);
        self.flights.join("/a", self.clock.moment(), lease, rules, move |_| async move {
            let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            number
        })
    }

    fn ask(&self) -> Member<&'static str, usize> {
        self.join(NO_LEASE, &ONE).unwrap()
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Lets everything end, and checks that nothing is left.
    async fn clears(&self) {
        sleep(2_000).await;
        assert_eq!((self.flights.keys(), self.flights.waiting(), self.flights.running()), (0, 0, 0));
    }
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn number(member: Member<&'static str, usize>) -> usize {
    match member.landed().await {
        Landing::Answered { answer, .. } => *answer,
        Landing::Lost => panic!("lost"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_never_rides_on_an_exchange_that_began_before_it_arrived() {
    let stage = Stage::new(100);
    let first = stage.ask();
    sleep(1).await;
    let arrived = stage.clock.moment();
    let second = stage.ask();
    assert_eq!(number(first).await, 1);
    let Landing::Answered { answer, began, .. } = second.landed().await else { panic!("lost") };
    assert_eq!(*answer, 2);
    assert!(began >= arrived);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn members_of_a_batch_get_the_answer_of_their_own_exchange() {
    let stage = Stage::new(100);
    let first = stage.ask();
    sleep(1).await;
    let batch: Vec<_> = (0..5).map(|_| stage.ask()).collect();
    assert_eq!(stage.flights.waiting(), 6);
    let mut starters = 0;
    for member in batch {
        let Landing::Answered { answer, starter, .. } = member.landed().await else { panic!("lost") };
        assert_eq!(*answer, 2);
        starters += usize::from(starter);
    }
    assert_eq!(starters, 1);
    assert_eq!(number(first).await, 1);
    assert_eq!(stage.begun(), 2);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn followers_survive_a_dropped_leader() {
    let stage = Stage::new(100);
    let running = stage.ask();
    sleep(1).await;
    let leader = stage.ask();
    let follower = stage.ask();
    drop((running, leader));
    assert_eq!(number(follower).await, 2);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn a_panicking_exchange_wakes_its_members() {
    let stage = Stage::new(100);
    let now = stage.clock.moment();
    let panics = |_: Began| async { panic!("the test's own") };
    let leader = stage.flights.join("/a", now, NO_LEASE, &ONE, panics).unwrap();
    sleep(0).await;
    assert!(matches!(leader.landed().await, Landing::Lost));
    assert_eq!(number(stage.ask()).await, 1);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_runs_out_of_time_wakes_its_members_and_lets_the_next_begin() {
    let stage = Stage::new(100);
    let hung = stage.flights.join("/a", stage.clock.moment(), NO_LEASE, &ONE, |_| std::future::pending()).unwrap();
    sleep(1).await;
    let next = stage.ask();
    assert!(matches!(hung.landed().await, Landing::Lost));
    assert_eq!(stage.clock.moment().as_nanos() / 1_000_000_000, 1);
    assert_eq!(number(next).await, 1);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_batch_nobody_waits_for_is_never_started() {
    let stage = Stage::new(100);
    let first = stage.ask();
    sleep(1).await;
    drop((stage.ask(), stage.ask()));
    assert_eq!(number(first).await, 1);
    stage.clears().await;
    assert_eq!(stage.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_bounded() {
    let stage = Stage::new(2);
    let first = stage.ask();
    let second = stage.ask();
    assert_eq!(stage.join(NO_LEASE, &ONE).unwrap_err(), TooManyWaiters);
    drop(first);
    let third = stage.ask();
    number(second).await;
    number(third).await;
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_outlives_its_only_client() {
    let stage = Stage::new(2);
    drop(stage.ask());
    sleep(5).await;
    assert_eq!((stage.begun(), stage.flights.running(), stage.flights.keys()), (1, 1, 1));
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_lets_requests_join_what_runs() {
    let stage = Stage::new(100);
    let first = stage.ask();
    sleep(5).await;
    let within = stage.join(Duration::from_millis(5), &ONE).unwrap();
    let beyond = stage.join(Duration::from_millis(4), &ONE).unwrap();
    let any = stage.join(Duration::MAX, &ONE).unwrap();
    assert_eq!(number(first).await, 1);
    assert_eq!((number(within).await, number(any).await, number(beyond).await), (1, 1, 2));
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn lonely_keys_are_never_delayed() {
    let stage = Stage::new(100);
    let rules = Collapse { gather: 1.0, ..ONE };
    for _ in 0..10 {
        number(stage.join(NO_LEASE, &rules).unwrap()).await;
    }
    assert_eq!(stage.clock.moment().as_nanos() / 1_000_000, 100);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn clients_answered_together_share_the_next_exchange() {
    let stage = Stage::new(100);
    let rules = Collapse { gather: 0.2, ..ONE };
    let first = stage.join(NO_LEASE, &rules).unwrap();
    sleep(1).await;
    for round in 2..6 {
        let batch: Vec<_> = (0..8).map(|_| stage.join(NO_LEASE, &rules).unwrap()).collect();
        for member in batch {
            assert_eq!(number(member).await, round);
        }
    }
    assert_eq!(number(first).await, 1);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn overlapping_exchanges_never_outnumber_the_bound() {
    let stage = Stage::new(1_000);
    let rules = Collapse { overlap: 3, ..ONE };
    let mut members = Vec::new();
    for _ in 0..100 {
        members.push(stage.join(NO_LEASE, &rules).unwrap());
        sleep(1).await;
        assert!(stage.flights.running() <= 3);
    }
    assert!(stage.begun() > 20, "{}", stage.begun());
    drop(members);
    stage.clears().await;
}

#[tokio::test(start_paused = true)]
async fn no_key_is_left_behind() {
    let clock = Clock::system();
    let flights: Flights<u64, u64> = Flights::new(clock, 10_000, Duration::from_millis(50));
    let mut members = Vec::new();
    for key in 0..1_000 {
        let exchange = move |_: Began| async move {
            match key % 4 {
                0 => std::future::pending().await,
                1 => panic!("the test's own"),
                _ => sleep(key % 7).await,
            }
            key
        };
        for _ in 0..key % 3 + 1 {
            members.push(flights.join(key, clock.moment(), NO_LEASE, &ONE, exchange).unwrap());
            sleep(key % 2).await;
        }
        members.retain(|_| key % 5 != 0);
    }
    drop(members);
    sleep(1_000).await;
    assert_eq!((flights.keys(), flights.waiting(), flights.running()), (0, 0, 0));
}

/// `INTERLEAVINGS` is how many schedules there are, `INTERLEAVE_SEED` the seed of the first: what failed runs alone.
#[test]
fn no_schedule_strands_or_deceives_anybody() {
    let first = dice::number_or("INTERLEAVE_SEED", 0);
    for seed in first..first + dice::number_or("INTERLEAVINGS", 3_000) {
        let found = interleavings::run(seed);
        assert!(found.is_empty(), "INTERLEAVE_SEED={seed} INTERLEAVINGS=1\n{found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_do_threads() {
    for round in 0..dice::number_or("INTERLEAVINGS", 3_000) / 3 {
        let found = interleavings::on_threads(round).await;
        assert!(found.is_empty(), "round {round}\n{found:#?}");
    }
}

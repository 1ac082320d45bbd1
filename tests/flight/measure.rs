//! Figures, not verdicts: what collapsing costs the origin and the reader. Run by hand:
//! `cargo test --test flight -- --ignored --nocapture measure`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use truehit::clock::Clock;
use truehit::flight::{Flights, Landing};
use truehit::rules::policy::Collapse;

const READERS: usize = 64;
const ROUNDS: usize = 200;

/// Closed-loop readers on one key: each asks again once its answer is back and it has thought for a moment.
async fn run(overlap: usize, gather: f64, trip: Duration, think_yields: usize) {
    let clock = Clock::system();
    let flights: Flights<u8, ()> = Flights::new(clock, 1_000, Duration::from_secs(5));
    let rules = Collapse { enabled: true, overlap, gather, gather_max: Duration::from_millis(5) };
    let exchanges = Arc::new(AtomicUsize::new(0));
    let took = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (flights, exchanges, took) = (flights.clone(), Arc::clone(&exchanges), Arc::clone(&took));
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(ROUNDS);
                for _ in 0..ROUNDS {
                    let (exchanges, took) = (Arc::clone(&exchanges), Arc::clone(&took));
                    let asked = Instant::now();
                    let member = flights.join(0, clock.moment(), Duration::ZERO, &rules, move |_| async move {
                        let began = Instant::now();
                        tokio::time::sleep(trip).await;
                        exchanges.fetch_add(1, Ordering::Relaxed);
                        took.fetch_add(usize::try_from(began.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
                    });
                    assert!(matches!(member.unwrap().landed().await, Landing::Answered { .. }));
                    waits.push(asked.elapsed());
                    for _ in 0..think_yields {
                        tokio::task::yield_now().await;
                    }
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for reader in readers {
        waits.extend(reader.await.unwrap());
    }
    waits.sort_unstable();
    let count = exchanges.load(Ordering::Relaxed);
    let trip_us = took.load(Ordering::Relaxed) / count;
    let trips = |wait: Duration| wait.as_secs_f64() * 1e6 / f64::from(u32::try_from(trip_us).unwrap());
    println!(
        "k={overlap} gather={gather:.2} think={think_yields:>2}: {:.3} exchanges per ask, latency p50 {:.2} p99 {:.2} round trips of {trip_us} us",
        f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(waits.len()).unwrap()),
        trips(waits[waits.len() / 2]),
        trips(waits[waits.len() * 99 / 100]),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn measure() {
    for think in [0, 20] {
        for overlap in [1, 2, 4] {
            for gather in [0.0, 0.1, 0.2, 0.3, 0.5] {
                run(overlap, gather, Duration::from_millis(5), think).await;
            }
        }
    }
}

//! Reads are linearizable on real sockets, too, and over bad networks: the whole sidecar, a relay between it and its
//! origin that delays, stalls, cuts and resets, and an origin process that is killed and started again.
//!
//! `LINEAR_READS` is how many reads each world answers, `LINEAR_SEED` another seed than the usual one: the plans of the
//! relay's connections, what readers and writers do and how long the origin takes follow from it, the order in which
//! the kernel lets things happen does not. Reads may fail, and say so; none may be wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../linear/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/peers.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod peers;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../linear/run.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod run;
#[path = "../support/sidecar.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod sidecar;

mod killed;
mod wire;

use bytes::Bytes;
use http::{Request, Response};
use peers::{Answer, Client, Content, Origin, empty};
use raw::soon;
use register::Kind;
use relay::{Relay, Weather};
use run::{Outcome, Plan, reads_or, register, run_over};
use sidecar::Sidecar;
use wire::{Wire, serve};

/// How many reads each world answers.
const READS: usize = 1_600;

/// Deadlines that a test can wait for.
const IMPATIENT: &str = "origin.connect_timeout = \"500ms\"\norigin.response_timeout = \"500ms\"\n\
                         origin.progress_timeout = \"500ms\"";

async fn in_weather(weather: Weather, plan: Plan) -> Outcome {
    let register = register(&plan);
    let origin = serve(register.clone()).await;
    let relay = Relay::start(origin.address, weather, plan.seed).await;
    let sidecar = Sidecar::start(&format!("http://{}", relay.address), IMPATIENT).await;
    let outcome = run_over(plan, register, Wire::to(sidecar.address())).await;
    let found = outcome.found();
    assert!(found.is_empty(), "{weather:?}, {plan:?}\n{} violations, first {}", found.len(), found[0]);
    let Outcome { history, failed, collapsed, .. } = &outcome;
    println!(
        "{weather:?}, {:?}, {} keys: {} reads ({collapsed} collapsed), {} writes, {failed} failed",
        plan.kind,
        plan.keys,
        history.reads.len(),
        history.writes.len()
    );
    assert!(history.reads.len() > plan.reads / 4, "{} reads, {failed} failed", history.reads.len());
    outcome
}

fn plan(kind: Kind, keys: usize) -> Plan {
    Plan { readers: 32, ..Plan::calm(kind, keys, 2, reads_or(READS)) }
}

#[tokio::test]
async fn on_one_busy_key() {
    in_weather(Weather::Fair, plan(Kind::Strong, 1)).await;
}

#[tokio::test]
async fn on_many_keys() {
    in_weather(Weather::Fair, plan(Kind::Express, 64)).await;
}

#[tokio::test]
async fn where_everything_comes_late() {
    in_weather(Weather::Jitter(50), plan(Kind::Strong, 4)).await;
}

#[tokio::test]
async fn where_connections_break() {
    for kind in [Kind::Strong, Kind::Bare, Kind::HeadOnly] {
        let outcome = in_weather(Weather::Flaky(3), plan(kind, 4)).await;
        assert!(outcome.failed > 0, "nothing went wrong, so nothing was shown");
    }
}

#[tokio::test]
async fn where_bodies_come_slowly() {
    in_weather(Weather::Slow, plan(Kind::Bare, 2)).await;
}

//! Nobody gets what was made for somebody else: a thousand users with cookies and credentials of their own, requests
//! collapsing, clients leaving at random, on every mode of `authorization` and `cookies`.
//!
//! `ISOLATION_REQUESTS` is how many requests there are over the modes together (50,000 otherwise), `ISOLATION_SEED`
//! another seed than the usual one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../linear/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
#[path = "../support/users.rs"]
mod users;

use dice::number_or;
use truehit::rules::policy::{Credentials, Verify};
use users::{Tags, World, visit};

const MODES: u64 = 5;

fn world(credentials: Credentials, tags: Tags) -> World {
    let (clients, requests) = (100, number_or("ISOLATION_REQUESTS", 50_000) / MODES / 100);
    let seed = number_or("ISOLATION_SEED", 1);
    let verify = Verify::EveryHit;
    let (users, tenants, changing, leaving) = (1_000, 2, 20, 150);
    World { credentials, verify, tags, varies: false, users, tenants, changing, clients, requests, leaving, seed }
}

/// Visits a world, and gives how many replies came from the store and how many from a shared exchange.
async fn nobody_sees_what_is_for_another(world: World) -> (usize, usize) {
    let seen = visit(world).await;
    assert!(seen.foreign.is_empty(), "{world:?}\n{} foreign, first {}", seen.foreign.len(), seen.foreign[0]);
    assert_eq!(seen.house.left_over().await, (0, 0, 0, 0), "waiting, running, keys, bytes: {world:?}");
    println!(
        "{:?}, {:?}: {} whole, of them {} stored and {} collapsed; {} left",
        world.credentials, world.tags, seen.whole, seen.stored, seen.collapsed, seen.left
    );
    assert!(seen.left > 100 && seen.whole > 1_000, "{} left, {} whole", seen.left, seen.whole);
    (seen.stored, seen.collapsed)
}

/// C11, G15.
#[tokio::test(start_paused = true)]
async fn where_credentials_are_part_of_the_key() {
    let (stored, collapsed) = nobody_sees_what_is_for_another(world(Credentials::Key, Tags::OfPages)).await;
    assert!(stored > 500 && collapsed > 50, "{stored} stored, {collapsed} collapsed");
}

#[tokio::test(start_paused = true)]
async fn where_one_body_is_shared_by_check() {
    let (stored, collapsed) = nobody_sees_what_is_for_another(world(Credentials::Checked, Tags::OfUsers)).await;
    assert!(stored > 100 && collapsed > 50, "{stored} stored, {collapsed} collapsed");
}

#[tokio::test(start_paused = true)]
async fn where_one_body_is_shared_by_check_and_a_304_does_not_say_which() {
    // One stored response at a time, so that a 304 could mean no other.
    let alike = World { tenants: 1, changing: 0, ..world(Credentials::Checked, Tags::Unrepeated) };
    nobody_sees_what_is_for_another(alike).await;
}

#[tokio::test(start_paused = true)]
async fn where_rfc_9111_is_the_rule_and_the_origin_says_what_it_decides_by() {
    let rfc = World { verify: Verify::WhenStale, varies: true, ..world(Credentials::Rfc, Tags::OfUsers) };
    let (stored, _) = nobody_sees_what_is_for_another(rfc).await;
    assert!(stored > 20, "{stored} stored");
}

#[tokio::test(start_paused = true)]
async fn where_requests_with_credentials_pass() {
    nobody_sees_what_is_for_another(world(Credentials::Pass, Tags::OfPages)).await;
}

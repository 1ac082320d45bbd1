//! The collapsing rule, checked in every state that a small world can reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod register;

use std::time::Duration;

use register::{Register, SMALL, Shell};
use stateright::{Checker, Model};

fn check(name: &str, model: Register) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states, {} unique", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn reads_are_linearizable_with_one_exchange_at_a_time() {
    check("k=1, three clients", Register { ..SMALL });
    check("k=1, two clients that ask twice", Register { clients: 2, asks: 2, ..SMALL });
}

#[test]
fn reads_are_linearizable_with_a_gathering_window() {
    check("k=1, gathering", Register { gather: 1.0, ..SMALL });
    check("k=1, gathering, two clients that ask twice", Register { clients: 2, asks: 2, gather: 1.0, ..SMALL });
}

#[test]
fn reads_are_linearizable_with_exchanges_that_overlap() {
    check("k=2, three clients", Register { overlap: 2, ..SMALL });
    check(
        "k=2, gathering, two clients that ask twice",
        Register { clients: 2, asks: 2, overlap: 2, gather: 1.0, ..SMALL },
    );
}

#[test]
fn reads_are_linearizable_whenever_the_shell_gets_round_to_its_deeds() {
    let late = || Register { clients: 2, shell: Shell::Late, ..SMALL };
    check("k=1, late", late());
    check("k=1, late, three clients", Register { clients: 3, writes: 1, losses: 0, ..late() });
    check("k=1, late, gathering", Register { gather: 1.0, ..late() });
    check("k=2, late, two clients that ask twice", Register { asks: 2, overlap: 2, writes: 1, ..late() });
}

#[test]
fn under_a_lease_nobody_is_left_behind_either() {
    // What a lease may serve is another check's question (`tests/linear`): here nothing is written.
    let leased = Register { writes: 0, lease: Duration::from_millis(2), ..SMALL };
    check("k=1, a lease", Register { ..leased });
    check("k=2, a lease, late", Register { clients: 2, overlap: 2, shell: Shell::Late, ..leased });
}

//! The collapsing rule, checked in every state that a small world can reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod register;

use std::time::Duration;

use register::Register;
use stateright::{Checker, Model};

fn check(name: &str, model: Register) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states, {} unique", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

const SMALL: Register =
    Register { clients: 3, asks: 1, writes: 2, losses: 1, leaves: 1, overlap: 1, gather: 0.0, lease: Duration::ZERO };

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

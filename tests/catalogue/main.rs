//! The catalogue of bad input and faults: what a proxy must survive, a row each, and the tests that show it.
//!
//! A section is a file, or a file and a folder. It declares its rows as data, and each row that is held has at least one
//! test there whose name begins with the row's id. `docs/catalogue.md` is made of the rows, so it cannot say more than is
//! shown. Everything is real here: a sidecar as `truehit run` assembles it, sockets, clients and origins driven byte by
//! byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/peers.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod peers;
#[path = "../support/program.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod program;
#[path = "../support/raw.rs"]
mod raw;
mod row;
#[path = "../support/sidecar.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod sidecar;
mod stage;
#[path = "../support/witness.rs"]
mod witness;

mod framing;
mod keeping;
mod life;
mod load;
mod methods;
mod operating;
mod origins;
mod targets;

use bytes::Bytes;
use http::{Request, Response};

#[allow(unused_imports, reason = "a section takes what it needs")]
use peers::{Answer, Client, Content, Origin, ask, empty, full};
#[allow(unused_imports, reason = "a section takes what it needs")]
use raw::{Raw, RawOrigin, ok, soon};
use row::{Row, Section, held};
use sidecar::Sidecar;
use witness::{Heard, Witness};

const SECTIONS: [Section; 8] = [
    Section { letter: 'A', title: "Framing and smuggling", rows: framing::ROWS, tests: &[include_str!("framing.rs")] },
    Section { letter: 'B', title: "Target, host, method", rows: targets::ROWS, tests: &[include_str!("targets.rs")] },
    Section { letter: 'C', title: "Poisoning and leakage", rows: keeping::ROWS, tests: &[include_str!("keeping.rs")] },
    Section {
        letter: 'D',
        title: "Origins that misbehave",
        rows: origins::ROWS,
        tests: &[
            include_str!("origins/bodies.rs"),
            include_str!("origins/heads.rs"),
            include_str!("origins/late.rs"),
            include_str!("origins/reach.rs"),
        ],
    },
    Section { letter: 'E', title: "Conditions and ranges", rows: methods::ROWS, tests: &[include_str!("methods.rs")] },
    Section {
        letter: 'F',
        title: "Exhaustion and load",
        rows: load::ROWS,
        tests: &[
            include_str!("load/floods.rs"),
            include_str!("load/labels.rs"),
            include_str!("load/memory.rs"),
            include_str!("load/shared.rs"),
            include_str!("load/slow.rs"),
        ],
    },
    Section {
        letter: 'G',
        title: "Time, files, process",
        rows: life::ROWS,
        tests: &[
            include_str!("life/crowd.rs"),
            include_str!("life/files.rs"),
            include_str!("life/panics.rs"),
            include_str!("life/time.rs"),
        ],
    },
    Section { letter: 'I', title: "Admin", rows: operating::ROWS, tests: &[include_str!("operating.rs")] },
];

#[test]
fn every_row_that_is_held_has_a_test_of_its_name() {
    for section in SECTIONS {
        section.check();
    }
}

#[test]
fn the_committed_table_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalogue.md");
    let page = row::page(&SECTIONS);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/catalogue.md is out of date: run `make generate`");
}

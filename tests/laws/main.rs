//! Laws: what holds for every origin and every order of events, and what the source itself must keep to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code)]
#[path = "../support/house.rs"]
mod house;
#[allow(dead_code)]
#[path = "../support/script.rs"]
mod script;

mod source;
mod truth;
mod world;

//! The real proxy over scripted origins, on paused time: each test is a short script read top to bottom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/house.rs"]
mod house;
#[path = "../support/script.rs"]
mod script;

mod audit;
mod breaker;
mod check;
mod collapse;
mod errors;
mod groups;
mod integrity;
mod keys;
mod limits;
mod methods;
mod parts;
mod pass;
mod posted;
mod ranges;
mod reuse;
mod streaming;
mod twins;
mod verify;
mod whose;

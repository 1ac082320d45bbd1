//! Real servers that nobody here wrote, behind the real `truehit` binary: what does `auto` end on, and does the next
//! read after a write that went around truehit have the new value?
//!
//! Each file is one server with a tiny application of ours. Its first test asks the server directly and holds down what
//! truehit has to cope with, so that a new version of the server fails there and not in truehit's name. `make setup`
//! installs the servers; a missing one is a failure.

// Helpers here are test code too, but outside of `#[test]` functions, where clippy.toml does not reach.
#![allow(clippy::expect_used, clippy::panic)]

#[path = "../support/client.rs"]
mod client;
#[path = "../support/process.rs"]
mod process;

mod caddy;
mod datasette;
mod django;
mod express;
mod fastapi;
mod nginx;
mod origin;
mod python_files;
mod story;

//! The whole sidecar on real sockets: real clients on one side, small real origins on the other, truehit in between as
//! `truehit run` assembles it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/raw.rs"]
mod raw;

mod bodies;
mod bounds;
mod digests;
mod forwarding;
mod interim;
mod life;
mod passing;
mod peers;
mod process;
mod secrets;
mod sidecar;
mod streaming;
mod targets;
mod trailers;
mod transports;
mod truncation;
mod upgrades;

use bytes::Bytes;
use http::{Request, Response};

use peers::{Answer, Client, Content, Origin, ask, empty, full};
use raw::{Raw, RawOrigin, ok, soon};
use sidecar::Sidecar;

//! The whole sidecar on real sockets: real clients on one side, small real origins on the other, truehit in between as
//! `truehit run` assembles it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/frames.rs"]
#[allow(dead_code, reason = "the catalogue uses the rest")]
mod frames;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/program.rs"]
#[allow(dead_code, reason = "the catalogue uses the rest")]
mod program;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/secrets.rs"]
mod secrets;
#[path = "../support/sidecar.rs"]
#[allow(dead_code, reason = "the catalogue uses the rest")]
mod sidecar;

mod bodies;
mod bounds;
mod digests;
mod forwarding;
mod http2;
mod interim;
mod life;
mod passing;
mod process;
mod streaming;
mod targets;
mod trailers;
mod transports;
mod truncation;
mod upgrades;

use bytes::Bytes;
use http::{Request, Response};

use peers::{Answer, Client, Content, Origin, ask, empty, full};
use raw::{Raw, RawOrigin, ok, quarantine, soon};
use sidecar::Sidecar;

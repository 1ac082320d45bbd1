//! `Closing`: why a client's connection, or one request of it, was ended from here; and how often that was.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::rules::outcome::words;

words! {
    /// Why a connection or a request of a client was ended by truehit.
    Closing {
        /// A handshake or a head that was not there in time (`limits.head_timeout`).
        HeadLate = "head-late",
        /// The content of a request that did not come (`limits.content_timeout`). The request is answered with 408.
        ContentLate = "content-late",
        /// A connection whose client took not one byte (`limits.write_timeout`).
        WriteLate = "write-late",
        /// A response over HTTP/2 whose window the client kept shut as long. Its stream is reset.
        StreamLate = "stream-late",
        /// No request for `limits.idle_timeout`.
        Idle = "idle",
        /// A flood of HTTP/2 frames.
        Flood = "flood",
        /// What is no head of a request: answered with 400, and over HTTP/2 by ending the connection.
        Malformed = "malformed",
        /// A head of more than `limits.head_bytes`, or of more than 100 fields, over HTTP/1.1: answered with 431, or 414.
        HeadTooLong = "head-too-long",
    }
}

/// Counts of them.
#[derive(Debug, Default)]
pub struct Closings([AtomicU64; Closing::ALL.len()]);

impl Closings {
    pub(super) fn count(&self, why: Closing) {
        if let Some(count) = self.0.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts, in the order of [`Closing::ALL`].
    #[must_use]
    pub fn counts(&self) -> [u64; Closing::ALL.len()] {
        std::array::from_fn(|at| self.0.get(at).map_or(0, |count| count.load(Ordering::Relaxed)))
    }
}

//! `Ledger`: what was written and read of each register, as far as it takes to judge a read at once.
//!
//! The order of a register's versions is known, so a history of it is linearizable exactly if (S1) no read returns a
//! version older than the newest whose write had been acknowledged before the read was sent, (S2) none returns one whose
//! write had not begun when the reply came, and (S3) of two reads, one after the other, the later never returns the older
//! version; (S4) is that key, content, length and tag of a reply agree. Each takes one number per key, so no history is
//! kept, however long it is. All of them are seen by one clock: the order in which this process does things.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Reply;
use crate::site::{self, KEYS};

#[derive(Default)]
struct Register {
    /// The newest version that somebody has begun to write.
    begun: AtomicU64,
    /// The newest whose write was acknowledged.
    acknowledged: AtomicU64,
    /// The newest that was read.
    seen: AtomicU64,
}

pub struct Ledger {
    registers: Vec<Register>,
    pub stale: AtomicU64,
    pub unwritten: AtomicU64,
    pub backwards: AtomicU64,
    pub torn: AtomicU64,
    pub reads: AtomicU64,
    pub writes: AtomicU64,
}

/// A read that has been sent.
pub struct Sent {
    key: usize,
    acknowledged: u64,
    seen: u64,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            registers: (0..KEYS).map(|_| Register::default()).collect(),
            stale: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            backwards: AtomicU64::new(0),
            torn: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    /// A read of the key goes out now.
    pub fn send(&self, key: usize) -> Sent {
        let register = &self.registers[key];
        let acknowledged = register.acknowledged.load(Ordering::SeqCst);
        Sent { key, acknowledged, seen: register.seen.load(Ordering::SeqCst) }
    }

    /// Its reply, a 200, is here; whether a register could have given it.
    pub fn receive(&self, sent: &Sent, reply: &Reply) -> bool {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let register = &self.registers[sent.key];
        let version = site::version_in(sent.key, &reply.content)
            .filter(|version| reply.field("etag") == site::tag(sent.key, *version));
        let Some(version) = version else {
            self.torn.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let mut holds = true;
        let mut found = |violated: bool, count: &AtomicU64| {
            if violated {
                holds = false;
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        found(version < sent.acknowledged, &self.stale);
        found(version > register.begun.load(Ordering::SeqCst), &self.unwritten);
        found(version < sent.seen, &self.backwards);
        register.seen.fetch_max(version, Ordering::SeqCst);
        holds
    }

    /// The next version of the key, which its one writer is about to send.
    pub fn begin(&self, key: usize) -> u64 {
        self.registers[key].begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The write of the version was acknowledged.
    pub fn acknowledge(&self, key: usize, version: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.registers[key].acknowledged.fetch_max(version, Ordering::SeqCst);
    }

    /// A number above all versions: what an origin that is about to start gives to all registers.
    pub fn begin_anew(&self) -> u64 {
        let newest = self.registers.iter().map(|register| register.begun.load(Ordering::SeqCst)).max();
        let floor = (newest.unwrap_or_default() / FLOOR + 1) * FLOOR;
        for register in &self.registers {
            register.begun.fetch_max(floor, Ordering::SeqCst);
        }
        floor
    }

    /// That origin has started.
    pub fn begun_anew(&self, floor: u64) {
        for register in &self.registers {
            register.acknowledged.fetch_max(floor, Ordering::SeqCst);
        }
    }

    /// How many things were seen that no register does.
    pub fn violations(&self) -> u64 {
        [&self.stale, &self.unwritten, &self.backwards, &self.torn]
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

/// Versions of one life of the origin are fewer.
const FLOOR: u64 = 10_000_000;

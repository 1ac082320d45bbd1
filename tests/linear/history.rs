//! A history of reads, and whether registers could have given it.
//!
//! The order of a register's versions is known, so a history is linearizable exactly if (S1) no read returns a version
//! older than the newest whose write had ended before the read was sent, (S2) none returns a version whose write began
//! after the reply, and (S3) of two reads, one after the other, the later never returns the older version. That takes
//! sorting, and no search. (S4), that key, content and tag of a reply agree, is seen by the reader as it reads.
//!
//! The audit asks for more: behind every reply there is an exchange that was received after the read was sent, evaluated
//! before its reply, and found the very version that the reply carries. (Received at the same instant will do: the proxy
//! goes by the clock, and a paused clock can show one time to both.)

use std::collections::BTreeMap;
use std::time::Duration;

/// A place in the order of events, and the virtual time there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The order.
    pub tick: u64,
    /// The time since the start.
    pub at: Duration,
}

/// A write, from its beginning to its acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub key: usize,
    pub version: u64,
    pub began: Stamp,
    pub ended: Stamp,
}

/// A request that took effect.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub key: usize,
    pub version: u64,
    pub received: Stamp,
    pub evaluated: Stamp,
}

/// A read: what came back, and when.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub reader: usize,
    pub key: usize,
    pub version: u64,
    pub sent: Stamp,
    /// When the head of the reply was there.
    pub answered: Stamp,
}

/// What a register cannot have done.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "for whoever reads a failed test")]
pub enum Violation {
    /// S1: a newer version had been acknowledged before the read was sent.
    Stale { read: Read, newest: u64 },
    /// S2: nobody had begun to write what was read.
    Unwritten { read: Read },
    /// S3: an earlier read had returned a newer version.
    Backwards { read: Read, seen: u64 },
    /// The audit: no exchange within the read found what it returned.
    Unasked { read: Read },
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub reads: Vec<Read>,
    pub writes: Vec<Written>,
    pub exchanges: Vec<Exchange>,
}

impl History {
    /// S1, S2 and S3.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = self.stale_by(Duration::ZERO);
        let began: BTreeMap<_, _> = self.writes.iter().map(|write| ((write.key, write.version), write.began)).collect();
        let unwritten = |read: &&Read| {
            read.version > 0 && began.get(&(read.key, read.version)).is_none_or(|began| *began > read.answered)
        };
        found.extend(self.reads.iter().filter(unwritten).map(|read| Violation::Unwritten { read: *read }));
        found.extend(self.backwards());
        found
    }

    /// S1 under a lease: the reads that miss a write which had ended more than `lease` before they were sent.
    pub fn stale_by(&self, lease: Duration) -> Vec<Violation> {
        let mut writes = self.writes.clone();
        writes.sort_by_key(|write| write.ended);
        let mut newest: BTreeMap<usize, Vec<(Stamp, u64)>> = BTreeMap::new();
        for write in writes {
            let of_key = newest.entry(write.key).or_default();
            let version = of_key.last().map_or(0, |(_, version)| *version).max(write.version);
            of_key.push((write.ended, version));
        }
        let stale = |read: &Read| {
            let of_key = newest.get(&read.key)?;
            let before = |ended: Stamp| {
                if lease.is_zero() { ended < read.sent } else { ended.at + lease < read.sent.at }
            };
            let acknowledged = of_key.partition_point(|(ended, _)| before(*ended));
            let (_, newest) = *of_key.get(acknowledged.checked_sub(1)?)?;
            (read.version < newest).then_some(Violation::Stale { read: *read, newest })
        };
        self.reads.iter().filter_map(stale).collect()
    }

    fn backwards(&self) -> Vec<Violation> {
        let mut by_reply = self.reads.clone();
        by_reply.sort_by_key(|read| read.answered);
        let mut by_start = self.reads.clone();
        by_start.sort_by_key(|read| read.sent);
        let (mut seen, mut replied): (BTreeMap<usize, u64>, _) = (BTreeMap::new(), by_reply.iter().peekable());
        let mut found = Vec::new();
        for read in by_start {
            while let Some(earlier) = replied.next_if(|earlier| earlier.answered < read.sent) {
                let newest = seen.entry(earlier.key).or_default();
                *newest = earlier.version.max(*newest);
            }
            if let Some(seen) = seen.get(&read.key).filter(|seen| **seen > read.version) {
                found.push(Violation::Backwards { read, seen: *seen });
            }
        }
        found
    }

    /// The audit.
    pub fn unasked(&self) -> Vec<Violation> {
        let mut by_key: BTreeMap<usize, Vec<Exchange>> = BTreeMap::new();
        for exchange in &self.exchanges {
            by_key.entry(exchange.key).or_default().push(*exchange);
        }
        by_key.values_mut().for_each(|exchanges| exchanges.sort_by_key(|exchange| exchange.evaluated));
        let asked = |read: &Read| {
            let exchanges = by_key.get(&read.key).map(Vec::as_slice).unwrap_or_default();
            let first = exchanges.partition_point(|exchange| exchange.evaluated < read.sent);
            exchanges[first..]
                .iter()
                .take_while(|exchange| exchange.evaluated < read.answered)
                .any(|exchange| exchange.received.at >= read.sent.at && exchange.version == read.version)
        };
        self.reads.iter().filter(|read| !asked(read)).map(|read| Violation::Unasked { read: *read }).collect()
    }
}

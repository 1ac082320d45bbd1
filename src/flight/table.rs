//! `Table`: the machines of all keys that have something under way, and the deeds that their effects come down to.
//!
//! A std mutex guards each shard, because what happens under it is a lookup and a few field writes, and nothing is ever
//! awaited there; an async mutex would cost more and allow more. Under the lock effects are only turned into deeds.
//! They are done after it: to wake a task, to spawn one, and to drop what others built, which may run their code.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::event::{Effect, Effects, Event, Exchange, How};
use super::machine::Machine;
use super::seat::Seat;
use crate::clock::Clock;
use crate::rules::moment::Moment;
use crate::rules::policy::Collapse;

/// Enough that a handful of cores seldom meet at one lock.
const SHARDS: usize = 64;

/// `S` is what it takes to start an exchange.
pub(super) struct Table<K, A, S> {
    clock: Clock,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K, A, S>>]>,
}

struct Shard<K, A, S> {
    entries: HashMap<K, Entry<K, A, S>, RandomState>,
    /// The number of the next exchange: a key stays in its shard, so no key sees a number twice, even when its entry
    /// went and came back while an old member, task or timer still knew the old one.
    fresh: u64,
}

struct Entry<K, A, S> {
    machine: Machine,
    /// As the latest request has them, so that a changed configuration reaches a key that is never idle.
    rules: Collapse,
    /// One per exchange that runs or is queued: at most `overlap` and one.
    exchanges: Vec<Pending<K, A, S>>,
}

struct Pending<K, A, S> {
    seat: Arc<Seat<K, A>>,
    /// Until the exchange starts.
    start: Option<S>,
}

/// Something to do once the lock is released.
pub(super) enum Deed<K, A, S> {
    /// Start the exchange of this seat, which begins at this moment.
    Launch(Arc<Seat<K, A>>, S, Moment),
    /// Tell the members of this seat.
    Wake(Arc<Seat<K, A>>, How),
    /// Say [`Event::Gathered`] at this moment.
    Ring(Moment),
    /// Drop the start of an exchange that nobody waits for any more.
    Forget(S),
}

/// A request's place.
pub(super) struct Joined<K, A, S> {
    pub(super) seat: Arc<Seat<K, A>>,
    /// The request opened the batch, so the exchange is its own.
    pub(super) starter: bool,
    pub(super) deeds: Vec<Deed<K, A, S>>,
}

impl<K: Hash + Eq + Clone, A, S> Table<K, A, S> {
    pub(super) fn new(clock: Clock) -> Self {
        let shard = || Mutex::new(Shard { entries: HashMap::default(), fresh: 0 });
        Self { clock, hasher: RandomState::default(), shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    pub(super) fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// How many keys have an entry.
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// Gives a request that arrived at `arrived` its place. `start` is called if the request opens a batch.
    pub(super) fn ask(
        &self,
        key: K,
        arrived: Moment,
        lease: Duration,
        rules: &Collapse,
        start: impl FnOnce() -> S,
    ) -> Joined<K, A, S> {
        let mut shard = lock(self.shard(&key));
        let fresh = Exchange(shard.fresh);
        shard.fresh += 1;
        // Read under the lock, so that a machine sees moments in order.
        let now = self.clock.moment();
        let entry = shard.entries.entry(key.clone()).or_insert_with(|| Entry::new(rules));
        entry.rules = *rules;
        let effects = entry.machine.on_event(now, rules, Event::Asked { arrived, lease, fresh });
        let place = effects.into_iter().find_map(|effect| match effect {
            Effect::Wait { exchange } => entry.seat(exchange),
            _ => None,
        });
        let starter = place.is_none();
        let seat = place.unwrap_or_else(|| {
            let seat = Arc::new(Seat::new(key, fresh));
            entry.exchanges.push(Pending { seat: Arc::clone(&seat), start: Some(start()) });
            seat
        });
        let mut deeds = Vec::new();
        entry.perform(effects, now, &mut deeds);
        Joined { seat, starter, deeds }
    }

    /// Takes an event of `key`; nothing happens if the key has no entry any more.
    pub(super) fn feed(&self, key: &K, event: Event) -> Vec<Deed<K, A, S>> {
        let mut deeds = Vec::new();
        let mut shard = lock(self.shard(key));
        let now = self.clock.moment();
        if let Some(entry) = shard.entries.get_mut(key) {
            let rules = entry.rules;
            let effects = entry.machine.on_event(now, &rules, event);
            entry.perform(effects, now, &mut deeds);
            if effects.into_iter().any(|effect| effect == Effect::Idle) {
                shard.entries.remove(key);
            }
        }
        deeds
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, A, S>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0);
        &self.shards[hash % SHARDS]
    }
}

impl<K, A, S> Entry<K, A, S> {
    fn new(rules: &Collapse) -> Self {
        Self { machine: Machine::default(), rules: *rules, exchanges: Vec::new() }
    }

    fn seat(&self, exchange: Exchange) -> Option<Arc<Seat<K, A>>> {
        self.exchanges.iter().find(|held| held.seat.exchange == exchange).map(|held| Arc::clone(&held.seat))
    }

    fn perform(&mut self, effects: Effects, now: Moment, deeds: &mut Vec<Deed<K, A, S>>) {
        for effect in effects {
            match effect {
                Effect::Start { exchange } => {
                    let held = self.exchanges.iter_mut().find(|held| held.seat.exchange == exchange);
                    deeds.extend(
                        held.and_then(|held| Some(Deed::Launch(Arc::clone(&held.seat), held.start.take()?, now))),
                    );
                }
                Effect::Wake { exchange, how } => {
                    deeds.extend(self.take(exchange).map(|held| Deed::Wake(held.seat, how)));
                }
                Effect::Dissolve { exchange } => {
                    deeds.extend(self.take(exchange).and_then(|held| held.start).map(Deed::Forget));
                }
                Effect::Arm { at } => deeds.push(Deed::Ring(at)),
                // The seat was given, and the entry is removed, by the caller.
                Effect::Wait { .. } | Effect::Idle => {}
            }
        }
    }

    fn take(&mut self, exchange: Exchange) -> Option<Pending<K, A, S>> {
        let at = self.exchanges.iter().position(|held| held.seat.exchange == exchange)?;
        Some(self.exchanges.swap_remove(at))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of others runs under the lock, so a poisoned one guards no half-done work.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

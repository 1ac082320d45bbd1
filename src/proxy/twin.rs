//! Twins: a target that is not stored, and one that is and whose response says that it answers for both
//! (`No-Vary-Search`).
//!
//! The key of a path without its query leads to those of its targets whose responses have said so. That is a hint and
//! may be out of date: each lookup holds what is stored against what it says itself.

use std::sync::Arc;

use super::Proxy;
use crate::origin::Origin;
use crate::rules::ask::Ask;
use crate::rules::groups::Groups;
use crate::rules::key::CacheKey;
use crate::rules::lookup::{Alike, Lookup};
use crate::rules::no_vary_search::Variance;
use crate::rules::stored::StoredResponse;

impl<O: Origin> Proxy<O> {
    /// What is stored for an ask, under its own key or that of its twin.
    pub(super) fn look_up(&self, ask: &Ask) -> Lookup {
        let lookup = Lookup::select(self.shared.store.lookup(ask.held_at()), &ask.fields);
        match lookup.found() {
            Some(stored) if ask.answered_by(stored.head()) => lookup,
            // What is stored for a twin and was not selected is nothing to this request.
            _ if ask.twin.is_some() => Lookup::Absent,
            _ => lookup,
        }
    }

    /// The key of the newest stored response that answers for the ask's target without being stored for it; `None` where
    /// one is stored for it.
    pub(super) fn twin(&self, ask: &Ask) -> Option<CacheKey> {
        let path = ask.path.as_ref()?;
        let store = &self.shared.store;
        if Lookup::select(store.lookup(&ask.key), &ask.fields).found().is_some() {
            return None;
        }
        let target = ask.key.target().1;
        let alike = store.lookup(path)?;
        let mut twins = alike.alike().filter(|alike| alike.variance.equates(alike.key.target().1, target));
        let twin = twins.find(|alike| {
            let lookup = Lookup::select(store.lookup(&alike.key), &ask.fields);
            let variance = lookup.found().and_then(|stored| Variance::of_stored(&stored.head().fields));
            variance.is_some_and(|variance| variance.equates(alike.key.target().1, target))
        });
        twin.map(|alike| alike.key.clone())
    }

    /// The epoch that the latest invalidation opened of a response that is held, or on its way in, under `key`.
    pub(super) fn invalidated(&self, ask: &Ask, key: &CacheKey, groups: &Groups) -> u64 {
        self.shared.store.invalidated(key, ask.path.is_some(), groups)
    }

    /// Stores a response, and remembers whether it may answer for other targets of its path.
    pub(super) fn put(&self, ask: &Ask, key: &CacheKey, response: Arc<StoredResponse>, by_tag: bool) {
        if let Some(path) = &ask.path
            && let Some(variance) = Variance::of_stored(&response.head().fields)
        {
            self.shared.store.remember_alike(path, Alike { key: key.clone(), variance: Arc::new(variance) });
        }
        self.shared.store.insert(key, response, by_tag);
    }
}

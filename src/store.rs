//! The store: complete responses by cache key, bounded by what they weigh.
//!
//! One lookup, one insert. moka bounds the weight and chooses what goes; freshness and truth are the rules' business,
//! so nothing here expires. What an unsafe request invalidated is told by epochs: each invalidation opens one and marks
//! its target, or some groups, with the number; a response remembers the epoch in which its exchange began, and a mark of
//! a later one means "must be validated" (RFC 9111 §4.4, RFC 9875). That reaches every variant and every user's copy at
//! once, needs no index, and covers fills that were running. A path has a mark too, for all of its queries, where a
//! response may answer for others than its own.

mod marks;
mod names;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use self::marks::Marks;
use self::names::SharedNames;
use crate::rules::groups::Groups;
use crate::rules::key::{CacheKey, ExchangeKey};
use crate::rules::lookup::{Alike, Resource};
use crate::rules::moment::Moment;
use crate::rules::partial::PartialResponse;
use crate::rules::stored::StoredResponse;

/// How many "not storable" memories are kept.
const UNCACHEABLE_MAX: u64 = 16 * 1024;

/// Bytes that moka itself and its key cost per entry, beyond the key's own length: 320 to 360 in a measurement of moka
/// 0.12 with small values, rounded up.
const KEY_OVERHEAD: usize = 384;

/// Complete stored responses.
#[derive(Debug)]
pub struct Store {
    resources: Cache<CacheKey, Resource, foldhash::fast::RandomState>,
    uncacheable: Cache<ExchangeKey, Moment, foldhash::fast::RandomState>,
    /// How many invalidations there were.
    epoch: AtomicU64,
    /// Held while an invalidation writes its marks.
    invalidating: Mutex<()>,
    /// By target and group, the epoch that the latest invalidation opened.
    marks: Marks,
    names: SharedNames,
    variants_max: usize,
    capacity: u64,
}

/// An invalidation that was made.
#[derive(Clone, Copy, Debug)]
pub struct Invalidation {
    /// The epoch that it opened.
    pub opened: u64,
    /// The epoch that the latest one before it opened, of the same things; 0 if there was none.
    pub before: u64,
}

impl Store {
    /// An empty store that holds at most `capacity` bytes by weight, and `variants_max` variants per key. `evicted` is
    /// called for each key that goes to make room.
    #[must_use]
    pub fn new(capacity: u64, variants_max: usize, evicted: impl Fn() + Send + Sync + 'static) -> Self {
        let resources = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &CacheKey, resource: &Resource| {
                u32::try_from(key.as_bytes().len() + KEY_OVERHEAD + resource.weight()).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicted();
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            resources,
            uncacheable: Cache::builder()
                .max_capacity(UNCACHEABLE_MAX)
                .build_with_hasher(foldhash::fast::RandomState::default()),
            epoch: AtomicU64::new(0),
            invalidating: Mutex::new(()),
            marks: Marks::new(),
            names: SharedNames::default(),
            variants_max,
            capacity,
        }
    }

    /// What is stored for `key`.
    #[must_use]
    pub fn lookup(&self, key: &CacheKey) -> Option<Resource> {
        self.resources.get(key)
    }

    /// Keeps `response` for `key`; `by_tag` as in [`Resource::with`].
    pub fn insert(&self, key: &CacheKey, mut response: Arc<StoredResponse>, by_tag: bool) {
        // One that somebody holds already was made from one that is stored, and shares its names where it has the same.
        if let Some(own) = Arc::get_mut(&mut response) {
            own.share_names(|names| self.names.shared(names));
        }
        self.resources.entry_by_ref(key).and_upsert_with(|present| {
            let present = present.map(moka::Entry::into_value).unwrap_or_default();
            present.with(response, by_tag, self.variants_max)
        });
    }

    /// Remembers under `path` that what is stored under `alike` may answer for other queries. It is bounded, and only a
    /// hint: who follows it looks at what is stored there.
    pub fn remember_alike(&self, path: &CacheKey, alike: Alike) {
        if self.resources.get(path).is_some_and(|resource| resource.alike().any(|known| *known == alike)) {
            return;
        }
        self.resources.entry_by_ref(path).and_upsert_with(|present| {
            let present = present.map(moka::Entry::into_value).unwrap_or_default();
            present.with_alike(alike)
        });
    }

    /// Keeps a part for `key`, as [`Resource::with_part`] says.
    pub fn insert_part(&self, key: &CacheKey, part: Arc<PartialResponse>) {
        self.resources.entry_by_ref(key).and_upsert_with(|present| {
            let present = present.map(moka::Entry::into_value).unwrap_or_default();
            present.with_part(part, self.variants_max)
        });
    }

    /// Drops a part of `key`, if it is still there.
    pub fn remove_part(&self, key: &CacheKey, part: &Arc<PartialResponse>) {
        self.change(key, |present| present.without_part(part));
    }

    /// Drops `response` of `key`, if it is still there.
    pub fn remove(&self, key: &CacheKey, response: &Arc<StoredResponse>) {
        self.change(key, |present| present.without(response));
    }

    /// Changes what is stored for `key`, if anything is.
    fn change(&self, key: &CacheKey, change: impl FnOnce(&Resource) -> Resource) {
        self.resources.entry_by_ref(key).and_compute_with(|present| match present {
            None => Op::Nop,
            Some(entry) => {
                let rest = change(&entry.into_value());
                if rest.is_empty() { Op::Remove } else { Op::Put(rest) }
            }
        });
    }

    /// The invalidation epoch: for the standing of an exchange, to be read before it begins.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The epoch that the latest invalidation of a response to `key`, which belongs to `groups`, opened; 0 if there was
    /// none. With `by_path`, an invalidation of any target of the key's path counts.
    #[must_use]
    pub fn invalidated(&self, key: &CacheKey, by_path: bool, groups: &Groups) -> u64 {
        if self.epoch() == 0 {
            return 0;
        }
        let mark = |hash| self.marks.of(hash);
        let target = mark(key.target_hash());
        let path = if by_path { mark(key.path_hash()) } else { 0 };
        if groups.is_empty() {
            return target.max(path);
        }
        groups.hashes(key.origin_hash()).map(mark).fold(target.max(path), u64::max)
    }

    /// Everything that `marked` tells, stored or being fetched, must be validated from now on: targets and paths by
    /// [`CacheKey::target_hash`] and [`CacheKey::path_hash`], groups by [`Groups::hashes`]. One epoch is opened for all.
    ///
    /// What was invalidated before of `marked` and of `watched` is told too, as of the same instant: invalidations take
    /// turns, for as long as it takes to write their marks.
    pub fn invalidate(&self, marked: &[u64], watched: impl Iterator<Item = u64>) -> Invalidation {
        // No code that can panic runs under the lock.
        let _turn = self.invalidating.lock().unwrap_or_else(PoisonError::into_inner);
        let before = marked.iter().copied().chain(watched).map(|hash| self.marks.of(hash)).max().unwrap_or_default();
        let opened = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        marked.iter().for_each(|hash| self.marks.raise(*hash, opened));
        Invalidation { opened, before }
    }

    /// Remembers that responses to such requests are not storable.
    pub fn remember_uncacheable(&self, key: ExchangeKey, now: Moment) {
        self.uncacheable.insert(key, now);
    }

    /// When such a response was last remembered not to be storable.
    #[must_use]
    pub fn uncacheable_since(&self, key: &ExchangeKey) -> Option<Moment> {
        self.uncacheable.get(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.resources.run_pending_tasks();
        self.resources.entry_count()
    }

    /// What they weigh together, in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.resources.weighted_size()
    }

    /// What they may weigh together, in bytes.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::rules::groups::{CACHE_GROUP_INVALIDATION, CACHE_GROUPS};

    fn store() -> Store {
        Store::new(1 << 20, 4, || {})
    }

    fn key(host: u8, path: u8) -> CacheKey {
        CacheKey::new("http", &[b'a' + host], &format!("/{path}"), &[])
    }

    /// The lists of the groups whose bits are set.
    fn listed(groups: u8) -> HeaderMap {
        let names: Vec<_> = (0..3).filter(|n| groups & 1 << n != 0).map(|n| format!("\"{n}\"")).collect();
        let list = HeaderValue::try_from(names.join(", ")).unwrap();
        [(CACHE_GROUPS, list.clone()), (CACHE_GROUP_INVALIDATION, list)].into_iter().collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// An exchange begins, for this target; its response will belong to these groups.
        Begin { host: u8, path: u8, groups: u8 },
        /// An unsafe request for this target succeeds, and invalidates these groups.
        Write { host: u8, path: u8, groups: u8 },
    }

    fn any_step() -> impl Strategy<Value = Step> {
        (any::<bool>(), 0..2u8, 0..3u8, 0..8u8).prop_map(|(begin, host, path, groups)| match begin {
            true => Step::Begin { host, path, groups },
            false => Step::Write { host, path, groups },
        })
    }

    proptest! {
        /// (The hashes are the same in every process, and no two of these share a stripe.)
        #[test]
        fn a_response_is_invalidated_by_what_touches_it_after_its_exchange_began(
            steps in proptest::collection::vec(any_step(), 0..20),
        ) {
            let store = store();
            let mut begun = Vec::new();
            for step in &steps {
                match *step {
                    Step::Begin { host, path, groups } => begun.push((host, path, groups, store.epoch(), false)),
                    Step::Write { host, path, groups } => {
                        let target = key(host, path);
                        let groups_of = Groups::invalidated_by(&listed(groups));
                        let marks: Vec<_> = groups_of.hashes(target.origin_hash()).chain([target.target_hash()]).collect();
                        store.invalidate(&marks, std::iter::empty());
                        for (at, target, own, _, touched) in &mut begun {
                            *touched |= *at == host && (*target == path || *own & groups != 0);
                        }
                    }
                }
            }
            for (host, path, groups, epoch, touched) in begun {
                let invalidated = store.invalidated(&key(host, path), false, &Groups::of(&listed(groups)));
                prop_assert_eq!(invalidated > epoch, touched, "{}{} of {}", host, path, groups);
            }
        }
    }

    #[test]
    fn an_invalidation_tells_of_the_one_before_it() {
        let (store, key) = (store(), key(0, 0));
        let (target, group) = (key.target_hash(), 7);
        assert_eq!(store.invalidate(&[target], std::iter::once(group)).before, 0);
        let first = store.invalidate(&[group], std::iter::empty());
        let second = store.invalidate(&[target], std::iter::once(group));
        assert_eq!((second.before, second.opened), (first.opened, first.opened + 1));
        assert_eq!(store.invalidated(&key, false, &Groups::default()), second.opened);
    }

    #[test]
    fn a_path_is_invalidated_for_whom_it_counts() {
        let store = store();
        let key = CacheKey::new("http", b"a", "/b?c", &[]);
        store.invalidate(&[key.path_hash()], std::iter::empty());
        assert_eq!(store.invalidated(&key, false, &Groups::default()), 0);
        assert_eq!(store.invalidated(&key, true, &Groups::default()), store.epoch());
    }
}

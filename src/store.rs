//! The store: complete responses by cache key, bounded by what they weigh.
//!
//! One lookup, one insert. moka bounds the weight and chooses what goes; freshness and truth are the rules' business,
//! so nothing here expires. What an unsafe request invalidated is told by epochs: each target has a counter (striped:
//! two targets may share one), a response remembers its value as its exchange began, and a different value means "must
//! be validated" (RFC 9111 §4.4). That reaches every variant and every user's copy at once, needs no index, and covers
//! fills that were running.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::rules::key::{CacheKey, ExchangeKey};
use crate::rules::lookup::Resource;
use crate::rules::moment::Moment;
use crate::rules::partial::PartialResponse;
use crate::rules::stored::StoredResponse;

/// How many epoch counters there are. Two targets that share one cost each other a validation.
const STRIPES: usize = 16 * 1024;

/// How many "not storable" memories are kept.
const UNCACHEABLE_MAX: u64 = 16 * 1024;

/// Bytes that moka itself and its key cost per entry, beyond the key's own length: 320 to 360 in a measurement of moka
/// 0.12 with small values, rounded up.
const KEY_OVERHEAD: usize = 384;

/// Complete stored responses.
#[derive(Debug)]
pub struct Store {
    resources: Cache<CacheKey, Arc<Resource>, foldhash::fast::RandomState>,
    uncacheable: Cache<ExchangeKey, Moment, foldhash::fast::RandomState>,
    epochs: Box<[AtomicU64]>,
    variants_max: usize,
    capacity: u64,
}

impl Store {
    /// An empty store that holds at most `capacity` bytes by weight, and `variants_max` variants per key. `evicted` is
    /// called for each key that goes to make room.
    #[must_use]
    pub fn new(capacity: u64, variants_max: usize, evicted: impl Fn() + Send + Sync + 'static) -> Self {
        let resources = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &CacheKey, resource: &Arc<Resource>| {
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
            epochs: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            variants_max,
            capacity,
        }
    }

    /// What is stored for `key`.
    #[must_use]
    pub fn lookup(&self, key: &CacheKey) -> Option<Arc<Resource>> {
        self.resources.get(key)
    }

    /// Keeps `response` for `key`; `by_tag` as in [`Resource::with`].
    pub fn insert(&self, key: &CacheKey, response: Arc<StoredResponse>, by_tag: bool) {
        self.resources.entry_by_ref(key).and_upsert_with(|present| {
            let present = present.map(moka::Entry::into_value).unwrap_or_default();
            Arc::new(present.with(response, by_tag, self.variants_max))
        });
    }

    /// Keeps a part for `key`, as [`Resource::with_part`] says.
    pub fn insert_part(&self, key: &CacheKey, part: Arc<PartialResponse>) {
        self.resources.entry_by_ref(key).and_upsert_with(|present| {
            let present = present.map(moka::Entry::into_value).unwrap_or_default();
            Arc::new(present.with_part(part, self.variants_max))
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
                if rest.is_empty() { Op::Remove } else { Op::Put(Arc::new(rest)) }
            }
        });
    }

    /// The invalidation epoch of the key's target.
    #[must_use]
    pub fn epoch(&self, key: &CacheKey) -> u64 {
        self.stripe(key).load(Ordering::Acquire)
    }

    /// Everything stored for the key's target, and everything being fetched for it, must be validated from now on.
    pub fn invalidate(&self, key: &CacheKey) {
        self.stripe(key).fetch_add(1, Ordering::AcqRel);
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    fn stripe(&self, key: &CacheKey) -> &AtomicU64 {
        // The remainder makes it fit.
        #[expect(clippy::cast_possible_truncation, reason = "a stripe is chosen by the low bits")]
        let index = key.target_hash() as usize % self.epochs.len();
        &self.epochs[index]
    }

    /// Remembers that responses to such requests are not storable.
    pub fn remember_uncacheable(&self, key: ExchangeKey, now: Moment) {
        self.uncacheable.insert(key, now);
    }

    /// Whether such a response was found not to be storable within the last `within`.
    #[must_use]
    pub fn is_uncacheable(&self, key: &ExchangeKey, now: Moment, within: Duration) -> bool {
        self.uncacheable.get(key).is_some_and(|since| now.since(since) < within)
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

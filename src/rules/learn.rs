//! `Learned`: what the origin has shown it supports on a route.
//!
//! `check = "auto"` picks by this and by what the stored response itself carries; support is never guessed. Knowledge
//! is a few words per route, and is forgotten after `cache.relearn_after`.

use std::time::Duration;

use super::moment::Moment;

/// Whether the origin supports one strategy on a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// Not seen yet.
    #[default]
    Unknown,
    /// It gave a proof.
    Works,
    /// It did not, in a way that will repeat.
    Fails,
}

/// What an exchange showed about the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A conditional request was answered with 304.
    NotModified,
    /// A conditional request was answered with the whole representation under the very tag that was asked about.
    ConditionIgnored,
    /// A 304 vouched for content that a full GET then contradicted.
    FalseNotModified,
    /// A 304 without a tag was upheld by a full GET.
    NotModifiedUpheld,
    /// HEAD gave a proof, or showed a difference.
    HeadComparable,
    /// HEAD was refused, or carries nothing comparable.
    HeadUseless,
    /// The digest endpoint answered with a SHA-256.
    Digest,
    /// It did not.
    NoDigest,
}

/// How many conditional requests in a row must be ignored before the route stops sending them.
const IGNORED_MAX: u8 = 3;

/// One in this many 304s that repeat no tag is held against a full GET.
const AUDIT_EVERY: u32 = 64;

/// What is known of one route. Plain data; its owner guards it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learned {
    since: Moment,
    /// Conditional requests.
    pub conditional: Support,
    /// HEAD with something comparable.
    pub head: Support,
    /// The digest endpoint.
    pub digest: Support,
    /// Whether a 304 has vouched for what was not so: nothing but bytes is believed until this is forgotten.
    pub distrusted: bool,
    ignored: u8,
    bare: u32,
}

impl Learned {
    /// Takes in what an exchange showed at `now`, forgetting everything first if it is older than `relearn_after`.
    pub fn learn(&mut self, shown: Shown, now: Moment, relearn_after: Duration) {
        self.forget_if_old(now, relearn_after);
        match shown {
            Shown::NotModified => (self.conditional, self.ignored) = (Support::Works, 0),
            Shown::ConditionIgnored => {
                self.ignored = self.ignored.saturating_add(1);
                if self.ignored >= IGNORED_MAX {
                    self.conditional = Support::Fails;
                }
            }
            Shown::FalseNotModified => self.distrusted = true,
            Shown::NotModifiedUpheld => self.bare = self.bare.max(1),
            Shown::HeadComparable => self.head = Support::Works,
            Shown::HeadUseless => self.head = Support::Fails,
            Shown::Digest => self.digest = Support::Works,
            Shown::NoDigest => self.digest = Support::Fails,
        }
    }

    /// Forgets everything if it began more than `relearn_after` before `now`.
    pub fn forget_if_old(&mut self, now: Moment, relearn_after: Duration) {
        if now.since(self.since) > relearn_after {
            *self = Self { since: now, ..Self::default() };
        }
    }

    /// Whether a 304 that repeats no tag is to be held against a full GET this time: the first always is, and then
    /// one in [`AUDIT_EVERY`].
    pub fn audits_bare_304(&mut self) -> bool {
        let due = self.bare.is_multiple_of(AUDIT_EVERY);
        if self.bare > 0 {
            self.bare = self.bare.wrapping_add(1).max(1);
        }
        due
    }
}

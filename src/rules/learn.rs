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
    /// A check vouched for content that is not the origin's: a full GET contradicted it, and the check was repeated.
    FalseConfirmation,
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
    /// Asked for the rest of a part that has no strong validator, it did not answer with the whole.
    RestUseless,
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
    /// Whether a check has vouched for what was not so: nothing but bytes is believed any more. This is not forgotten: an
    /// origin that lies seldom would be believed again each time.
    pub distrusted: bool,
    /// Whether the rest of a part that has no strong validator is not worth asking for (`parts = "lenient"`).
    pub rests_useless: bool,
    ignored: u8,
    bare: u32,
    /// Checks that found sameness.
    vouched: u64,
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
            Shown::FalseConfirmation => self.distrusted = true,
            Shown::NotModifiedUpheld => self.bare = self.bare.max(1),
            Shown::HeadComparable => self.head = Support::Works,
            Shown::HeadUseless => self.head = Support::Fails,
            Shown::Digest => self.digest = Support::Works,
            Shown::NoDigest => self.digest = Support::Fails,
            Shown::RestUseless => self.rests_useless = true,
        }
    }

    /// Forgets everything but a lie if it began more than `relearn_after` before `now`.
    pub fn forget_if_old(&mut self, now: Moment, relearn_after: Duration) {
        if now.since(self.since) > relearn_after {
            *self = Self { since: now, distrusted: self.distrusted, vouched: self.vouched, ..Self::default() };
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

    /// Whether a check that found sameness is to be audited, so that this `share` of them is. Which ones are is spread
    /// evenly and follows no pattern that traffic could have.
    pub fn audits(&mut self, share: f64) -> bool {
        self.vouched = self.vouched.wrapping_add(1);
        (spread(self.vouched) as f64) < share * u64::MAX as f64
    }
}

/// A number for each number, as good as drawn by lot (the finaliser of SplitMix64).
const fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::secs;

    fn at(n: u64) -> Moment {
        Moment::default().after(secs(n))
    }

    fn after(shown: &[Shown]) -> Learned {
        let mut learned = Learned::default();
        shown.iter().for_each(|shown| learned.learn(*shown, at(1), secs(60)));
        learned
    }

    #[test]
    fn what_an_exchange_teaches() {
        use Shown::*;
        use Support::*;
        let check = |sentence: &str, shown: &[Shown], expected: (Support, Support, Support, bool)| {
            let Learned { conditional, head, digest, distrusted, .. } = after(shown);
            assert_eq!((conditional, head, digest, distrusted), expected, "{sentence}");
        };
        check("nothing is guessed", &[], (Unknown, Unknown, Unknown, false));
        check("a 304 shows that conditions work", &[NotModified], (Works, Unknown, Unknown, false));
        check("two ignored ones show nothing", &[ConditionIgnored; 2], (Unknown, Unknown, Unknown, false));
        check("three do", &[ConditionIgnored; 3], (Fails, Unknown, Unknown, false));
        let apart = [ConditionIgnored, ConditionIgnored, NotModified, ConditionIgnored];
        check("if they are in a row", &apart, (Works, Unknown, Unknown, false));
        check("a lie is not made good", &[FalseConfirmation, NotModified], (Works, Unknown, Unknown, true));
        check("HEAD compares", &[HeadUseless, HeadComparable], (Unknown, Works, Unknown, false));
        check("or does not", &[HeadComparable, HeadUseless], (Unknown, Fails, Unknown, false));
        check("the endpoint answers", &[NoDigest, Digest], (Unknown, Unknown, Works, false));
        check("or does not", &[Digest, NoDigest], (Unknown, Unknown, Fails, false));
        check("a bare 304 that was upheld says nothing else", &[NotModifiedUpheld], (Unknown, Unknown, Unknown, false));
    }

    #[test]
    fn knowledge_is_learned_anew_after_a_while() {
        let mut learned = after(&[Shown::FalseConfirmation, Shown::HeadUseless]);
        learned.forget_if_old(at(60), secs(60));
        assert_eq!(learned.head, Support::Fails, "not a moment too early");
        learned.forget_if_old(at(61), secs(60));
        assert_eq!((learned.distrusted, learned.head), (true, Support::Unknown), "but for a lie");
        learned.learn(Shown::HeadUseless, at(70), secs(60));
        learned.forget_if_old(at(121), secs(60));
        assert_eq!(learned.head, Support::Fails, "time counts from then on");
        learned.learn(Shown::Digest, at(122), secs(60));
        assert_eq!((learned.head, learned.digest), (Support::Unknown, Support::Works), "before it is added to");
    }

    #[test]
    fn that_a_rest_is_useless_is_learned_at_once_and_for_a_while() {
        let mut learned = after(&[Shown::NotModified, Shown::HeadUseless]);
        assert!(!learned.rests_useless, "nothing else shows it");
        learned.learn(Shown::RestUseless, at(1), secs(60));
        learned.learn(Shown::NotModified, at(60), secs(60));
        assert!(learned.rests_useless, "and nothing refutes it");
        learned.forget_if_old(at(62), secs(60));
        assert!(!learned.rests_useless, "but time");
    }

    #[test]
    fn so_many_checks_are_audited_as_the_share_says() {
        for (share, expected) in [(0.0, 0..=0), (0.001, 60..=140), (0.01, 900..=1100), (1.0, 100_000..=100_000)] {
            let mut learned = Learned::default();
            let audited = (0..100_000).filter(|_| learned.audits(share)).count();
            assert!(expected.contains(&audited), "{share}: {audited} of 100,000");
        }
    }

    #[test]
    fn bare_304s_are_audited_until_one_is_upheld_and_then_now_and_then() {
        let mut learned = Learned::default();
        assert!((0..5).all(|_| learned.audits_bare_304()), "until one is upheld, each is");
        learned.learn(Shown::NotModifiedUpheld, at(1), secs(60));
        let audited = (0..6400).filter(|_| learned.audits_bare_304()).count();
        assert_eq!(audited, 100, "one in 64");
    }
}

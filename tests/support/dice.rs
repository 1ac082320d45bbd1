//! A small seeded generator (SplitMix64): the same seed, the same run.

use std::time::Duration;

/// The generator.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// One of so many things.
    #[allow(dead_code, reason = "not everyone picks")]
    pub fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.below(among as u64)).unwrap_or_default()
    }

    /// A time from 0 to `longest_ms`.
    pub const fn wait(&mut self, longest_ms: u64) -> Duration {
        Duration::from_millis(self.below(longest_ms + 1))
    }
}

/// The number in an environment variable, or the usual one.
#[allow(dead_code, reason = "not every test has sizes")]
pub fn number_or(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

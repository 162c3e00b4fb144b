//! Which random numbers does a row get?
//!
//! Each row has a stream of its own, made from seed, table and row: a row is the same however many there are, and rows can be
//! made in any order. The generator is SplitMix64, which is nine lines and passes the usual tests; nothing here is secret.

/// A stream of random numbers.
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream of a row.
    pub(super) fn of(seed: u64, table: u64, row: u64) -> Random {
        let mut random = Random {
            state: seed ^ table.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ row.wrapping_mul(0xA24B_AED4_963E_E407),
        };
        random.state = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: no division, and a bias nobody will see.
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add(i64::try_from(self.below(high.abs_diff(low).saturating_add(1))).unwrap_or(0))
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub(super) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(index).copied().unwrap_or_default()
    }

    /// A digit 0–9.
    pub(super) fn digit(&mut self) -> u8 {
        u8::try_from(self.below(10)).unwrap_or(0)
    }
}

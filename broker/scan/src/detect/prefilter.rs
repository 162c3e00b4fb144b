//! Which detectors can find anything in this text?
//!
//! One loop without branches, which the compiler turns into vector instructions: it is what clean text costs.

/// What occurs in a text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// ASCII digits.
    pub(super) digits: usize,
    /// Full stops.
    pub(super) dots: usize,
    /// Colons.
    pub(super) colons: usize,
    /// An at sign.
    pub(super) at: bool,
    /// A percent sign.
    pub(super) percent: bool,
    /// An equals sign.
    pub(super) equals: bool,
    /// A byte above 127.
    pub(super) non_ascii: bool,
}

/// Bytes looked at together: one or two vector registers.
const BLOCK: usize = 32;

impl Seen {
    /// Looks at every byte once.
    pub(super) fn look(h: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let (blocks, rest) = h.as_chunks::<BLOCK>();
        for block in blocks {
            seen.add(block);
        }
        if !rest.is_empty() {
            // Most values are shorter than a block: padded, they take the same road.
            let mut last = [0u8; BLOCK];
            for (slot, &b) in last.iter_mut().zip(rest) {
                *slot = b;
            }
            seen.add(&last);
        }
        seen
    }

    fn add(&mut self, block: &[u8; BLOCK]) {
        let (mut digits, mut dots, mut colons) = (0u8, 0u8, 0u8);
        let (mut at, mut percent, mut equals, mut or) = (0u8, 0u8, 0u8, 0u8);
        for &b in block {
            digits = digits.wrapping_add(u8::from(b.wrapping_sub(b'0') < 10));
            dots = dots.wrapping_add(u8::from(b == b'.'));
            colons = colons.wrapping_add(u8::from(b == b':'));
            at |= u8::from(b == b'@');
            percent |= u8::from(b == b'%');
            equals |= u8::from(b == b'=');
            or |= b;
        }
        self.digits += usize::from(digits);
        self.dots += usize::from(dots);
        self.colons += usize::from(colons);
        self.at |= at != 0;
        self.percent |= percent != 0;
        self.equals |= equals != 0;
        self.non_ascii |= or >= 0x80;
    }
}

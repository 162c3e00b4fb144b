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

/// The most that a counter of one byte can count.
const BLOCK: usize = 255;

impl Seen {
    /// Looks at every byte once.
    pub(super) fn look(h: &[u8]) -> Seen {
        let mut seen = Seen::default();
        for block in h.chunks(BLOCK) {
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
            seen.digits += usize::from(digits);
            seen.dots += usize::from(dots);
            seen.colons += usize::from(colons);
            seen.at |= at != 0;
            seen.percent |= percent != 0;
            seen.equals |= equals != 0;
            seen.non_ascii |= or >= 0x80;
        }
        seen
    }
}

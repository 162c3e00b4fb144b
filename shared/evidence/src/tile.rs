//! Where the tree's tiles stand: paths and sizes of C2SP tlog-tiles.

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Highest tile level a 64-bit tree can have.
pub const LEVEL_MAX: u8 = 7;

/// What a tile path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tile {
    /// `width` hashes of the tree level `8 * level`, from hash `index * 256`.
    Hashes {
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Hashes, 1–256.
        width: u16,
    },
    /// `width` log entries, from entry `index * 256`, each with its length in two bytes, big endian.
    Entries {
        /// Tile index.
        index: u64,
        /// Entries, 1–256.
        width: u16,
    },
}

impl Tile {
    /// Reads a path such as `tile/0/x001/234.p/5`; other spellings of the same tile are refused.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (digits, width) = match rest.split_once(".p/") {
            Some((digits, width)) => (digits, width.parse().ok().filter(|w| (1..TILE_WIDTH).contains(w))?),
            None => (rest, TILE_WIDTH),
        };
        let index = digits
            .split('/')
            .map(|group| group.trim_start_matches('x'))
            .try_fold(0_u64, |index, group| {
                let group: u64 = (group.len() == 3).then(|| group.parse().ok()).flatten()?;
                index.checked_mul(1000)?.checked_add(group)
            })?;
        let tile = match level {
            "entries" => Tile::Entries { index, width },
            level => Tile::Hashes {
                level: level.parse().ok().filter(|l| *l <= LEVEL_MAX)?,
                index,
                width,
            },
        };
        (tile.path() == path).then_some(tile)
    }

    /// The path of this tile.
    #[must_use]
    pub fn path(&self) -> String {
        match *self {
            Tile::Hashes { level, index, width } => path_of(&level.to_string(), index, width),
            Tile::Entries { index, width } => path_of("entries", index, width),
        }
    }
}

/// The bytes of an entry bundle; absent when a leaf is longer than 65 535 bytes.
#[must_use]
pub fn entry_bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for leaf in leaves {
        bytes.extend_from_slice(&u16::try_from(leaf.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    Some(bytes)
}

fn path_of(level: &str, index: u64, width: u16) -> String {
    let mut digits = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        digits = format!("x{:03}/{digits}", rest % 1000);
        rest /= 1000;
    }
    if width == TILE_WIDTH {
        format!("tile/{level}/{digits}")
    } else {
        format!("tile/{level}/{digits}.p/{width}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_paths_are_those_of_the_specification() {
        let hashes = |level, index, width| Tile::Hashes { level, index, width }.path();
        assert_eq!(hashes(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(hashes(1, 0, 5), "tile/1/000.p/5");
        assert_eq!(Tile::Entries { index: 273, width: 256 }.path(), "tile/entries/273");
        assert_eq!(
            Tile::parse("tile/entries/x001/x234/067.p/1").unwrap(),
            Tile::Entries {
                index: 1_234_067,
                width: 1
            }
        );
    }

    #[test]
    fn an_entry_bundle_gives_each_leaf_its_length() {
        assert_eq!(entry_bundle([&b"ab"[..], &b"c"[..]]).unwrap(), b"\0\x02ab\0\x01c");
        assert_eq!(entry_bundle([vec![0; 65_536].as_slice()]), None);
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "tile/00/000",
            "tile/0/0",
            "tile/0/x000/001",
            "tile/0/001/234",
            "tile/0/x001/x234",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/0/000.p/05",
            "tile/8/000",
            "tile/0/xx1/000",
            "tile/-1/000",
            "tile/0/+01",
            "tile/0/000.p/+1",
            "tile/0/000/",
            "tile//000",
            "tile/0/",
            "tile/0/x001//067",
            "tile/0/x000/067",
            "tile/0/000.p/",
            &format!("tile/0/{}067", "x999/".repeat(9)),
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_path_reads_back(level in 0..=LEVEL_MAX, index in any::<u64>(), width in 1..=TILE_WIDTH) {
            let tile = Tile::Hashes { level, index, width };
            prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
        }

        #[test]
        fn arbitrary_paths_never_panic(path in any::<String>()) {
            let _ = Tile::parse(&path);
        }
    }
}

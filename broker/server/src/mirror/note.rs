//! The file beside the journal in which it is noted how much of the tree a mirror is known to hold, so that no start and no fault has to
//! ask for all of it again.
//!
//! It is believed only as far as it fits: of this place, of the tree that the journal gives, and when the place shows at least the
//! head that was shown there. Else the copy is looked at from its beginning, which costs requests and nothing else.

use std::path::{Path, PathBuf};

use chunk_core::audit;
use chunk_core::broker::Broker;
use serde::{Deserialize, Serialize};

use crate::data_dir::write_note;

/// The file.
pub(super) struct NoteFile(PathBuf);

/// How much a mirror is known to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Every full tile of the tree of the first so many entries.
    pub(super) tiles: u64,
    /// The newest checkpoint put there is of so many.
    pub(super) head: u64,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    v: u32,
    place: String,
    tiles: u64,
    head: u64,
    /// Of the tree of so many entries as `tiles` says, hex.
    root: String,
}

impl NoteFile {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("mirror.json"))
    }

    /// What is known of this place, which shows a head of so many entries.
    pub(super) fn read(&self, broker: &Broker, place: &str, shows: u64) -> Known {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        believed(&text, place, shows, |size| audit::root(broker, size).map(hex::encode))
    }

    /// Notes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn write(&self, broker: &Broker, place: &str, known: Known) -> std::io::Result<()> {
        let root = audit::root(broker, known.tiles).ok_or_else(|| std::io::Error::other("the tree is smaller"))?;
        let noted = Noted {
            v: 1,
            place: place.to_owned(),
            tiles: known.tiles,
            head: known.head,
            root: hex::encode(root),
        };
        let text = serde_json::to_string(&noted).map_err(std::io::Error::other)?;
        let file = self.0.clone();
        tokio::task::spawn_blocking(move || write_note(&file, &text)).await?
    }
}

fn believed(text: &str, place: &str, shows: u64, root: impl Fn(u64) -> Option<String>) -> Known {
    let Ok(noted) = serde_json::from_str::<Noted>(text) else {
        return Known::default();
    };
    let of_it = noted.v == 1 && noted.place == place && noted.head <= shows;
    if !of_it || root(noted.tiles) != Some(noted.root) {
        return Known::default();
    }
    Known {
        tiles: noted.tiles,
        head: noted.head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_believed_of_its_place_and_tree_and_no_further_than_the_place_shows() {
        let root = |size: u64| (size <= 600).then(|| format!("root of {size}"));
        let note = r#"{"v":1,"place":"s3://a/b","tiles":512,"head":600,"root":"root of 512"}"#;
        let known = Known { tiles: 512, head: 600 };
        assert_eq!(believed(note, "s3://a/b", 600, root), known);
        assert_eq!(believed(note, "s3://a/b", 700, root), known, "another broker has gone on");
        for (text, place, shows) in [
            (note.to_owned(), "s3://a/c", 600),
            (note.to_owned(), "s3://a/b", 599),
            (note.replace("root of 512", "root of 511"), "s3://a/b", 600),
            (note.replace("512", "700"), "s3://a/b", 700),
            (note.replace("\"v\":1", "\"v\":2"), "s3://a/b", 600),
            (String::new(), "s3://a/b", 600),
        ] {
            assert_eq!(believed(&text, place, shows, root), Known::default(), "{text} {place} {shows}");
        }
    }
}

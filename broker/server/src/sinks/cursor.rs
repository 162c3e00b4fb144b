//! The file beside the journal in which it is noted how far a sink or a notifier has come.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chunk_core::sinks::{Cursor, CursorPort};
use serde::{Deserialize, Serialize};

use crate::data_dir::write_note;

/// One receiver's note.
pub(crate) struct CursorFile(PathBuf);

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    v: u32,
    next: u64,
    /// Hex.
    root: String,
}

impl CursorFile {
    /// The note of the receiver of this role, `sink` or `notify`, and name.
    pub(crate) fn of(data_dir: &Path, role: &str, name: &str) -> Self {
        Self(data_dir.join(format!("{role}-{name}.json")))
    }

    /// What was noted last; nothing when nothing was.
    pub(crate) fn read(&self) -> Result<Option<Cursor>, String> {
        let fault = |what: &str| format!("{}: {what}", self.0.display());
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(&error.kind().to_string())),
        };
        let noted: Noted = serde_json::from_str(&text).map_err(|_| fault("is not a note of this program"))?;
        let root = hex::decode(&noted.root).ok().and_then(|root| root.try_into().ok());
        match root {
            Some(root) if noted.v == 1 => Ok(Some(Cursor { next: noted.next, root })),
            _ => Err(fault("is not a note of this version of the program")),
        }
    }

    fn write(&self, cursor: &Cursor) -> std::io::Result<()> {
        let noted = Noted {
            v: 1,
            next: cursor.next,
            root: hex::encode(cursor.root),
        };
        let text = serde_json::to_string(&noted).map_err(std::io::Error::other)?;
        write_note(&self.0, &text)
    }
}

impl CursorPort for CursorFile {
    fn note(&self, cursor: &Cursor) -> Result<(), String> {
        self.write(cursor)
            .map_err(|error| format!("{}: {}", self.0.display(), error.kind()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_note_reads_back_and_what_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = CursorFile::of(dir.path(), "sink", "siem");
        assert_eq!(file.read(), Ok(None));
        for next in [0, 7, 1 << 40] {
            let cursor = Cursor { next, root: [7; 32] };
            file.note(&cursor).unwrap();
            assert_eq!(file.read(), Ok(Some(cursor)));
        }
        let mode = std::fs::metadata(dir.path().join("sink-siem.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        for text in [
            "",
            "{",
            "{\"v\":1,\"next\":3,\"root\":\"00\"}",
            "{\"v\":2,\"next\":3,\"root\":\"\"}",
            "7",
        ] {
            std::fs::write(dir.path().join("sink-siem.json"), text).unwrap();
            assert!(file.read().unwrap_err().contains("sink-siem.json"), "{text}");
        }
        assert!(
            CursorFile::of(&dir.path().join("gone"), "sink", "siem")
                .note(&Cursor { next: 0, root: [0; 32] })
                .is_err()
        );
    }
}

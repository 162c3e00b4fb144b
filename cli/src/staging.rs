//! Chunks of a result on their way: a folder beside the target, until all of them are there.
//!
//! `.NAME.REQUEST.partial` holds `data` with a file a chunk, `receipts` with the receipt of each, and `moment`, which says of what moment of
//! the source they are and how many there will be. A file has its chunk's name only when its receipt has been checked; one that came whole
//! and has no receipt yet ends in `.unconfirmed`. When all are there, `receipts` and `data` get their names.

use std::path::{Path, PathBuf};

use chunk_wire::fetch::Format;
use chunk_wire::id::RequestId;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::config::{private_folder, write_private};
use crate::error::{Failure, Result};
use crate::sink::{folder_of, make_name_durable, receipt_path, receipts_folder};

/// Which moment of the source chunks are of, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    pub(crate) chunks: u32,
    pub(crate) snapshot: String,
}

/// More chunks than any broker makes would fill a disk with names.
const CHUNKS_MAX: u32 = 1 << 16;

impl Moment {
    /// What a delivery says of itself; nothing where it is the whole.
    ///
    /// # Errors
    /// When it says half of it, or something that cannot be.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let (count, snapshot) = (text(chunk_wire::fetch::COUNT_HEADER), text(chunk_wire::fetch::SNAPSHOT_HEADER));
        let odd = || Failure::cannot_tell("unexpected_answer", "the broker does not say which chunk of what it delivers");
        let (Some(count), Some(snapshot)) = (count, snapshot) else {
            return if count.is_some() || snapshot.is_some() {
                Err(odd())
            } else {
                Ok(None)
            };
        };
        let chunks = count.parse().map_err(|_| odd())?;
        let hex = !snapshot.is_empty() && snapshot.len() <= 64 && snapshot.bytes().all(|b| b.is_ascii_hexdigit());
        if !(2..=CHUNKS_MAX).contains(&chunks) || !hex {
            return Err(odd());
        }
        Ok(Some(Self {
            chunks,
            snapshot: snapshot.to_owned(),
        }))
    }
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    target: PathBuf,
    format: Format,
}

impl Staging {
    /// Where the chunks of a request for this target are, whether or not there are any.
    pub(crate) fn of(target: &Path, request: &RequestId, format: Format) -> Self {
        Self {
            folder: folder_of(target).join(format!("{}{request}{END}", begin(target))),
            target: target.to_owned(),
            format,
        }
    }

    /// The request whose chunks wait beside this target, if there is exactly one.
    ///
    /// # Errors
    /// When the folder cannot be read, or there are several.
    pub(crate) fn waiting_for(target: &Path) -> Result<Option<RequestId>> {
        let folder = folder_of(target);
        let unread = |error: std::io::Error| Failure::file("read", folder, &error);
        let begin = begin(target);
        let mut found = None;
        for entry in std::fs::read_dir(folder).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            let request = name
                .to_str()
                .and_then(|name| name.strip_prefix(&begin)?.strip_suffix(END)?.parse().ok());
            if request.is_some() && found.is_some() {
                return Err(
                    Failure::usage(format!("the chunks of several requests for `{}` are here", target.display()))
                        .why("name one of them with `--request`")
                        .hint("chunkctl requests --mine"),
                );
            }
            found = request.or(found);
        }
        Ok(found)
    }

    /// What the chunks that are here are of; nothing when there are none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn moment(&self) -> Result<Option<Moment>> {
        let path = self.folder.join(MOMENT);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let moment = serde_json::from_slice::<Moment>(&text)
            .ok()
            .filter(|moment| (2..=CHUNKS_MAX).contains(&moment.chunks));
        moment.map(Some).ok_or_else(|| {
            Failure::usage(format!("`{}` is not what was written there", path.display()))
                .why(format!("remove `{}` to begin anew", self.folder.display()))
        })
    }

    /// Makes place for the chunks of a moment. What is here of another goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(&self, moment: &Moment) -> Result<()> {
        self.discard()?;
        private_folder(&self.folder.join(DATA))?;
        private_folder(&self.folder.join(RECEIPTS))?;
        let text = serde_json::to_vec(moment).map_err(|_| Failure::bug("the moment of a result could not be written"))?;
        write_private(&self.folder.join(MOMENT), &text)
    }

    /// Lets go of what is here.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn discard(&self) -> Result<()> {
        match self.folder.symlink_metadata() {
            Ok(_) => std::fs::remove_dir_all(&self.folder).map_err(|error| Failure::file("remove", &self.folder, &error)),
            Err(_) => Ok(()),
        }
    }

    /// Where everything is until it is finished.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A chunk's file.
    pub(crate) fn file(&self, chunk: u32) -> PathBuf {
        self.folder.join(DATA).join(self.name(chunk))
    }

    /// The same, while it has no receipt.
    pub(crate) fn unconfirmed(&self, chunk: u32) -> PathBuf {
        self.folder.join(format!("{}.unconfirmed", self.name(chunk)))
    }

    /// A chunk's receipt.
    pub(crate) fn receipt(&self, chunk: u32) -> PathBuf {
        receipt_path(&self.folder.join(RECEIPTS).join(self.name(chunk)))
    }

    /// Whether a chunk is here, with its receipt.
    pub(crate) fn has(&self, chunk: u32) -> bool {
        self.file(chunk).is_file() && self.receipt(chunk).is_file()
    }

    /// Gives a chunk its name. Its receipt has one.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn confirm(&self, chunk: u32) -> Result<()> {
        let file = self.file(chunk);
        std::fs::rename(self.unconfirmed(chunk), &file).map_err(|error| Failure::file("name the file", &file, &error))?;
        make_name_durable(&file);
        Ok(())
    }

    /// Gives the folder of chunks its name, after that of their receipts.
    ///
    /// # Errors
    /// When there is something of that name; the chunks stay where they are, and it can be done again.
    pub(crate) fn finish(&self, force: bool) -> Result<()> {
        let (data, receipts) = (self.folder.join(DATA), self.folder.join(RECEIPTS));
        let named = receipts_folder(&self.target);
        if receipts.is_dir() {
            place(&receipts, &named, false)?;
        }
        place(&data, &self.target, force)?;
        make_name_durable(&self.target);
        // Nothing but the note of the moment is left.
        std::fs::remove_dir_all(&self.folder).ok();
        Ok(())
    }

    /// Where its receipts are once it is finished.
    pub(crate) fn receipts(&self) -> PathBuf {
        receipts_folder(&self.target)
    }

    fn name(&self, chunk: u32) -> String {
        format!("part-{chunk:05}.{}", self.format.as_str())
    }
}

/// A folder never takes another's place; a file's only when told to.
fn place(folder: &Path, target: &Path, force: bool) -> Result<()> {
    let there = target.symlink_metadata();
    if force && there.as_ref().is_ok_and(|there| !there.is_dir()) {
        std::fs::remove_file(target).map_err(|error| Failure::file("remove", target, &error))?;
    } else if there.is_ok() {
        return Err(Failure::usage(format!("`{}` exists already", target.display())).why(format!(
            "the chunks are kept in `{}`; move what is in their way, and go on",
            folder.display()
        )));
    }
    std::fs::rename(folder, target).map_err(|error| Failure::file("name the folder", target, &error))
}

fn begin(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

const END: &str = ".partial";
const DATA: &str = "data";
const RECEIPTS: &str = "receipts";
const MOMENT: &str = "moment";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn moment(chunks: u32) -> Moment {
        Moment {
            chunks,
            snapshot: "00ff".to_owned(),
        }
    }

    #[test]
    fn chunks_get_their_folder_when_all_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("orders.parquet");
        let id = RequestId::from_random([1; 10]);
        assert_eq!(Staging::waiting_for(&target).unwrap(), None);
        let staging = Staging::of(&target, &id, Format::Parquet);
        assert_eq!(staging.moment().unwrap(), None);
        staging.begin(&moment(2)).unwrap();
        assert_eq!(staging.moment().unwrap(), Some(moment(2)));
        assert_eq!(Staging::waiting_for(&target).unwrap(), Some(id.clone()));
        for chunk in 0..2 {
            assert!(!staging.has(chunk));
            std::fs::write(staging.unconfirmed(chunk), "bytes").unwrap();
            std::fs::write(staging.receipt(chunk), "receipt").unwrap();
            staging.confirm(chunk).unwrap();
            assert!(staging.has(chunk));
        }
        std::fs::write(&target, "in the way").unwrap();
        assert!(staging.finish(false).is_err());
        assert!(staging.file(0).exists(), "a failure takes nothing away");
        staging.finish(true).unwrap();
        assert_eq!(std::fs::read(target.join("part-00001.parquet")).unwrap(), b"bytes");
        let receipt = crate::sink::receipt_of(&target.join("part-00001.parquet"));
        assert_eq!(receipt, folder.path().join("orders.parquet.receipts/part-00001.parquet.receipt"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_is_here_of_another_moment_goes() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("orders.parquet");
        let id = RequestId::from_random([1; 10]);
        let staging = Staging::of(&target, &id, Format::Parquet);
        staging.begin(&moment(3)).unwrap();
        std::fs::write(staging.file(2), "old").unwrap();
        staging.begin(&moment(2)).unwrap();
        assert!(!staging.file(2).exists());
        staging.discard().unwrap();
        assert_eq!(staging.moment().unwrap(), None);
        staging.discard().unwrap();
        staging.begin(&moment(2)).unwrap();
        std::fs::write(staging.folder.join(MOMENT), "{}").unwrap();
        assert!(staging.moment().is_err());
        Staging::of(&target, &RequestId::from_random([2; 10]), Format::Parquet)
            .begin(&moment(2))
            .unwrap();
        assert!(Staging::waiting_for(&target).is_err(), "of which request?");
    }

    #[test]
    fn a_delivery_says_all_of_what_it_is_or_nothing() {
        let of = |count: Option<&str>, snapshot: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(count) = count {
                headers.insert("chunk-count", count.parse().unwrap());
            }
            if let Some(snapshot) = snapshot {
                headers.insert("chunk-snapshot", snapshot.parse().unwrap());
            }
            Moment::of(&headers)
        };
        assert_eq!(of(None, None).unwrap(), None);
        assert_eq!(of(Some("2"), Some("00ff")).unwrap(), Some(moment(2)));
        for (count, snapshot) in [
            (Some("2"), None),
            (None, Some("00ff")),
            (Some("1"), Some("00ff")),
            (Some("many"), Some("00ff")),
            (Some("70000"), Some("00ff")),
            (Some("2"), Some("../x")),
            (Some("2"), Some("")),
        ] {
            assert!(of(count, snapshot).is_err(), "{count:?} {snapshot:?}");
        }
    }
}

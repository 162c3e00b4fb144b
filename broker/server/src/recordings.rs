//! Recordings as files: `recordings/MONTH/INTENT` below the data folder, for their owner only.
//!
//! What stands in them was sealed before it came here. A name is durable with its folder, so folders are synced with the first
//! sync of a file, before any outcome says that there is a recording.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chunk_core::recording::{RecordingFile, RecordingName, Recordings};

/// Bytes read from the disk at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Recordings below a folder.
#[derive(Debug)]
pub(crate) struct FileRecordings {
    folder: PathBuf,
}

impl FileRecordings {
    /// Those below this folder, which is made with the first of them.
    pub(crate) fn below(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn month(&self, name: &RecordingName) -> PathBuf {
        self.folder.join(&name.month)
    }

    fn path(&self, name: &RecordingName) -> PathBuf {
        self.month(name).join(name.intent.to_string())
    }
}

impl Recordings for FileRecordings {
    fn create(&self, name: &RecordingName) -> io::Result<Box<dyn RecordingFile>> {
        let month = self.month(name);
        let made = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&month)?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))
        };
        // Somebody else may remove the month's folder with the last file in it just then.
        let file = made().or_else(|fault| if fault.kind() == ErrorKind::NotFound { made() } else { Err(fault) })?;
        Ok(Box::new(OneFile {
            file,
            unsynced: above(&self.folder, month),
        }))
    }

    fn resume(&self, name: &RecordingName, from: u64) -> io::Result<Box<dyn RecordingFile>> {
        let file = OpenOptions::new().append(true).open(self.path(name))?;
        if file.metadata()?.len() < from {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.set_len(from)?;
        Ok(Box::new(OneFile {
            file,
            unsynced: above(&self.folder, self.month(name)),
        }))
    }

    fn open(&self, name: &RecordingName) -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(self.path(name))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    }

    fn remove(&self, name: &RecordingName) -> io::Result<bool> {
        match std::fs::remove_file(self.path(name)) {
            Ok(()) => {}
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(false),
            Err(fault) => return Err(fault),
        }
        let month = self.month(name);
        // A folder that is gone has nothing in it any more.
        sync_folder(&month).or_else(|fault| if fault.kind() == ErrorKind::NotFound { Ok(()) } else { Err(fault) })?;
        // It stays while anything is in it.
        drop(std::fs::remove_dir(&month));
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<RecordingName>> {
        let mut names = Vec::new();
        for month in entries(&self.folder)?.into_iter().filter(|name| is_month(name)) {
            for file in entries(&self.folder.join(&month))? {
                // What has another name was not made here, and is left alone.
                if let Some(intent) = file.parse().ok().filter(|intent: &u64| intent.to_string() == file) {
                    names.push(RecordingName {
                        month: month.clone(),
                        intent,
                    });
                }
            }
        }
        Ok(names)
    }
}

/// Whether a folder was made here, `2026-11`.
fn is_month(name: &str) -> bool {
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('-')
        .is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
}

struct OneFile {
    file: File,
    /// Folders whose entries are not durable yet, inner ones first.
    unsynced: Vec<PathBuf>,
}

impl RecordingFile for OneFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for folder in self.unsynced.drain(..) {
            sync_folder(&folder)?;
        }
        Ok(())
    }
}

/// The folders that the name of a file in this month hangs on.
fn above(folder: &Path, month: PathBuf) -> Vec<PathBuf> {
    let data = folder.parent().map(Path::to_owned);
    [Some(month), Some(folder.to_owned()), data].into_iter().flatten().collect()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Names in a folder; none, where there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let read = match std::fs::read_dir(folder) {
        Ok(read) => read,
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut names = Vec::new();
    for entry in read {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(intent: u64) -> RecordingName {
        RecordingName {
            month: "2026-01".to_owned(),
            intent,
        }
    }

    fn read(recordings: &FileRecordings, intent: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        recordings.open(&name(intent)).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_recording_is_its_owner_s_alone_is_never_begun_twice_and_goes_on_where_it_was_cut() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("recordings");
        let recordings = FileRecordings::below(folder.clone());
        assert_eq!(recordings.list().unwrap(), []);
        let mut file = recordings.create(&name(7)).unwrap();
        file.append(b"abc").unwrap();
        file.sync().unwrap();
        file.append(b"def").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("2026-01/7"))), (0o700, 0o600));
        assert_eq!(recordings.create(&name(7)).err().unwrap().kind(), ErrorKind::AlreadyExists);
        let mut again = recordings.resume(&name(7), 4).unwrap();
        again.append(b"!").unwrap();
        again.sync().unwrap();
        assert_eq!(read(&recordings, 7), b"abcd!");
        assert!(recordings.resume(&name(7), 99).is_err(), "nothing is made up in between");
        assert_eq!(recordings.resume(&name(8), 0).err().unwrap().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_is_removed_is_gone_and_what_is_somebody_else_s_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("recordings");
        let recordings = FileRecordings::below(folder.clone());
        drop(recordings.create(&name(7)).unwrap());
        std::fs::write(folder.join("2026-01/notes.txt"), "mine").unwrap();
        std::fs::write(folder.join("2026-01/007"), "mine").unwrap();
        assert_eq!(recordings.list().unwrap(), [name(7)]);
        assert!(recordings.remove(&name(7)).unwrap());
        assert!(!recordings.remove(&name(7)).unwrap());
        assert_eq!(recordings.list().unwrap(), []);
        assert!(folder.join("2026-01/notes.txt").exists());
    }
}

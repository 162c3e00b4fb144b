//! Events as lines of a file, for a collector on this machine.
//!
//! Lines are appended and synced before they count as accepted. When the file was moved away or removed, a new one is made: the
//! place is looked at before every batch. A line that was cut, by a full disk or a crash, is ended, so that the event that
//! is then written again stands on a line of its own.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chunk_core::sinks::{SinkEvent, SinkFault, SinkPort, Takes};
use tokio::task::JoinHandle;

/// What is synced at once.
const TAKES: Takes = Takes {
    events: 256,
    bytes: 1024 * 1024,
};

/// A file that is appended to.
pub(super) struct FileSink {
    path: PathBuf,
    /// The open file; none before the first write, and after one that failed.
    open: Option<File>,
    /// A write that may still run. A medium that hangs holds one thread, and never a second one.
    running: Option<JoinHandle<Written>>,
}

/// A write that has ended, and the file if it was good.
type Written = Result<File, String>;

impl FileSink {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            running: None,
        }
    }

    /// The result of the write that runs; comes back at once when none does. May be given up and asked again.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let written = running.await;
        self.running = None;
        self.open = Some(written.unwrap_or_else(|_| Err("writing failed".to_owned()))?);
        Ok(())
    }
}

#[async_trait]
impl SinkPort for FileSink {
    fn takes(&self) -> Takes {
        TAKES
    }

    async fn deliver(&mut self, events: &[SinkEvent]) -> Result<(), SinkFault> {
        // An earlier write that was given up comes first; its lines are written again now.
        self.settle().await.map_err(SinkFault::unavailable)?;
        let mut lines = String::new();
        for event in events {
            lines.push_str(&event.text);
            lines.push('\n');
        }
        let (path, open) = (self.path.clone(), self.open.take());
        self.running = Some(tokio::task::spawn_blocking(move || {
            append(&path, open, lines.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
        }));
        self.settle().await.map_err(SinkFault::unavailable)
    }
}

/// Appends to the file of this name, durably.
fn append(path: &Path, open: Option<File>, lines: &[u8]) -> std::io::Result<File> {
    let mut file = match open {
        Some(file) if is_there(path, &file) => file,
        _ => begin(path)?,
    };
    file.write_all(lines)?;
    file.sync_data()?;
    Ok(file)
}

/// Whether the file is still the one of this name.
fn is_there(path: &Path, file: &File) -> bool {
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

/// Opens the file for appending, or makes it; ends a line that was cut.
fn begin(path: &Path) -> std::io::Result<File> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::other("is not a regular file"));
    }
    if found.len() == 0 {
        // The name lasts only once its folder is on disk too.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        return Ok(file);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::rfc5424::tests::event;
    use super::*;

    async fn send(sink: &mut FileSink, indices: std::ops::Range<u64>) {
        let events: Vec<SinkEvent> = indices.map(event).collect();
        sink.deliver(&events).await.unwrap();
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn lines_are_appended_and_a_file_that_was_moved_or_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut sink = FileSink::new(path.clone());
        send(&mut sink, 0..2).await;
        send(&mut sink, 2..3).await;
        assert_eq!(lines(&path), [event(0).text, event(1).text, event(2).text]);
        std::fs::rename(&path, dir.path().join("events.1")).unwrap();
        send(&mut sink, 3..4).await;
        assert_eq!(lines(&path), [event(3).text]);
        assert_eq!(lines(&dir.path().join("events.1")).len(), 3);
        // Copied and cut to nothing, as `copytruncate` does.
        File::options().write(true).truncate(true).open(&path).unwrap();
        send(&mut sink, 4..5).await;
        assert_eq!(lines(&path), [event(4).text]);
        std::fs::remove_file(&path).unwrap();
        send(&mut sink, 5..6).await;
        assert_eq!(lines(&path), [event(5).text]);
    }

    #[tokio::test]
    async fn half_a_line_is_ended_and_its_event_follows_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
        send(&mut FileSink::new(path.clone()), 0..1).await;
        assert_eq!(lines(&path), ["{\"a\":1}".to_owned(), "{\"b\"".to_owned(), event(0).text]);
    }

    #[tokio::test]
    async fn what_is_no_file_or_not_there_is_told_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let why = |path: &Path| {
            let mut sink = FileSink::new(path.to_owned());
            async move { sink.deliver(&[event(0)]).await.unwrap_err().why }
        };
        assert!(why(dir.path()).await.contains("directory"));
        assert!(why(Path::new("/dev/null")).await.contains("is not a regular file"));
        let mut sink = FileSink::new(dir.path().join("later/events.jsonl"));
        sink.deliver(&[event(0)]).await.unwrap_err();
        std::fs::create_dir(dir.path().join("later")).unwrap();
        sink.deliver(&[event(0)]).await.unwrap();
    }
}

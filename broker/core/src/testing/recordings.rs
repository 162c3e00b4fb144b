//! Recordings in memory, which fail on command.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::recording::{RecordingFile, RecordingName, Recordings};

/// Recordings that several owners may look at.
#[derive(Clone, Default)]
pub(crate) struct MemRecordings {
    pub(crate) files: Arc<Mutex<BTreeMap<RecordingName, Vec<u8>>>>,
    /// Bytes that there is space for still; 0 stands for no bound.
    pub(crate) space: Arc<AtomicU64>,
}

impl MemRecordings {
    /// Everything there is, in one piece.
    pub(crate) fn all(&self) -> Vec<u8> {
        self.files.lock().unwrap().values().flatten().copied().collect()
    }
}

impl Recordings for MemRecordings {
    fn create(&self, name: &RecordingName) -> io::Result<Box<dyn RecordingFile>> {
        if self.files.lock().unwrap().insert(name.clone(), Vec::new()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Box::new(MemFile(self.clone(), name.clone())))
    }

    fn resume(&self, name: &RecordingName, from: u64) -> io::Result<Box<dyn RecordingFile>> {
        let mut files = self.files.lock().unwrap();
        files
            .get_mut(name)
            .ok_or(io::ErrorKind::NotFound)?
            .truncate(usize::try_from(from).unwrap());
        Ok(Box::new(MemFile(self.clone(), name.clone())))
    }

    fn open(&self, name: &RecordingName) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.files.lock().unwrap().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn remove(&self, name: &RecordingName) -> io::Result<bool> {
        Ok(self.files.lock().unwrap().remove(name).is_some())
    }

    fn list(&self) -> io::Result<Vec<RecordingName>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }
}

struct MemFile(MemRecordings, RecordingName);

impl RecordingFile for MemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let space = self.0.space.load(Ordering::SeqCst);
        if space > 0 {
            match space.checked_sub(bytes.len() as u64).filter(|left| *left > 0) {
                Some(left) => self.0.space.store(left, Ordering::SeqCst),
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
        }
        let mut files = self.0.files.lock().unwrap();
        files.get_mut(&self.1).unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

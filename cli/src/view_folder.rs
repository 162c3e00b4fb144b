//! A folder of tables and lines that a verifier derives from a bundle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::error::{Failure, Result};

/// Views while they are made: in a folder beside the one asked for, until it is known that they are worth something.
pub(crate) struct ViewFolder<'p> {
    folder: &'p Path,
    made: tempfile::TempDir,
    files: BTreeMap<String, BufWriter<File>>,
    fault: Option<std::io::Error>,
}

impl<'p> ViewFolder<'p> {
    /// Makes the folder beside it.
    ///
    /// # Errors
    /// When the folder asked for is there, or none can be made beside it.
    pub(crate) fn new(folder: &'p Path) -> Result<Self> {
        if folder.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("`{}` exists already", folder.display())).hint("name a folder that does not exist"));
        }
        let beside = folder
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(".chunkctl-").suffix(".part").tempdir_in(beside);
        Ok(Self {
            folder,
            made: made.map_err(|error| Failure::file("make", folder, &error))?,
            files: BTreeMap::new(),
            fault: None,
        })
    }

    /// Adds to a view. What cannot be written is told at the end.
    pub(crate) fn put(&mut self, name: &str, text: &str) {
        if self.fault.is_none() {
            self.fault = self.write(name, text).err();
        }
    }

    /// A new file of the folder, for somebody else to write and sync.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(&self, name: &str) -> std::io::Result<File> {
        File::create_new(self.made.path().join(name))
    }

    fn write(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        if !self.files.contains_key(name) {
            // Names of views are the verifier's own, never the bundle's.
            let file = File::create(self.made.path().join(name.trim_start_matches("views/")))?;
            self.files.insert(name.to_owned(), BufWriter::new(file));
        }
        match self.files.get_mut(name) {
            Some(file) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// When something could not be written.
    pub(crate) fn keep(mut self) -> Result<()> {
        let folder = self.folder;
        let mut finish = || -> std::io::Result<()> {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            for file in self.files.values_mut() {
                file.flush()?;
                file.get_ref().sync_all()?;
            }
            std::fs::rename(self.made.path(), folder)
        };
        finish().map_err(|error| Failure::file("write", folder, &error))?;
        // It has another name now.
        drop(self.made.keep());
        Ok(())
    }
}

//! Space kept back, so that the end of every delivery can be recorded when the disk is full.
//!
//! Two means: new work is refused while free space is below a bound; and a ballast file holds real blocks, because others may
//! fill the disk too. An ending that finds no space gives the ballast up and tries once more.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Free space below which new work is refused.
const FREE_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// Blocks held by the ballast file.
const BALLAST_BYTES: u64 = 8 * 1024 * 1024;

/// The space kept back beside one journal.
#[derive(Debug)]
pub(crate) struct Reserve {
    folder: PathBuf,
    ballast: PathBuf,
    held: bool,
    free_bytes_min: u64,
}

impl Reserve {
    /// Keeps space beside this file. Without room for the ballast it starts empty-handed and tries again later.
    pub(crate) fn beside(journal: &Path) -> Self {
        let mut name = journal.file_name().unwrap_or_default().to_owned();
        name.push(".reserve");
        let folder = journal
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_owned();
        let mut reserve = Self {
            ballast: folder.join(name),
            folder,
            held: false,
            free_bytes_min: FREE_BYTES_MIN,
        };
        reserve.hold();
        reserve
    }

    /// Whether there is room for new work. A file system that cannot tell counts as having room: its own error will say no.
    pub(crate) fn has_room(&mut self) -> bool {
        let free = statvfs(&self.folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        if free < self.free_bytes_min {
            return false;
        }
        if !self.held {
            self.hold();
        }
        true
    }

    /// Gives the ballast up; false when there was none.
    pub(crate) fn release(&mut self) -> bool {
        let released = self.held && std::fs::remove_file(&self.ballast).is_ok();
        self.held = false;
        if released {
            tracing::error!("the disk is full: the space kept back for endings is now in use; make room");
        }
        released
    }

    fn hold(&mut self) {
        self.held = allocate(&self.ballast).is_ok();
        if !self.held {
            tracing::warn!("no space could be kept back for endings");
        }
    }

    #[cfg(test)]
    pub(crate) fn pretend_full(&mut self, full: bool) {
        self.free_bytes_min = if full { u64::MAX } else { FREE_BYTES_MIN };
    }
}

fn allocate(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        // File systems without fallocate get written blocks.
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&file),
        result => Ok(result?),
    }
}

fn write_zeros(mut file: &File) -> io::Result<()> {
    use io::Write as _;
    let block = [0_u8; 64 * 1024];
    for _ in 0..BALLAST_BYTES / block.len() as u64 {
        file.write_all(&block)?;
    }
    file.sync_data()
}

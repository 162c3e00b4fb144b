//! A place for the session of a job that is on no disk: a file in memory, which nothing but swap could write to one.
//!
//! The place must prove what it is: a file system that the kernel keeps in memory, in a folder that is ours and that nobody else
//! may enter. A file's name says until when its session lives, so that whoever finds one knows, and so that what is over is
//! removed by whichever command comes next.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// A session's file must end by then: its name says when.
const UNTIL: &str = ".until-";
/// Before the end of the file's name.
const END: &str = "-ms.json";

/// The folder, made where it is not there yet.
///
/// # Errors
/// When no place is in memory, or one is not ours alone.
pub(crate) fn folder() -> Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    folder_in(runtime.as_deref(), Path::new("/dev/shm"))
}

fn folder_in(runtime: Option<&Path>, shared: &Path) -> Result<PathBuf> {
    let mut failure = Failure::usage("this machine has no place in memory for the session")
        .why("a job's session is kept in a tmpfs and on no disk; without one, leave `chunkctl login --ci` out: every command signs in for itself")
        .hint("chunkctl whoami");
    let own = own_id().map(|id| shared.join(format!("chunkctl-{id}")));
    let runtime = runtime.filter(|path| path.is_absolute()).map(|path| path.join("chunkctl"));
    for folder in runtime.into_iter().chain(own) {
        match usable(&folder) {
            Ok(()) => return Ok(folder),
            Err(why) => failure = failure.why(format!("`{}`: {why}", folder.display())),
        }
    }
    Err(failure)
}

/// Keeps a session until this time, in place of what was kept under this name.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8], until_ms: i64) -> Result<()> {
    let path = folder.join(format!("{name}{UNTIL}{until_ms}{END}"));
    crate::config::write_private(&path, bytes)?;
    let mut old = kept(folder, name)?.into_iter().filter(|(other, _)| *other != path);
    old.try_for_each(|(path, _)| remove(&path))
}

/// What is kept under this name and has not ended.
///
/// # Errors
/// When it cannot be read, or others could have read it.
pub(crate) fn load(folder: &Path, name: &str, now_ms: i64) -> Result<Option<Zeroizing<Vec<u8>>>> {
    for (path, until_ms) in kept(folder, name)? {
        if until_ms <= now_ms {
            remove(&path)?;
        } else if let Some(bytes) = super::vault::read_plaintext(&path)? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Removes what is kept under this name.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn delete(folder: &Path, name: &str) -> Result<()> {
    kept(folder, name)?.into_iter().try_for_each(|(path, _)| remove(&path))
}

/// Files under this name, each with its end.
fn kept(folder: &Path, name: &str) -> Result<Vec<(PathBuf, i64)>> {
    let unread = |error: &std::io::Error| Failure::file("read", folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unread(&error))? {
        let entry = entry.map_err(|error| unread(&error))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let until = file
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(UNTIL)?.strip_suffix(END)?.parse().ok());
        if let Some(until_ms) = until {
            found.push((entry.path(), until_ms));
        }
    }
    Ok(found)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Whether a folder is in memory and ours alone; it is made if its parent is there.
#[cfg(target_os = "linux")]
fn usable(folder: &Path) -> std::result::Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let words = |error: std::io::Error| crate::error::io_words(&error);
    let parent = folder.parent().ok_or("it has no parent")?;
    // Looked at before anything is made in it.
    in_memory(parent)?;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(words(error)),
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder).map_err(words)?;
    if !found.is_dir() || Some(found.uid()) != own_id() || found.mode() & 0o077 != 0 {
        return Err("it must be a folder of your own that nobody else may enter (mode 0700)".to_owned());
    }
    in_memory(folder)
}

/// Whether the kernel keeps what is in this folder in memory, by what it says of the file system.
#[cfg(target_os = "linux")]
fn in_memory(folder: &Path) -> std::result::Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let words = |error: std::io::Error| crate::error::io_words(&error);
    let device = std::fs::metadata(folder).map_err(words)?.dev();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(words)?;
    match file_system(&mounts, device) {
        Some("tmpfs" | "ramfs") => Ok(()),
        Some(other) => Err(format!("it is on {other}, which may be a disk")),
        None => Err("the kernel does not say what it is on".to_owned()),
    }
}

/// The type of the file system on a device, as `/proc/self/mountinfo` has it: `36 35 0:32 / /dev/shm rw shared:1 - tmpfs …`.
#[cfg(target_os = "linux")]
fn file_system(mounts: &str, device: u64) -> Option<&str> {
    // The C library's makedev: the low bits of both numbers first, the high ones above them.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
    let device = format!("{major}:{minor}");
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let of_device = mount.split(' ').nth(2) == Some(device.as_str());
        of_device.then(|| file_system.split(' ').next()).flatten()
    })
}

/// Whose this process is.
#[cfg(target_os = "linux")]
fn own_id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

#[cfg(not(target_os = "linux"))]
fn own_id() -> Option<u32> {
    None
}

#[cfg(not(target_os = "linux"))]
fn usable(_folder: &Path) -> std::result::Result<(), String> {
    Err("this build knows no file system in memory of this operating system".to_owned())
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const MOUNTS: &str = "22 28 0:21 / /sys rw,nosuid - sysfs sysfs rw\n\
        28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n\
        36 35 0:32 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=65536k\n";

    /// A folder of the test's own in memory.
    fn memory() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("chunkctl-test-").tempdir_in("/dev/shm").unwrap()
    }

    #[test]
    fn the_kernel_says_what_a_folder_is_on() {
        assert_eq!(file_system(MOUNTS, 32), Some("tmpfs"));
        assert_eq!(file_system(MOUNTS, (259 << 8) | 2), Some("ext4"));
        assert_eq!(file_system(MOUNTS, 33), None);
    }

    #[test]
    fn a_place_on_a_disk_is_refused_and_the_next_one_is_tried() {
        // Not in memory whatever machine this runs on, and nothing can be made in it.
        let no_memory = Path::new("/proc/self");
        let failure = folder_in(Some(no_memory), no_memory).unwrap_err();
        assert!(failure.why.iter().any(|why| why.contains("it is on proc")), "{:?}", failure.why);
        let shared = memory();
        let found = folder_in(Some(no_memory), shared.path()).unwrap();
        assert!(found.starts_with(shared.path()));
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder_in(Some(Path::new("relative")), shared.path()).unwrap(), found);
    }

    #[test]
    fn a_folder_that_somebody_prepared_is_refused() {
        let shared = memory();
        let elsewhere = memory();
        let found = folder_in(None, shared.path()).unwrap();
        std::fs::set_permissions(&found, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(folder_in(None, shared.path()).is_err());
        std::fs::remove_dir(&found).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &found).unwrap();
        assert!(folder_in(None, shared.path()).is_err());
    }

    #[test]
    fn a_session_is_kept_until_its_end_and_its_file_says_when_that_is() {
        let shared = memory();
        let folder = folder_in(None, shared.path()).unwrap();
        let files = || {
            std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        save(&folder, "slot", b"first", 1000).unwrap();
        save(&folder, "slot", b"second", 2000).unwrap();
        assert_eq!(files(), ["slot.until-2000-ms.json"], "a new session replaces the old one");
        let mode = folder.join("slot.until-2000-ms.json").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load(&folder, "slot", 1999).unwrap().unwrap().as_slice(), b"second");
        assert!(load(&folder, "slo", 1999).unwrap().is_none() && load(&folder, "other", 1999).unwrap().is_none());
        assert!(load(&folder, "slot", 2000).unwrap().is_none());
        assert!(files().is_empty(), "what is over is removed");
        save(&folder, "slot", b"third", 3000).unwrap();
        delete(&folder, "slot").unwrap();
        delete(&folder, "slot").unwrap();
        assert!(files().is_empty());
    }
}

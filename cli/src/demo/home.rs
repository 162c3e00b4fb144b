//! Where the demo lives: one folder that it made and may replace, and a sample that later runs use again.
//!
//! The folder holds sessions in plaintext, scripts that are sourced and the process number that `kill` is given, and its name
//! may be one that anybody can guess (`/tmp/…`). So it must belong to whoever runs the demo, and to nobody else; it is locked
//! while a demo runs in it, and emptied instead of removed, so that nobody can put another in its place meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::config::{Paths, private_folder, write_private};
use crate::error::{Failure, Result};
use crate::lock;

/// Rows of the larger sample table.
pub(crate) const ORDERS_DEFAULT: u64 = 1_000_000;
const ORDERS_MAX: u64 = 100_000_000;
/// Marks a folder as the demo's own; nothing else is ever removed.
const MARKER: &str = ".chunkctl-demo";
const MARKER_TEXT: &str = "Made by `chunkctl demo`, which replaces this folder when it runs again.\n";
const PID: &str = "broker.pid";
/// Locked while a demo runs in the folder.
const LOCK: &str = ".lock";

/// What the demo was asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// Folder to use instead of the one below the state folder.
    pub(crate) dir: Option<PathBuf>,
    /// Rows of the larger sample table.
    pub(crate) orders: u64,
    /// Leave the broker running.
    pub(crate) keep: bool,
}

/// The demo's folder, empty but for its marker; nobody else's for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Home {
    _lock: File,
    root: PathBuf,
    sample: PathBuf,
    orders: u64,
    keep: bool,
}

impl Home {
    /// Makes the folder, replacing what an earlier demo left there.
    ///
    /// # Errors
    /// When it is not ours alone, holds anything else, or another demo or its broker still runs in it.
    pub(crate) fn make(wishes: &Wishes, paths: &Paths) -> Result<Self> {
        if !(1..=ORDERS_MAX).contains(&wishes.orders) {
            return Err(Failure::usage(format!("`--orders` must be between 1 and {ORDERS_MAX}")).hint("chunkctl demo"));
        }
        let root = match &wishes.dir {
            Some(dir) => std::path::absolute(dir).map_err(|error| Failure::file("find", dir, &error))?,
            None => paths.state.join("demo"),
        };
        folder_of_ours(&root)?;
        let unread = |error: std::io::Error| Failure::file("replace", &root, &error);
        let entries = std::fs::read_dir(&root).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let others: Vec<_> = entries
            .map_err(unread)?
            .into_iter()
            .filter(|entry| entry.file_name() != LOCK)
            .collect();
        if !others.is_empty() && !root.join(MARKER).is_file() {
            return Err(
                Failure::usage(format!("`{}` is not empty and not an earlier demo's folder", root.display()))
                    .why("the demo replaces its folder and will not touch anything else")
                    .hint("chunkctl demo --dir NEW_FOLDER"),
            );
        }
        let lock = lock::try_hold(&root.join(LOCK))?;
        let pid = running(&root);
        let Some(lock) = lock.filter(|_| pid.is_none()) else {
            let stop = pid.map(|pid| format!(", or stop its broker with `kill {pid}`")).unwrap_or_default();
            return Err(Failure::usage(format!("a demo still runs in `{}`", root.display()))
                .why(format!("wait for its end{stop}"))
                .hint("chunkctl demo --dir OTHER_FOLDER"));
        };
        for entry in others {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir()); // a link to one is not
            let removed = if is_folder {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
            removed.map_err(unread)?;
        }
        write_private(&root.join(MARKER), MARKER_TEXT.as_bytes())?;
        let sample = paths.state.join("demo-sample").join(format!("orders-{}", wishes.orders));
        private_folder(&sample)?;
        Ok(Self {
            _lock: lock,
            root,
            sample,
            orders: wishes.orders,
            keep: wishes.keep,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The generated data; shared by all demos of this size.
    pub(crate) fn sample(&self) -> &Path {
        &self.sample
    }

    pub(crate) fn orders(&self) -> u64 {
        self.orders
    }

    pub(crate) fn keep(&self) -> bool {
        self.keep
    }

    /// The broker's own folder.
    pub(crate) fn broker(&self) -> PathBuf {
        self.root.join("broker")
    }

    /// What the broker logs.
    pub(crate) fn broker_log(&self) -> PathBuf {
        self.root.join("broker.log")
    }

    /// Where the broker's process number stands while it runs.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.root.join(PID)
    }

    /// Remembers which process to stop later.
    pub(crate) fn write_pid(&self, pid: u32) -> Result<()> {
        write_private(&self.pid_file(), format!("{pid}\n").as_bytes())
    }
}

/// Makes the folder, or checks that the one which is there is ours alone.
fn folder_of_ours(root: &Path) -> Result<()> {
    if let Some(parent) = root.parent() {
        private_folder(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(root) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::file("create", root, &error)),
    }
    let found = root.symlink_metadata().map_err(|error| Failure::file("read", root, &error))?;
    if !found.is_dir() {
        return Err(Failure::usage(format!("`{}` is not a folder", root.display()))
            .why("the demo follows no link: whoever made it could turn it elsewhere")
            .hint("chunkctl demo --dir NEW_FOLDER"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // A file made by this process has the owner that its folder has to have.
        let me = tempfile::tempfile().and_then(|file| file.metadata());
        let me = me.map_err(|error| Failure::file("create a file in", &std::env::temp_dir(), &error))?;
        if let Some(why) = not_ours_alone(found.uid(), found.mode(), me.uid()) {
            return Err(Failure::usage(format!("`{}` is not safe to run a demo in", root.display()))
                .why(why)
                .hint("chunkctl demo --dir NEW_FOLDER"));
        }
    }
    Ok(())
}

/// Why a folder with this owner and mode could be changed by somebody else.
#[cfg(unix)]
fn not_ours_alone(owner: u32, mode: u32, me: u32) -> Option<String> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    if owner != me {
        return Some(format!("it belongs to user {owner}, who could change what is run from it"));
    }
    (mode & WRITABLE_BY_OTHERS != 0).then(|| format!("it has mode {:o}: others could change what is run from it", mode & 0o7777))
}

/// The broker that an earlier demo left, if it still runs. A process number is used again by others, so its name is
/// looked at too.
fn running(root: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(root.join(PID)).ok()?.trim().parse().ok()?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "chunk-broker").then_some(pid)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_a_demo_of_ours_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: scratch.path().join("config.toml"),
            state: scratch.path().join("state"),
        };
        let precious = scratch.path().join("thesis");
        std::fs::create_dir(&precious).unwrap();
        std::fs::write(precious.join("chapter-1"), "x").unwrap();
        let wishes = |dir: Option<PathBuf>| Wishes {
            dir,
            orders: 10,
            keep: false,
        };
        assert!(Home::make(&wishes(Some(precious.clone())), &paths).is_err());
        assert!(precious.join("chapter-1").exists());

        let home = Home::make(&wishes(None), &paths).unwrap();
        std::fs::create_dir(home.root().join("folder")).unwrap();
        std::fs::write(home.root().join("folder/old"), "x").unwrap();
        std::fs::write(home.root().join("old"), "x").unwrap();
        let root = home.root().to_owned();
        drop(home);
        let again = Home::make(&wishes(None), &paths).unwrap();
        assert_eq!(root, again.root());
        assert!(!again.root().join("old").exists() && !again.root().join("folder").exists() && again.sample().is_dir());
    }

    #[test]
    fn a_second_demo_in_the_same_folder_is_refused_while_one_runs() {
        let scratch = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: scratch.path().join("config.toml"),
            state: scratch.path().join("state"),
        };
        let wishes = |dir: Option<&str>| Wishes {
            dir: dir.map(|dir| scratch.path().join(dir)),
            orders: 10,
            keep: false,
        };
        let first = Home::make(&wishes(None), &paths).unwrap();
        std::fs::write(first.root().join("in-use"), "x").unwrap();
        let failure = Home::make(&wishes(None), &paths).unwrap_err();
        assert!(failure.what.contains("a demo still runs in"), "{}", failure.what);
        assert!(first.root().join("in-use").exists());
        Home::make(&wishes(Some("elsewhere")), &paths).unwrap();
        drop(first);
        Home::make(&wishes(None), &paths).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_could_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("demo");
        folder_of_ours(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let mode = |mode| {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            folder_of_ours(&folder)
        };
        for fine in [0o700, 0o755] {
            mode(fine).unwrap();
        }
        for bad in [0o777, 0o775, 0o722, 0o1777] {
            assert!(mode(bad).is_err(), "{bad:o}");
        }
        mode(0o700).unwrap();
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(folder_of_ours(&link).is_err());
        assert!(not_ours_alone(1000, 0o700, 1000).is_none());
        assert!(not_ours_alone(1001, 0o700, 1000).is_some(), "somebody made it before us");
    }

    #[test]
    fn a_demo_whose_broker_runs_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join(PID), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(running(scratch.path()), None, "this test is not a broker");
        std::fs::write(scratch.path().join(PID), "nonsense").unwrap();
        assert_eq!(running(scratch.path()), None);
    }
}

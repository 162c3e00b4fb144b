//! Where the demo lives: one folder that it made and may replace, and a sample that later runs use again.

use std::path::{Path, PathBuf};

use crate::config::{Paths, private_folder, write_private};
use crate::error::{Failure, Result};

/// Rows of the larger sample table.
pub(crate) const ORDERS_DEFAULT: u64 = 1_000_000;
const ORDERS_MAX: u64 = 100_000_000;
/// Marks a folder as the demo's own; nothing else is ever removed.
const MARKER: &str = ".chunkctl-demo";
const MARKER_TEXT: &str = "Made by `chunkctl demo`, which replaces this folder when it runs again.\n";
const PID: &str = "broker.pid";

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

/// The demo's folder, empty but for its marker.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    sample: PathBuf,
    orders: u64,
    keep: bool,
}

impl Home {
    /// Makes the folder, replacing what an earlier demo left there.
    ///
    /// # Errors
    /// When it holds anything else, or a broker of an earlier demo still runs in it.
    pub(crate) fn make(wishes: &Wishes, paths: &Paths) -> Result<Self> {
        if !(1..=ORDERS_MAX).contains(&wishes.orders) {
            return Err(Failure::usage(format!("`--orders` must be between 1 and {ORDERS_MAX}")).hint("chunkctl demo"));
        }
        let root = match &wishes.dir {
            Some(dir) => std::path::absolute(dir).map_err(|error| Failure::file("find", dir, &error))?,
            None => paths.state.join("demo"),
        };
        let earlier = root.join(MARKER).is_file();
        if let Some(pid) = running(&root) {
            return Err(
                Failure::usage(format!("the broker of an earlier demo still runs in `{}`", root.display()))
                    .why(format!("stop it with `kill {pid}`"))
                    .hint("chunkctl demo --dir OTHER_FOLDER"),
            );
        }
        let occupied = std::fs::read_dir(&root).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !earlier {
            return Err(
                Failure::usage(format!("`{}` is not empty and not an earlier demo's folder", root.display()))
                    .why("the demo replaces its folder and will not touch anything else")
                    .hint("chunkctl demo --dir NEW_FOLDER"),
            );
        }
        if earlier {
            std::fs::remove_dir_all(&root).map_err(|error| Failure::file("replace", &root, &error))?;
        }
        private_folder(&root)?;
        write_private(&root.join(MARKER), MARKER_TEXT.as_bytes())?;
        let sample = paths.state.join("demo-sample").join(format!("orders-{}", wishes.orders));
        private_folder(&sample)?;
        Ok(Self {
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

    /// Remembers which process to stop later.
    pub(crate) fn write_pid(&self, pid: u32) -> Result<PathBuf> {
        let path = self.root.join(PID);
        write_private(&path, format!("{pid}\n").as_bytes())?;
        Ok(path)
    }
}

/// The broker that an earlier `--keep` left, if it still runs. A process number is used again by others, so its name is
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
        std::fs::write(home.root().join("old"), "x").unwrap();
        let again = Home::make(&wishes(None), &paths).unwrap();
        assert_eq!(home.root(), again.root());
        assert!(!again.root().join("old").exists() && again.sample().is_dir());
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

//! How do two commands of one person keep out of each other's way?
//!
//! By a file that is locked for as long as it is open. Waiting for it has a limit, and happens between tries: a command that is
//! stopped while it holds a lock must not stop all others without a word, and Ctrl-C must be heard meanwhile.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Failure, Result};

/// What is done under a lock takes a call or two of the broker.
const WAIT_MAX: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Holds the lock, which ends when the file is dropped.
///
/// # Errors
/// When the file cannot be made, or another command holds it for too long.
pub(crate) async fn hold(path: &Path) -> Result<File> {
    hold_within(path, WAIT_MAX).await
}

/// Holds the lock if nobody else does.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn try_hold(path: &Path) -> Result<Option<File>> {
    let cannot = |error: std::io::Error| Failure::file("lock", path, &error);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

async fn hold_within(path: &Path, limit: Duration) -> Result<File> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(file) = try_hold(path)? {
            return Ok(file);
        }
        if Instant::now() >= deadline {
            return Err(
                Failure::cannot_tell("locked", "another `chunkctl` is at work on the same thing and does not finish")
                    .why(format!(
                        "it holds the lock `{}`, which was waited for {} s",
                        path.display(),
                        limit.as_secs()
                    ))
                    .why("wait for that command, or end it; the lock ends with it, and the file itself may stay"),
            );
        }
        sleep(TRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::context::block_on;
    use crate::error::Exit;

    #[test]
    fn a_lock_that_is_never_released_is_named_instead_of_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let _held = try_hold(&path).unwrap().unwrap();
        let failure = block_on(hold_within(&path, Duration::from_millis(120))).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::CannotTell, "locked"));
        assert!(failure.why.iter().any(|why| why.contains("x.lock")), "{:?}", failure.why);
    }

    #[test]
    fn a_lock_is_taken_as_soon_as_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let held = try_hold(&path).unwrap().unwrap();
        assert!(try_hold(&path).unwrap().is_none());
        block_on(async {
            let (mine, ()) = tokio::join!(hold(&path), async { drop(held) });
            mine.map(drop)
        })
        .unwrap();
    }

    #[test]
    fn ctrl_c_is_heard_while_a_lock_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let _held = try_hold(&path).unwrap().unwrap();
        block_on(async {
            tokio::select! {
                _ = hold(&path) => panic!("the lock is held by another"),
                () = sleep(TRY_EVERY) => Ok(()), // whatever else the runtime waits for comes through
            }
        })
        .unwrap();
    }

    #[test]
    fn a_lock_file_that_cannot_be_made_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(block_on(hold(&folder.path().join("no/such/x.lock"))).unwrap_err().exit, Exit::Usage);
    }
}

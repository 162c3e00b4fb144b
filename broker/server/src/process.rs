//! The process around a command: how it ends, and how many files it may open.

use std::future::Future;
use std::panic::UnwindSafe;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::commands::tell;
use crate::error::CommandError;

/// The exit code for a bug.
pub const BUG: u8 = 70;

/// Runs a command to its exit code. A failure is told; a panic is a bug, of which the place is told and never the text, which may
/// quote what it choked on.
pub fn exit_code(command: impl FnOnce() -> Result<(), CommandError> + UnwindSafe) -> u8 {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tell(&format!(
            "chunk-broker: There is a bug in chunk-broker.\n  why: it stopped at {place}\n  next: report this place, and what `chunk-broker --version` says"
        ));
    }));
    match std::panic::catch_unwind(command) {
        Ok(Ok(())) => 0,
        Ok(Err(fault)) => {
            tell(&format!("chunk-broker: {fault}"));
            fault.exit()
        }
        Err(_) => BUG,
    }
}

/// Runs a future on threads of its own. Work that cannot be cancelled, such as the look-up of a name, does not hold up the end.
///
/// # Errors
/// When the threads cannot be started, or the command fails.
pub fn block_on(command: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::unavailable("The threads of the program cannot be started.").because(e))?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(THREADS_END_MAX);
    ended
}

/// Raises the limit of open files as far as the system lets us without asking; how many may be open from now on.
pub(crate) fn open_files_max() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() {
        raised
    } else {
        limit
    };
    now.current.unwrap_or(u64::MAX)
}

/// Threads are given this long to end when the command has.
const THREADS_END_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc;

    use super::*;

    #[expect(clippy::panic, reason = "it is what is tested")]
    fn bug() -> Result<(), CommandError> {
        panic!("a bug")
    }

    #[test]
    fn a_panic_is_the_exit_code_for_bugs_and_every_other_end_keeps_its_own() {
        assert_eq!(exit_code(bug), BUG);
        assert_eq!(exit_code(|| Ok(())), 0);
        assert_eq!(exit_code(|| Err(CommandError::refused("no"))), 1);
        assert_eq!(exit_code(|| Err(CommandError::unavailable("not now"))), 2);
        assert_eq!(exit_code(|| Err(CommandError::config("what"))), 3);
        // In the future of a command as well.
        assert_eq!(exit_code(|| block_on(async { bug() })), BUG);
    }

    #[test]
    fn work_that_never_ends_does_not_hold_up_the_end() {
        let (held, released) = mpsc::channel::<()>();
        block_on(async move {
            let (started, running) = tokio::sync::oneshot::channel();
            drop(tokio::task::spawn_blocking(move || {
                started.send(()).unwrap();
                released.recv().ok();
            }));
            running.await.unwrap();
            Ok(())
        })
        .unwrap();
        drop(held);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let lower = Rlimit {
            current: hard.map_or(Some(4096), |hard| Some(hard - 1)),
            maximum: hard,
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        assert_eq!(open_files_max(), hard.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}

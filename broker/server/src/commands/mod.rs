//! The commands besides `serve`: what a person types before and beside a running broker.

pub mod about;
pub mod check;
pub mod init;
pub mod keys;
pub mod rotate;

use std::io::Write as _;

use crate::error::CommandError;

/// Writes to standard output. A reader that went away is no failure of ours.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::unavailable("Standard output cannot be written.").because(e))
        }
        _ => Ok(()),
    }
}

/// Writes words for people to standard error. Nobody is left to tell when that fails.
pub fn tell(text: &str) {
    let mut words = std::io::stderr().lock();
    words.write_all(text.as_bytes()).and_then(|()| words.write_all(b"\n")).ok();
}

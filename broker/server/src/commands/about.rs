//! What the program says about itself: API description, completions, manual pages.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::print;
use crate::args::Args;
use crate::error::CommandError;
use crate::http::openapi;

/// Prints the API description.
///
/// # Errors
/// When standard output cannot be written.
pub fn openapi() -> Result<(), CommandError> {
    print(&openapi::document())
}

/// Prints a completion script.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "chunk-broker", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page, or writes one for every command into a folder.
///
/// # Errors
/// When it cannot be written.
pub fn man(dir: Option<&Path>) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| CommandError::unavailable("The manual pages cannot be written.").because(e);
    match dir {
        Some(dir) => clap_mangen::generate_to(Args::command(), dir).map_err(failed),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page).map_err(failed)?;
            print(&String::from_utf8_lossy(&page))
        }
    }
}

//! `chunkctl man`: the manual page, or a folder of them.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::args::Cli;
use crate::error::{Failure, Result, io_words};
use crate::output::Ui;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this folder.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(ui: &Ui, args: &ManArgs) -> Result<()> {
    let command = Cli::command();
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|_| Failure::bug("the manual page could not be made"))?;
            ui.verbatim(&page)
        }
        Some(folder) => {
            let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
            written
                .map_err(|error| Failure::usage(format!("cannot write manual pages to `{}`", folder.display())).why(io_words(&error)))?;
            ui.say(&format!("Wrote the manual pages to `{}`.", folder.display()));
            Ok(())
        }
    }
}

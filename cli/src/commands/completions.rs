//! `chunkctl completions SHELL`: the script that teaches a shell these commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::Result;
use crate::output::Ui;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell.
    shell: Shell,
}

pub(crate) fn run(ui: &Ui, args: &CompletionsArgs) -> Result<()> {
    ui.verbatim(&script(args.shell))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chunkctl", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `CHUNKCTL_WRITE_COMPLETIONS` to write the files instead of comparing them.
    #[test]
    fn the_committed_completions_are_current() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../completions");
        for (shell, name) in [
            (Shell::Bash, "chunkctl.bash"),
            (Shell::Zsh, "_chunkctl"),
            (Shell::Fish, "chunkctl.fish"),
        ] {
            let (path, now) = (folder.join(name), script(shell));
            if std::env::var_os("CHUNKCTL_WRITE_COMPLETIONS").is_some() {
                assert!(std::fs::write(&path, &now).is_ok(), "{name}");
            }
            let committed = std::fs::read(&path).unwrap_or_default();
            assert!(
                committed == now,
                "{name} is out of date: run this test with CHUNKCTL_WRITE_COMPLETIONS=1"
            );
        }
    }
}

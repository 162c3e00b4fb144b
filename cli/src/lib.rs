//! Asks: sign in, fetch governed data, review requests, check evidence.
//!
//! The program `chunkctl` is this one function. Nothing else is public: other programs speak to the broker by its API, and check
//! evidence with `chunk-evidence`.

mod args;
mod auth;
mod client;
mod commands;
mod config;
mod context;
mod demo;
mod document;
mod error;
mod figures;
mod large_type;
mod lock;
mod memory;
mod output;
mod parquet_table;
mod progress;
mod proof;
mod qr;
mod receipts;
mod reconcile;
mod review;
mod sink;
mod staging;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod testing;
mod text;
mod view_folder;
mod witness;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Commands};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::Ui;

/// Runs `chunkctl` with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    // A panic is a bug: it says where, never what was being handled, and ends with the exit code for bugs.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let failure = Failure::bug("chunkctl has a bug")
            .why(format!("it stopped at {place}"))
            .hint("chunkctl doctor");
        Ui::new(std::env::args().any(|argument| argument == "--json"), false, true).failure(&failure);
    }));
    let exit = std::panic::catch_unwind(start).unwrap_or(Exit::Bug);
    ExitCode::from(exit as u8)
}

fn start() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let no_colour = cli.global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ui = Ui::new(cli.global.json, cli.global.quiet, no_colour);
    match dispatch(&ui, &cli) {
        Ok(()) => Exit::Yes,
        Err(failure) => {
            let general = general_hint(failure.exit);
            let failure = failure.hint(general);
            ui.failure(&failure);
            failure.exit
        }
    }
}

/// What to do next where nothing better is known.
fn general_hint(exit: Exit) -> &'static str {
    match exit {
        Exit::No => "chunkctl whoami",
        Exit::SignIn => "chunkctl login",
        Exit::Pending => "chunkctl requests --mine",
        Exit::Usage => "chunkctl config",
        Exit::Yes | Exit::CannotTell | Exit::Bug => "chunkctl doctor",
    }
}

fn dispatch(ui: &Ui, cli: &Cli) -> error::Result<()> {
    // These need neither configuration nor a home folder.
    match &cli.command {
        Commands::Completions(args) => return commands::completions::run(ui, args),
        Commands::Man(args) => return commands::man::run(ui, args),
        Commands::Witness(args) => return commands::witness::run(ui, args),
        _ => {}
    }
    let cx = Context::new(ui, &cli.global)?;
    match &cli.command {
        Commands::Login(args) => commands::login::run(&cx, args),
        Commands::Logout => commands::logout::run(&cx),
        Commands::Whoami => commands::whoami::run(&cx),
        Commands::Datasets => commands::datasets::run(&cx),
        Commands::Describe(args) => commands::describe::run(&cx, args),
        Commands::Plan(args) => commands::plan::run(&cx, args),
        Commands::Fetch(args) => commands::fetch::run(&cx, args),
        Commands::BreakGlass(args) => commands::break_glass::run(&cx, args),
        Commands::Requests(args) => commands::requests::run(&cx, args),
        Commands::Request(args) => commands::request::run(&cx, args),
        Commands::Review(args) => commands::review::inbox(&cx, args),
        Commands::Approve(args) => commands::review::approve(&cx, args),
        Commands::Reject(args) => commands::review::reject(&cx, args),
        Commands::Revoke(args) => commands::revoke::run(&cx, args),
        Commands::Sessions(args) => commands::sessions::run(&cx, args),
        Commands::Keys(args) => commands::keys::run(&cx, args),
        Commands::Verify(args) => commands::verify::run(&cx, args),
        Commands::Audit(args) => commands::audit::run(&cx, args),
        Commands::Config(args) => commands::config::run(&cx, args),
        Commands::Doctor => commands::doctor::run(&cx),
        Commands::Demo(args) => commands::demo::run(&cx, args),
        Commands::Completions(_) | Commands::Man(_) | Commands::Witness(_) => Ok(()),
    }
}

/// Help and version are answers; anything else that clap says is wrong usage.
fn usage(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        return if error.print().is_ok() { Exit::Yes } else { Exit::CannotTell };
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.print().ok(); // to standard error; one that is closed leaves nobody to tell
        return Exit::Usage;
    }
    let given: Vec<String> = std::env::args().skip(1).collect();
    let root = Cli::command();
    let name = given
        .iter()
        .find_map(|argument| root.find_subcommand(argument))
        .map_or("", clap::Command::get_name);
    let hint = if name.is_empty() {
        "chunkctl --help".to_owned()
    } else {
        format!("chunkctl {name} --help")
    };
    let rendered = error.render().to_string();
    let mut lines = rendered
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("For more information"));
    let what = lines.next().unwrap_or("wrong usage").trim_start_matches("error: ").to_owned();
    let mut failure = Failure::usage(what).hint(hint);
    failure.why = lines.map(|line| line.trim_start().to_owned()).collect();
    Ui::new(
        given.iter().any(|argument| argument == "--json"),
        false,
        std::env::var_os("NO_COLOR").is_some(),
    )
    .failure(&failure);
    Exit::Usage
}

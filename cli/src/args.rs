//! What can be typed? The tree of commands; each command's own arguments stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// Fetch slices of production data under your own identity: approved by a second person, masked on the way out, recorded.
#[derive(Debug, Parser)]
#[command(name = "chunkctl", version, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "First steps: `chunkctl login --broker URL`, `chunkctl datasets`, `chunkctl plan DATASET`, `chunkctl fetch DATASET --reason WHY`.\n\
Exit codes: 0 yes, 1 no, 2 cannot tell, 3 usage or configuration, 4 sign in, 5 approval pending, 70 bug."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Commands,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Profile to use: a named broker and place for its session.
    #[arg(
        long,
        global = true,
        env = "CHUNKCTL_PROFILE",
        hide_env_values = true,
        value_name = "NAME",
        default_value = "default",
        hide_default_value = true,
        help_heading = "Global options"
    )]
    pub(crate) profile: String,
    /// Address of the broker; without it, the profile's.
    #[arg(
        long,
        global = true,
        env = "CHUNKCTL_BROKER",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub(crate) broker: Option<String>,
    /// Further certificate authorities to accept (PEM).
    #[arg(
        long,
        global = true,
        env = "CHUNKCTL_CA_FILE",
        hide_env_values = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Read the passphrase of an encrypted session file from this file descriptor.
    #[arg(long, global = true, value_name = "N", help_heading = "Global options")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Print one JSON event a line on standard output, instead of words.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say nothing but answers, warnings and errors.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Use no colour.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Commands {
    /// Sign in: with the browser of this machine, or a code that any browser can confirm.
    Login(commands::login::LoginArgs),
    /// End the session, here and at the broker.
    Logout,
    /// Show who is signed in, and what they may do.
    Whoami,
    /// List what you may ask for.
    Datasets,
    /// Show a dataset's columns as you would see them.
    Describe(commands::describe::DescribeArgs),
    /// Say what a fetch would do. Releases nothing.
    Plan(commands::plan::PlanArgs),
    /// Fetch a slice of data, with its receipt.
    Fetch(commands::fetch::FetchArgs),
    /// Fetch in an emergency, without waiting for approval; loud, and reviewed afterwards.
    BreakGlass(commands::break_glass::BreakGlassArgs),
    /// List requests: yours, and those that wait for you.
    Requests(commands::requests::RequestsArgs),
    /// Show or cancel one request.
    Request(commands::request::RequestArgs),
    /// Read what waits for you, and approve or reject it.
    Review(commands::review::InboxArgs),
    /// Approve a request, signed with your key.
    Approve(commands::review::ReviewArgs),
    /// Reject a request, signed with your key.
    Reject(commands::review::ReviewArgs),
    /// Withdraw a request that was approved; running deliveries are cut.
    Revoke(commands::revoke::RevokeArgs),
    /// Show what was done under each sign-in, or end one.
    Sessions(commands::sessions::SessionsArgs),
    /// Show which keys can act in your name, or end one.
    Keys(commands::keys::KeysArgs),
    /// Check offline that files are what the broker released.
    Verify(commands::verify::VerifyArgs),
    /// Search, export and verify the evidence.
    Audit(commands::audit::AuditArgs),
    /// Vouch for logs that only grow, on a machine that is not their operator's.
    Witness(commands::witness::WitnessArgs),
    /// Show or change this machine's configuration.
    Config(commands::config::ConfigArgs),
    /// Find out why something does not work.
    Doctor,
    /// Try everything on this machine, with made-up data.
    Demo(commands::demo::DemoArgs),
    /// Print a shell's completion script.
    Completions(commands::completions::CompletionsArgs),
    /// Print the manual page, or write all of them.
    Man(commands::man::ManArgs),
}

/// A text that people will read: not empty, and not only spaces.
pub(crate) fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it must say something".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_fetch_reads_as_typed() {
        let typed =
            "chunkctl fetch orders --columns order_id,total --where total>10 --order-by total --limit 5 --reason why --ticket T-1 -o -";
        let cli = Cli::try_parse_from(typed.split(' ')).unwrap();
        let Commands::Fetch(args) = cli.command else {
            panic!("not a fetch")
        };
        let query = args.query.query(args.dataset.as_deref(), args.sql.as_deref()).unwrap();
        insta::assert_snapshot!(serde_json::to_string(&query).unwrap(), @r#"{"kind":"slice","dataset":"orders","columns":["order_id","total"],"filter":"total>10","order_by":"total","limit":5}"#);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for typed in [
            "chunkctl fetch --reason x",
            "chunkctl fetch orders",
            "chunkctl fetch orders --sql select --reason x",
            "chunkctl fetch --sql select --columns a --reason x",
            "chunkctl fetch --request req_0000000000000000 --reason x",
            "chunkctl fetch orders --reason x --wait 5m --no-wait",
            "chunkctl fetch --request nonsense",
            "chunkctl approve req_0000000000000000",
            "chunkctl requests --mine --all",
            "chunkctl audit export --level 5 -o x",
            "chunkctl plan",
            "chunkctl review --undo 61",
        ] {
            assert!(Cli::try_parse_from(typed.split(' ')).is_err(), "{typed}");
        }
        assert!(Cli::try_parse_from(["chunkctl", "fetch", "orders", "--reason", "  "]).is_err());
    }
}

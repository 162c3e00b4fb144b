//! `chunkctl config`: what is configured on this machine, and where.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::config::{BrokerUrl, Config};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Facts;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show files, profile, broker and pinned log (the default).
    Show,
    /// Change a setting of the profile.
    Set {
        /// Setting.
        key: Key,
        /// Value.
        value: String,
    },
    /// Forget the pinned log key of the broker, after its operator has confirmed the new one by another way.
    Unpin,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    /// Address of the broker
    Broker,
    /// SSH key that signs verdicts as well: `SHA256:…`, or the whole path of its `.pub` file
    SshKey,
}

#[derive(Serialize)]
struct Shown<'a> {
    config_file: String,
    state_folder: String,
    profile: &'a str,
    profiles: Vec<&'a str>,
    broker: Option<String>,
    storage: Option<&'static str>,
    ca_file: Option<String>,
    origin: Option<&'a str>,
    log_key: Option<&'a str>,
}

pub(crate) fn run(cx: &Context<'_>, args: &ConfigArgs) -> Result<()> {
    match &args.command {
        None | Some(ConfigCommand::Show) => show(cx),
        Some(ConfigCommand::Set { key: Key::Broker, value }) => {
            let url = BrokerUrl::parse(value)?;
            let mut config = Config::read(&cx.paths.config)?;
            config.profiles.entry(cx.profile_name.clone()).or_default().broker = Some(url.as_str().to_owned());
            config.write(&cx.paths.config)?;
            cx.ui.say(&format!("Profile `{}` now uses {}.", cx.profile_name, url.as_str()));
            cx.ui.next("chunkctl login");
            Ok(())
        }
        Some(ConfigCommand::Set { key: Key::SshKey, value }) => {
            if !value.starts_with("SHA256:") && !std::path::Path::new(value).is_absolute() {
                return Err(
                    Failure::usage(format!("`{value}` is neither a fingerprint (`SHA256:…`) nor a whole path"))
                        .hint("ssh-keygen -l -f FILE.pub"),
                );
            }
            let mut config = Config::read(&cx.paths.config)?;
            config.profiles.entry(cx.profile_name.clone()).or_default().ssh_key = Some(value.clone());
            config.write(&cx.paths.config)?;
            cx.ui.say(&format!(
                "Verdicts of profile `{}` are signed with {value} as well.",
                cx.profile_name
            ));
            Ok(())
        }
        Some(ConfigCommand::Unpin) => {
            let url = cx.broker_url()?;
            let mut config = Config::read(&cx.paths.config)?;
            let Some(pinned) = config.logs.remove(url.as_str()) else {
                return Err(Failure::usage(format!("no log key is pinned for {}", url.as_str())).hint("chunkctl config"));
            };
            config.write(&cx.paths.config)?;
            cx.ui.say(&format!("Forgot the log key of {}: {}", url.as_str(), pinned.key));
            cx.ui
                .say("The next sign-in pins the key that the broker shows then. Receipts under the old key need `verify --trust FILE`.");
            cx.ui.next("chunkctl login");
            Ok(())
        }
    }
}

fn show(cx: &Context<'_>) -> Result<()> {
    let pinned = cx.pinned_log();
    let shown = Shown {
        config_file: cx.paths.config.display().to_string(),
        state_folder: cx.paths.state.display().to_string(),
        profile: &cx.profile_name,
        profiles: cx.config.profiles.keys().map(String::as_str).collect(),
        broker: cx.broker_url().ok().map(|url| url.as_str().to_owned()),
        storage: cx.profile.storage.map(|storage| storage.as_str()),
        ca_file: cx.ca_file().map(|path| path.display().to_string()),
        origin: pinned.map(|log| log.origin.as_str()),
        log_key: pinned.map(|log| log.key.as_str()),
    };
    if cx.ui.is_json() {
        return cx.ui.event("config", &shown);
    }
    let mut facts = Facts::new();
    facts.add("config file", &shown.config_file);
    facts.add("state folder", &shown.state_folder);
    facts.add("profile", shown.profile);
    facts.add(
        "profiles",
        if shown.profiles.is_empty() {
            "none yet".into()
        } else {
            shown.profiles.join(", ")
        },
    );
    facts.add("broker", shown.broker.as_deref().unwrap_or("none"));
    facts.add("session in", cx.profile.storage.map_or("nowhere yet", |storage| storage.words()));
    if let Some(path) = &shown.ca_file {
        facts.add("authorities", path);
    }
    match pinned {
        Some(log) => {
            facts.add("log", &log.origin);
            facts.add("log key", format!("{}\npinned {}", log.key, figures::time(log.pinned_ms)));
        }
        None => facts.add("log", "none pinned yet"),
    }
    cx.ui.answer(&facts.render())
}

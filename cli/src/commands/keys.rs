//! `chunkctl keys`: which keys can act in your name, and the end of one.
//!
//! Each sign-in makes a key, which signs every call, request and verdict under it. So a key that you do not know is somebody
//! who signed in as you; ending it ends whatever runs under it. SSH keys that you enrolled stand beside them ([`ssh_keys`]).

use std::collections::BTreeMap;

use chunk_wire::session::SessionView;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::{sessions, ssh_keys};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Table;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys of your open sessions.
    List {
        /// Everybody's (needs `audit_read`).
        #[arg(long)]
        all: bool,
    },
    /// Enrol an SSH key of yours, to sign verdicts with.
    Enroll {
        /// The key, which your ssh-agent must have: its `.pub` file, or its fingerprint.
        #[arg(long, value_name = "FILE.pub|SHA256:…")]
        ssh: String,
    },
    /// End every open session of one of your keys, or take an SSH key back for good.
    Revoke {
        /// Thumbprint of the key, or fingerprint of an SSH key (`SHA256:…`).
        // One in 64 thumbprints begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
}

/// A key with what is open under it.
#[derive(Debug, Serialize)]
struct OpenKey<'a> {
    key: &'a str,
    key_attested: bool,
    person: &'a chunk_wire::session::Person,
    host: &'a str,
    ip: &'a str,
    since_ms: i64,
    sessions: Vec<&'a str>,
    /// Whether this command uses it.
    current: bool,
}

#[derive(Serialize)]
struct Revoked<'a> {
    key: &'a str,
    sessions: Vec<&'a str>,
}

pub(crate) fn run(cx: &Context<'_>, args: &KeysArgs) -> Result<()> {
    match &args.command {
        KeysCommand::List { all } => list(cx, *all),
        KeysCommand::Enroll { ssh } => ssh_keys::enroll(cx, ssh),
        KeysCommand::Revoke { key } if key.starts_with("SHA256:") => ssh_keys::revoke(cx, key),
        KeysCommand::Revoke { key } => revoke(cx, key),
    }
}

fn list(cx: &Context<'_>, all: bool) -> Result<()> {
    cx.with_session(async |session| {
        let views = sessions::listed(session, all).await?;
        let keys = open_keys(&views, &session.id());
        let ssh = ssh_keys::listed(session, all).await?;
        if cx.ui.is_json() {
            keys.iter().try_for_each(|key| cx.ui.event("key", key))?;
            return ssh.iter().try_for_each(|key| cx.ui.event("ssh_key", key));
        }
        let now_ms = figures::now_ms();
        let mut table = Table::new(&["key", "attested", "person", "since", "host", "address"]);
        for key in &keys {
            let name = if key.current {
                format!("{} *", key.key)
            } else {
                key.key.to_owned()
            };
            let attested = if key.key_attested { "yes" } else { "no" };
            let since = figures::from_now(key.since_ms, now_ms);
            table.row([&name, attested, &key.person.name, &since, key.host, key.ip]);
        }
        cx.ui.answer(&table.render())?;
        if ssh.is_empty() {
            Ok(())
        } else {
            cx.ui.answer(&ssh_keys::table(&ssh, now_ms))
        }
    })
}

fn revoke(cx: &Context<'_>, key: &str) -> Result<()> {
    cx.with_session(async |session| {
        let views = sessions::listed(session, false).await?;
        let keys = open_keys(&views, &session.id());
        let found = keys
            .iter()
            .find(|open| open.key == key)
            .ok_or_else(|| Failure::no("not_found", format!("you have no open session with the key `{key}`")).hint("chunkctl keys list"))?;
        // This command's own session comes last: it is what ends the others.
        let mut sessions = found.sessions.clone();
        let own = session.id();
        sessions.sort_by_key(|id| *id == own);
        for id in &sessions {
            session.send(&session.broker.delete(&["v1", "sessions", id])).await?;
        }
        let count = sessions.len();
        cx.ui.event("key.revoked", &Revoked { key, sessions })?;
        cx.ui.say(&format!(
            "Nothing can be done with the key {key} any more; {count} {} ended.",
            if count == 1 { "session has" } else { "sessions have" }
        ));
        Ok(())
    })
}

/// The keys of open sessions, those used last first.
fn open_keys<'a>(views: &'a [SessionView], mine: &str) -> Vec<OpenKey<'a>> {
    let mut by_key: BTreeMap<&str, Vec<&SessionView>> = BTreeMap::new();
    for view in views.iter().filter(|view| view.state == "open") {
        by_key.entry(&view.key).or_default().push(view);
    }
    let mut keys: Vec<OpenKey<'a>> = by_key
        .into_iter()
        .filter_map(|(key, views)| {
            let newest = views.iter().max_by_key(|view| view.opened_ms)?;
            Some(OpenKey {
                key,
                // One that somebody brought beside it is no reason to believe in the key.
                key_attested: views.iter().all(|view| view.key_attested),
                person: &newest.person,
                host: &newest.client.host,
                ip: &newest.ip,
                since_ms: views.iter().map(|view| view.opened_ms).min()?,
                sessions: views.iter().map(|view| view.session.as_str()).collect(),
                current: views.iter().any(|view| view.session.as_str() == mine),
            })
        })
        .collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.since_ms));
    keys
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn view(session: &str, key: &str, opened_ms: i64, state: &str, attested: bool) -> SessionView {
        serde_json::from_value(json!({
            "session": session, "person": { "issuer": "i", "subject": "dana", "name": "Dana" }, "key": key, "key_attested": attested,
            "client": { "version": "v", "host": session }, "ip": "::1", "opened_ms": opened_ms, "expires_ms": 9, "state": state,
        }))
        .unwrap()
    }

    #[test]
    fn keys_are_those_of_open_sessions_and_each_stands_once() {
        let views = [
            view("ses_0000000000000001", "a", 1, "open", true),
            view("ses_0000000000000002", "b", 2, "open", false),
            view("ses_0000000000000003", "a", 3, "open", true),
            view("ses_0000000000000004", "c", 4, "revoked", true),
            view("ses_0000000000000005", "b", 5, "expired", false),
        ];
        let keys = open_keys(&views, "ses_0000000000000003");
        let shown: Vec<_> = keys
            .iter()
            .map(|key| (key.key, key.key_attested, key.current, key.since_ms))
            .collect();
        assert_eq!(shown, [("b", false, false, 2), ("a", true, true, 1)]);
        let a = keys.get(1).unwrap();
        assert_eq!(a.sessions, ["ses_0000000000000001", "ses_0000000000000003"]);
        assert_eq!(a.host, "ses_0000000000000003", "where it was used last");
    }

    #[test]
    fn a_key_is_attested_only_if_every_session_says_so() {
        let views = [
            view("ses_0000000000000001", "a", 1, "open", true),
            view("ses_0000000000000002", "a", 2, "open", false),
        ];
        assert!(!open_keys(&views, "").first().unwrap().key_attested);
    }
}

//! `chunkctl sessions`: what was done under each sign-in, and the end of one.

use chunk_wire::id::SessionId;
use chunk_wire::session::SessionView;
use clap::{Args, Subcommand};

use crate::client::session::Session;
use crate::commands::sessions_replay;
use crate::context::Context;
use crate::error::Result;
use crate::figures;
use crate::output::{Facts, Table};

/// Arguments of `sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List your sessions.
    List {
        /// Everybody's (needs `audit_read`).
        #[arg(long)]
        all: bool,
    },
    /// Show everything recorded under one session.
    Show {
        /// Session.
        id: SessionId,
    },
    /// Show what was returned under a session, request or intent, and write it out where it was kept.
    Replay(sessions_replay::ReplayArgs),
    /// End a session: yours, or anybody's for administrators.
    Revoke {
        /// Session.
        id: SessionId,
    },
}

pub(crate) fn run(cx: &Context<'_>, args: &SessionsArgs) -> Result<()> {
    match &args.command {
        SessionsCommand::List { all } => list(cx, *all),
        SessionsCommand::Show { id } => cx.with_session(async |session| {
            let view: SessionView = session
                .get(&["v1", "sessions", id.as_str()])
                .await
                .map_err(|failure| failure.hint("chunkctl sessions list"))?;
            if cx.ui.is_json() {
                return cx.ui.event("session", &view);
            }
            cx.ui.answer(&show(&view))
        }),
        SessionsCommand::Replay(args) => sessions_replay::run(cx, args),
        SessionsCommand::Revoke { id } => revoke(cx, id),
    }
}

/// Sessions of whoever is signed in, or everybody's.
pub(crate) async fn listed(session: &Session<'_>, all: bool) -> Result<Vec<SessionView>> {
    let mut call = session.broker.get(&["v1", "sessions"]);
    if all {
        call = call.query("all", "true");
    }
    session.json(&call).await
}

fn list(cx: &Context<'_>, all: bool) -> Result<()> {
    cx.with_session(async |session| {
        let views = listed(session, all).await?;
        if cx.ui.is_json() {
            return views.iter().try_for_each(|view| cx.ui.event("session", view));
        }
        let (now_ms, mine) = (figures::now_ms(), session.id());
        let mut table = Table::new(&["session", "state", "person", "opened", "host", "address", "client"]);
        for view in &views {
            let id = if view.session.as_str() == mine {
                format!("{} *", view.session)
            } else {
                view.session.to_string()
            };
            let opened = figures::from_now(view.opened_ms, now_ms);
            table.row([
                &id,
                &view.state,
                &view.person.name,
                &opened,
                &view.client.host,
                &view.ip,
                &view.client.version,
            ]);
        }
        cx.ui.answer(&table.render())
    })
}

fn revoke(cx: &Context<'_>, id: &SessionId) -> Result<()> {
    cx.with_session(async |session| {
        session
            .send(&session.broker.delete(&["v1", "sessions", id.as_str()]))
            .await
            .map_err(|failure| failure.hint("chunkctl sessions list"))?;
        #[derive(serde::Serialize)]
        struct Revoked<'a> {
            session: &'a str,
        }
        cx.ui.event("session.revoked", &Revoked { session: id.as_str() })?;
        cx.ui.say(&format!("Session {id} has ended."));
        Ok(())
    })
}

/// A session whole.
pub(crate) fn show(view: &SessionView) -> String {
    let mut facts = Facts::new();
    facts.add("session", view.session.as_str());
    facts.add("state", &view.state);
    facts.add(
        "person",
        format!("{} ({} at {})", view.person.name, view.person.subject, view.person.issuer),
    );
    super::whoami::add_workload(&mut facts, &view.person);
    let attested = if view.key_attested {
        " (attested by the identity provider)"
    } else {
        ""
    };
    facts.add("key", format!("{}{attested}", view.key));
    facts.add("from", format!("{} ({}), {}", view.client.host, view.ip, view.client.version));
    facts.add("opened", figures::time(view.opened_ms));
    facts.add("ends", figures::time(view.expires_ms));
    let mut timeline = Table::new(&["entry", "time", "kind", "what happened"]);
    for entry in &view.timeline {
        timeline.row([
            &format!("#{}", entry.index),
            &figures::time(entry.time_ms),
            &entry.kind,
            &entry.summary,
        ]);
    }
    format!("{}\n{}", facts.render(), timeline.render())
}

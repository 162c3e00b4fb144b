//! `chunkctl audit`: the evidence, searched, read, taken away, and checked without the broker.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::note::VerifierKey;
use chunk_wire::audit::{EntryPage, EntryQuery, EntryView, ExportRequest};
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::client::connection;
use crate::commands::audit_convert::{Checked, ViewFormat};
use crate::commands::{approval_wait, audit_convert, audit_erase, audit_reconcile, audit_sample, audit_trust, audit_verify};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::memory::Memory;
use crate::output::{Facts, Table};
use crate::sink::{Sink, Target};
use crate::{figures, progress, proof, text};

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Search the log, newest first (needs `audit_read`; reading is recorded too).
    Search(SearchArgs),
    /// Show one entry whole.
    Show {
        /// Index of the entry.
        index: u64,
    },
    /// Write a bundle that proves itself offline, or what is derived from one (needs `audit_export`).
    Export(ExportArgs),
    /// Make tables, events or a report of a bundle, offline, once it has verified.
    Convert(audit_convert::ConvertArgs),
    /// Draw a sample that can be drawn again, offline, once the bundle has verified.
    Sample(audit_sample::SampleArgs),
    /// Verify a bundle offline: exit 0 true, 1 false, 2 cannot tell.
    Verify(audit_verify::VerifyArgs),
    /// Hold the source's own log against the evidence, offline: exit 1 when it shows a read without an intent.
    Reconcile(audit_reconcile::ReconcileArgs),
    /// Erase what the log holds of a person, for good (needs `administer`).
    Erase(audit_erase::EraseArgs),
    /// Prepare what an auditor believes before looking.
    Trust(audit_trust::TrustArgs),
}

/// What entries are about.
#[derive(Debug, Args)]
struct About {
    /// Not before: RFC 3339, a date (UTC), or a span ago (`7d`).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before: the same forms.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Person: subject, name or e-mail, exactly.
    #[arg(long, value_name = "PERSON")]
    user: Option<String>,
    /// Dataset.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Request.
    #[arg(long, value_name = "ID")]
    request: Option<chunk_wire::id::RequestId>,
}

#[derive(Debug, Args)]
struct SearchArgs {
    #[command(flatten)]
    about: About,
    /// Kind (`fetch.outcome`) or family (`fetch`).
    #[arg(long)]
    kind: Option<String>,
    /// Entries at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

#[derive(Debug, Args)]
struct ExportArgs {
    #[command(flatten)]
    about: About,
    /// Disclosure: 0 root only, 1 headers, 2 what and masks, 3 who and where, 4 all.
    #[arg(long, value_name = "0-4", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=4))]
    level: u8,
    /// Put tables for people into the bundle; `audit verify --views` makes them from any bundle.
    #[arg(long)]
    views: bool,
    /// Trust file whose last checkpoint the bundle shall meet; those made here are met anyway.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// What to write: the bundle, or, once it has verified, what is made of it.
    #[arg(long, value_enum, default_value = "bundle")]
    format: ExportFormat,
    /// File to write, or `-` for standard output; `audit.bundle`, unless told otherwise.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

/// The bundle itself, or a view of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExportFormat(Option<ViewFormat>);

impl ValueEnum for ExportFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            ExportFormat(None),
            ExportFormat(Some(ViewFormat::Jsonl)),
            ExportFormat(Some(ViewFormat::Csv)),
            ExportFormat(Some(ViewFormat::Parquet)),
            ExportFormat(Some(ViewFormat::Ocsf)),
            ExportFormat(Some(ViewFormat::Oscal)),
            ExportFormat(Some(ViewFormat::Html)),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self.0 {
            None => Some(PossibleValue::new("bundle").help("The bundle: it proves itself offline")),
            Some(view) => view.to_possible_value(),
        }
    }
}

pub(crate) fn run(cx: &Context<'_>, args: &AuditArgs) -> Result<()> {
    match &args.command {
        AuditCommand::Search(args) => search(cx, args),
        AuditCommand::Show { index } => show(cx, *index),
        AuditCommand::Export(args) => export(cx, args),
        AuditCommand::Convert(args) => audit_convert::run(cx, args),
        AuditCommand::Sample(args) => audit_sample::run(cx, args),
        AuditCommand::Verify(args) => audit_verify::run(cx, args),
        AuditCommand::Reconcile(args) => audit_reconcile::run(cx, args),
        AuditCommand::Erase(args) => audit_erase::run(cx, args),
        AuditCommand::Trust(args) => audit_trust::run(cx, args),
    }
}

impl About {
    fn span(&self) -> Result<(Option<i64>, Option<i64>)> {
        let now_ms = figures::now_ms();
        let read = |flag: &str, text: &Option<String>| text.as_ref().map(|text| figures::parse_time(flag, text, now_ms)).transpose();
        let (from, to) = (read("--from", &self.from)?, read("--to", &self.to)?);
        match (from, to) {
            (Some(from), Some(to)) if from >= to => {
                Err(Failure::usage("`--from` is not before `--to`").hint("chunkctl audit search --help"))
            }
            span => Ok(span),
        }
    }
}

fn search(cx: &Context<'_>, args: &SearchArgs) -> Result<()> {
    const PAGE_MAX: u64 = 1000;
    let (from_ms, to_ms) = args.about.span()?;
    let mut query = EntryQuery {
        from_ms,
        to_ms,
        user: args.about.user.clone(),
        dataset: args.about.dataset.clone(),
        request: args.about.request.as_ref().map(ToString::to_string),
        kind: args.kind.clone(),
        before: None,
        limit: None,
    };
    cx.with_session(async |session| {
        let mut found: Vec<EntryView> = Vec::new();
        let mut more = false;
        while (found.len() as u64) < args.limit {
            let wanted = (args.limit - found.len() as u64).min(PAGE_MAX);
            query.limit = u32::try_from(wanted).ok();
            let page: EntryPage = session
                .json(&session.broker.get(&["v1", "audit", "entries"]).query_of(&query)?)
                .await?;
            if cx.ui.is_json() {
                page.entries.iter().try_for_each(|entry| cx.ui.event("entry", entry))?;
            }
            let (came, last) = (page.entries.len(), query.before);
            found.extend(page.entries);
            query.before = page.next_before;
            more = query.before.is_some();
            // A page that brings nothing, or does not go back, would be asked for for ever.
            if !more || came == 0 || last.is_some_and(|last| query.before.is_some_and(|next| next >= last)) {
                break;
            }
        }
        if cx.ui.is_json() {
            return Ok(());
        }
        if found.is_empty() {
            cx.ui.say("No entry matches.");
            return Ok(());
        }
        let mut table = Table::new(&["entry", "time", "kind", "what happened"]);
        for entry in &found {
            let header = |name: &str| entry.header.get(name);
            let time = header("t")
                .and_then(serde_json::Value::as_i64)
                .map(figures::time)
                .unwrap_or_default();
            let kind = header("k").and_then(serde_json::Value::as_str).unwrap_or_default();
            table.row([&format!("#{}", entry.index), &time, kind, &entry.summary]);
        }
        cx.ui.answer(&table.render())?;
        if more {
            cx.ui.say(&format!(
                "There are more than {}; ask for them with `--limit`, or narrow the search.",
                found.len()
            ));
        }
        Ok(())
    })
}

fn show(cx: &Context<'_>, index: u64) -> Result<()> {
    cx.with_session(async |session| {
        let entry: EntryView = session
            .get(&["v1", "audit", "entries", &index.to_string()])
            .await
            .map_err(|failure| failure.hint("chunkctl audit search"))?;
        if cx.ui.is_json() {
            return cx.ui.event("entry", &entry);
        }
        let mut facts = Facts::new();
        facts.add("entry", format!("#{}", entry.index));
        facts.add("summary", &entry.summary);
        if let Some(t) = entry.header.get("t").and_then(serde_json::Value::as_i64) {
            facts.add("time", figures::time(t));
        }
        facts.add("header", entry.header.to_string());
        for (name, value) in entry.body.as_object().into_iter().flatten() {
            facts.add(name, serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
        }
        cx.ui.answer(&facts.render())
    })
}

/// Sizes of the checkpoints that auditors keep.
fn seen(cx: &Context<'_>, trust: Option<&Path>) -> Result<Vec<u64>> {
    let mut seen = match cx.pinned_log().and_then(|log| VerifierKey::parse(&log.key).ok()) {
        Some(key) => Memory::new(&cx.paths.state, &key).handed_out()?,
        None => Vec::new(),
    };
    if let Some(path) = trust {
        let last = proof::read_trust(path)?.last_checkpoint;
        seen.extend(
            last.and_then(|text| SignedCheckpoint::parse(&text).ok())
                .map(|kept| kept.unverified().size),
        );
    }
    Ok(seen)
}

#[derive(Serialize)]
struct Exported<'a> {
    path: Option<String>,
    bytes: u64,
    sha256: &'a str,
    level: u8,
}

fn export(cx: &Context<'_>, args: &ExportArgs) -> Result<()> {
    match args.format.0 {
        None => export_bundle(cx, args),
        Some(format) => export_view(cx, args, format),
    }
}

fn export_bundle(cx: &Context<'_>, args: &ExportArgs) -> Result<()> {
    let name = args.output.as_deref().unwrap_or(Path::new("audit.bundle"));
    let target = Target::choose(Some(name), None, chunk_wire::fetch::Format::Csv);
    if target == Target::Stdout {
        cx.ui.give_stdout_to_data();
    }
    // A bundle is binary, like Parquet, as far as terminals are concerned.
    target.check(args.force, chunk_wire::fetch::Format::Parquet)?;
    let mut sink = Sink::open(&target)?;
    receive(cx, args, &target, |part| sink.write(part))?;
    let arrived = sink.finish()?;
    let (sha256, bytes) = (arrived.sha256.clone(), arrived.bytes);
    arrived.place(args.force)?;
    let path = match &target {
        Target::File(path) => Some(path.display().to_string()),
        Target::Stdout => None,
    };
    cx.ui.event(
        "audit.exported",
        &Exported {
            path,
            bytes,
            sha256: &sha256,
            level: args.level,
        },
    )?;
    cx.ui.say(&format!("Exported {} to `{}`.", figures::bytes(bytes), target.typed()));
    cx.ui.say(&format!("sha-256  {sha256}"));
    cx.ui.next(&format!(
        "chunkctl audit verify {} --trust TRUST-FILE",
        text::shell(&target.typed())
    ));
    Ok(())
}

/// The bundle stays on this machine for as long as it takes to verify it and to make the view.
fn export_view(cx: &Context<'_>, args: &ExportArgs, format: ViewFormat) -> Result<()> {
    let target = format.target(args.output.as_deref());
    format.check(&target, args.force)?;
    let place = std::env::temp_dir();
    let mut file = tempfile::tempfile_in(&place).map_err(|error| Failure::file("create a file in", &place, &error))?;
    receive(cx, args, &target, |part| {
        file.write_all(part)
            .map_err(|error| Failure::file("write to a file in", &place, &error))
    })?;
    let checked = Checked::new(cx, file, "audit.bundle", args.trust.as_deref())?;
    audit_convert::write(cx, &checked, format, &target, args.force)?;
    cx.ui
        .say("The bundle it was made from is not kept. Who wants to check it later exports the bundle, and converts that.");
    cx.ui.next("chunkctl audit export -o audit.bundle");
    Ok(())
}

/// Asks for a bundle and passes it on as it comes.
fn receive(cx: &Context<'_>, args: &ExportArgs, target: &Target, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (from_ms, to_ms) = args.about.span()?;
    let body = ExportRequest {
        from_ms,
        to_ms,
        user: args.about.user.clone(),
        dataset: args.about.dataset.clone(),
        request: args.about.request.as_ref().map(ToString::to_string),
        level: Some(args.level),
        seen: seen(cx, args.trust.as_deref())?,
        views: args.views,
    };
    cx.with_session(async |session| {
        let call = session
            .broker
            .post(&["v1", "audit", "exports"])
            .body(&body)?
            .stream("application/vnd.chunkctl.bundle");
        let mut response = session.send(&call).await?;
        let bar = progress::delivery(cx.ui, target);
        let received = async {
            while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
                take(&part)?;
                bar.inc(part.len() as u64);
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = received => ended,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the export was interrupted")),
        };
        bar.finish_and_clear();
        ended
    })
}

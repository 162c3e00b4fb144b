//! `chunkctl audit reconcile`: which reads in the source's own log does the evidence not account for? Offline.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_evidence::bundle::{Answer, entries_view, verify_bundle};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::output::{Facts, Table};
use crate::reconcile::{Access, Reconciled, Window, postgres, reconcile, s3};
use crate::{figures, proof};

/// Arguments of `audit reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Bundle of level 2 or more over the time that the logs cover.
    bundle: PathBuf,
    /// The auditor's trust file.
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Log that the source keeps by itself; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    log: Vec<PathBuf>,
    /// What kind of log it is.
    #[arg(long, value_enum, default_value_t = LogKind::PostgresCsv)]
    format: LogKind,
    /// Account that only the broker holds; may be given several times.
    #[arg(long, value_name = "NAME", required = true)]
    account: Vec<String>,
    /// How far the clocks of source and broker may differ.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = figures::parse_duration)]
    skew: Duration,
}

/// Kinds of logs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogKind {
    /// PostgreSQL's csvlog, with `log_statement = 'all'` or pgaudit.
    PostgresCsv,
    /// Access log of S3 and its like.
    S3,
}

#[derive(Serialize)]
struct Unaccounted<'a> {
    log: String,
    line: u64,
    time_ms: i64,
    account: &'a str,
    tag: &'a str,
    from: &'a str,
    what: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Done {
    answer: &'static str,
    reads: u64,
    accounted: u64,
    metadata: u64,
    unaccounted: u64,
    unseen: Vec<u64>,
}

pub(crate) fn run(cx: &Context<'_>, args: &ReconcileArgs) -> Result<()> {
    let skew_ms = i64::try_from(args.skew.as_millis()).unwrap_or(i64::MAX);
    let fetches = fetches(args)?;
    let mut accesses = Vec::new();
    for (log, path) in args.log.iter().enumerate() {
        accesses.extend(read(path, args.format)?.into_iter().map(|access| Access { log, ..access }));
    }
    let found = reconcile(accesses, &fetches, &args.account, skew_ms);
    let of = |access: &Access| args.log.get(access.log).map_or_else(String::new, |path| path.display().to_string());
    for (access, why) in &found.unaccounted {
        cx.ui.event(
            "audit.unaccounted",
            &Unaccounted {
                log: of(access),
                line: access.line,
                time_ms: access.time_ms,
                account: &access.account,
                tag: &access.tag,
                from: &access.from,
                what: &access.what,
                why,
            },
        )?;
    }
    let answer = answer(&found);
    cx.ui.event(
        "audit.reconciled",
        &Done {
            answer: answer.as_str(),
            reads: found.reads,
            accounted: found.accounted,
            metadata: found.metadata,
            unaccounted: found.unaccounted.len() as u64,
            unseen: found.unseen.iter().map(|(_, window)| window.intent).collect(),
        },
    )?;
    if !cx.ui.is_json() {
        tell(cx, &found, &of)?;
    }
    match answer {
        Answer::True => Ok(()),
        Answer::False => Err(Failure::no(
            "unaccounted",
            format!(
                "{} that the evidence does not account for",
                figures::plural(found.unaccounted.len() as u64, "read")
            ),
        )
        .why("somebody used the broker's account past the broker, or a broker did not record what it read")
        .hint("chunkctl audit search --kind fetch.intent")),
        Answer::CannotTell => Err(Failure::new(
            Exit::CannotTell,
            "log_incomplete",
            "cannot tell: the source's log does not show every fetch that the evidence does",
        )
        .why("it is of another period, does not log every statement, or had lines removed")),
    }
}

fn answer(found: &Reconciled) -> Answer {
    if !found.unaccounted.is_empty() {
        Answer::False
    } else if found.unseen.is_empty() {
        Answer::True
    } else {
        Answer::CannotTell
    }
}

/// Fetches by id, from a bundle that verifies.
fn fetches(args: &ReconcileArgs) -> Result<BTreeMap<String, Window>> {
    let policy = proof::read_trust(&args.trust)?;
    let bundle = std::fs::read(&args.bundle).map_err(|error| Failure::file("read", &args.bundle, &error))?;
    let verified = verify_bundle(&bundle, &policy);
    if verified.answer != Answer::True {
        let exit = if verified.answer == Answer::False {
            Exit::No
        } else {
            Exit::CannotTell
        };
        return Err(Failure::new(
            exit,
            "evidence_unknown",
            "the bundle does not verify, so nothing can be held against it",
        )
        .hint("chunkctl audit verify BUNDLE --trust TRUST-FILE"));
    }
    let view = if verified.level < 2 { Err("level") } else { entries_view(&bundle) };
    let view = view.map_err(|_| Failure::usage("the bundle does not open what was fetched").hint("chunkctl audit export --level 2"))?;
    let mut fetches = BTreeMap::new();
    let mut ids = BTreeMap::<u64, String>::new();
    for line in String::from_utf8_lossy(&view).lines() {
        let entry: Value = serde_json::from_str(line).map_err(|_| Failure::bug("a verified view holds a line that is not JSON"))?;
        fold(&entry, &mut fetches, &mut ids);
    }
    Ok(fetches)
}

fn fold(entry: &Value, fetches: &mut BTreeMap<String, Window>, ids: &mut BTreeMap<u64, String>) {
    let at = |pointer: &str| entry.pointer(pointer);
    let text = |pointer: &str| at(pointer).and_then(Value::as_str);
    let number = |pointer: &str| at(pointer).and_then(Value::as_u64);
    let time = text("/time").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let (Some(index), Some(time_ms)) = (number("/index"), time.map(jiff::Timestamp::as_millisecond)) else {
        return;
    };
    match (text("/kind"), text("/what/fetch")) {
        (Some("fetch.intent"), Some(fetch)) => {
            ids.insert(index, fetch.to_owned());
            let window = Window {
                intent: index,
                from_ms: time_ms,
                to_ms: None,
                delivered: false,
            };
            fetches.insert(fetch.to_owned(), window);
        }
        (Some("fetch.outcome"), _) => {
            let intent = number("/refs/0").and_then(|intent| ids.get(&intent));
            if let Some(window) = intent.and_then(|fetch| fetches.get_mut(fetch)) {
                window.to_ms = Some(time_ms);
                window.delivered = number("/out/rows").is_some_and(|rows| rows > 0);
            }
        }
        _ => {}
    }
}

fn read(path: &Path, format: LogKind) -> Result<Vec<Access>> {
    let file = BufReader::new(File::open(path).map_err(|error| Failure::file("read", path, &error))?);
    let accesses: std::result::Result<Vec<Access>, _> = match format {
        LogKind::PostgresCsv => postgres::accesses(file).collect(),
        LogKind::S3 => s3::accesses(file).collect(),
    };
    accesses.map_err(|error| {
        Failure::usage(format!("`{}` cannot be read as this kind of log", path.display()))
            .why(error.to_string())
            .hint("chunkctl audit reconcile --help")
    })
}

fn tell(cx: &Context<'_>, found: &Reconciled, of: &impl Fn(&Access) -> String) -> Result<()> {
    let mut facts = Facts::new();
    facts.add("reads", figures::count(found.reads));
    facts.add("accounted for", figures::count(found.accounted));
    facts.add("metadata only", figures::count(found.metadata));
    facts.add("unaccounted", figures::count(found.unaccounted.len() as u64));
    facts.add("fetches unseen", figures::count(found.unseen.len() as u64));
    cx.ui.answer(&facts.render())?;
    if !found.unaccounted.is_empty() {
        let mut table = Table::new(&["where", "time", "account", "id", "from", "what", "why"]);
        for (access, why) in &found.unaccounted {
            table.row([
                &format!("{}:{}", of(access), access.line),
                &figures::time(access.time_ms),
                &access.account,
                &access.tag,
                &access.from,
                &access.what,
                *why,
            ]);
        }
        cx.ui.answer(&table.render())?;
    }
    Ok(())
}

//! `chunkctl audit verify`: does a bundle prove what it claims? No network, no broker, no belief but the auditor's own file.

use std::fs::File;
use std::path::PathBuf;

use chunk_evidence::bundle::{Answer, Fault, Verification, verify_file, verify_views};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::output::{Facts, Table};
use crate::view_folder::ViewFolder;
use crate::{figures, proof};

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Bundle, as exported.
    bundle: PathBuf,
    /// The auditor's trust file.
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// New folder for what the rows say as tables and JSON lines; made only where the answer is true.
    #[arg(long, value_name = "FOLDER")]
    views: Option<PathBuf>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    bundle: String,
    answer: &'static str,
    origin: &'a str,
    level: u8,
    from: u64,
    to: u64,
    head: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    claims: Vec<ClaimLine<'a>>,
    faults_total: u64,
    faults: Vec<Finding<'a>>,
    unknowns: Vec<Finding<'a>>,
    counts: Figures<'a>,
    stamps: StampLine,
}

#[derive(Serialize)]
struct StampLine {
    carried: u64,
    believed: u64,
    covered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<i64>,
}

#[derive(Serialize)]
struct ClaimLine<'a> {
    id: &'a str,
    text: &'a str,
    answer: &'static str,
}

#[derive(Serialize)]
struct Finding<'a> {
    claim: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    what: &'a str,
}

#[derive(Serialize)]
struct Figures<'a> {
    entries: u64,
    opened: u64,
    header_only: u64,
    erased: u64,
    disposed: u64,
    context: u64,
    by_kind: &'a std::collections::BTreeMap<&'static str, u64>,
    deliveries_done: u64,
    rows_released: u64,
    bytes_released: u64,
    intents_open: u64,
    signatures: u64,
}

pub(crate) fn run(cx: &Context<'_>, args: &VerifyArgs) -> Result<()> {
    let policy = proof::read_trust(&args.trust)?;
    let unreadable = |error: std::io::Error| Failure::file("read", &args.bundle, &error);
    let bundle = File::open(&args.bundle).map_err(unreadable)?;
    let found = match &args.views {
        None => verify_file(bundle, &policy).map_err(unreadable)?,
        Some(folder) => {
            let mut views = ViewFolder::new(folder)?;
            let found = verify_views(bundle, &policy, &mut |name, text| views.put(name, text)).map_err(unreadable)?;
            if found.answer == Answer::True {
                views.keep()?;
            }
            found
        }
    };
    cx.ui.event("audit.verify", &verdict(&args.bundle.display().to_string(), &found))?;
    if !cx.ui.is_json() {
        cx.ui.answer(&tell(&found))?;
    }
    let first = |findings: &[Fault]| findings.first().map(line);
    match found.answer {
        Answer::True => Ok(()),
        Answer::False => {
            let failure = Failure::no(
                "evidence_false",
                format!("false: {} against it", figures::plural(found.faults_total, "finding")),
            );
            Err(first(&found.faults).into_iter().fold(failure, Failure::why))
        }
        Answer::CannotTell => {
            let failure = Failure::new(
                Exit::CannotTell,
                "evidence_unknown",
                "cannot tell: nothing speaks against it, but the trust file does not say enough",
            );
            Err(first(&found.unknowns).into_iter().fold(failure, Failure::why))
        }
    }
}

fn verdict<'a>(bundle: &str, found: &'a Verification) -> Verdict<'a> {
    let findings = |list: &'a [Fault]| {
        list.iter()
            .map(|fault| Finding {
                claim: fault.claim,
                index: fault.index,
                what: &fault.what,
            })
            .collect()
    };
    let counts = &found.counts;
    Verdict {
        bundle: bundle.to_owned(),
        answer: found.answer.as_str(),
        origin: &found.origin,
        level: found.level,
        from: found.from,
        to: found.to,
        head: found.head,
        filter: found.filter.as_deref(),
        claims: found
            .claims
            .iter()
            .map(|claim| ClaimLine {
                id: claim.id,
                text: claim.text,
                answer: claim.answer.as_str(),
            })
            .collect(),
        faults_total: found.faults_total,
        faults: findings(&found.faults),
        unknowns: findings(&found.unknowns),
        counts: Figures {
            entries: counts.entries,
            opened: counts.opened,
            header_only: counts.header_only,
            erased: counts.erased,
            disposed: counts.disposed,
            context: counts.context,
            by_kind: &counts.by_kind,
            deliveries_done: counts.deliveries_done,
            rows_released: counts.rows_released,
            bytes_released: counts.bytes_released,
            intents_open: counts.intents_open,
            signatures: counts.signatures,
        },
        stamps: StampLine {
            carried: found.stamps.carried,
            believed: found.stamps.believed,
            covered: found.stamps.covered,
            size: found.stamps.newest.map(|(size, _)| size),
            time_ms: found.stamps.newest.map(|(_, time_ms)| time_ms),
        },
    }
}

fn tell(found: &Verification) -> String {
    let mut facts = Facts::new();
    facts.add(
        "answer",
        match found.answer {
            Answer::True => "true: every claim holds",
            Answer::False => "FALSE",
            Answer::CannotTell => "cannot tell",
        },
    );
    facts.add("log", &found.origin);
    facts.add(
        "entries",
        format!(
            "{} (#{} to before #{}), under a head of {}",
            figures::count(found.counts.entries),
            found.from,
            found.to,
            figures::count(found.head)
        ),
    );
    let counts = &found.counts;
    facts.add(
        "opened",
        format!(
            "level {}: {} whole, {} by header only, {} erased, {} disposed of, {} for context",
            found.level,
            figures::count(counts.opened),
            figures::count(counts.header_only),
            figures::count(counts.erased),
            figures::count(counts.disposed),
            figures::count(counts.context)
        ),
    );
    if let Some(filter) = &found.filter {
        facts.add("filter", filter);
    }
    facts.add(
        "released",
        format!(
            "{} with {} ({})",
            figures::plural(counts.deliveries_done, "file"),
            figures::plural(counts.rows_released, "row"),
            figures::bytes(counts.bytes_released)
        ),
    );
    if counts.intents_open > 0 {
        facts.add(
            "under way",
            format!("{} without an outcome yet", figures::plural(counts.intents_open, "intent")),
        );
    }
    facts.add("signatures", format!("{} by people, checked", figures::count(counts.signatures)));
    if found.stamps.carried > 0 {
        facts.add("time stamps", stamps(found));
    }
    let mut out = facts.render();
    out.push('\n');
    let mut claims = Table::new(&["claim", "holds", "in words"]);
    for claim in &found.claims {
        claims.row([
            claim.id,
            match claim.answer {
                Answer::True => "yes",
                Answer::False => "NO",
                Answer::CannotTell => "?",
            },
            claim.text,
        ]);
    }
    out.push_str(&claims.render());
    for (title, findings) in [("Against it:", &found.faults), ("Not known:", &found.unknowns)] {
        if !findings.is_empty() {
            out.push_str(&format!("\n{title}\n"));
            for finding in findings {
                out.push_str(&format!("  {}\n", crate::text::line(&line(finding))));
            }
        }
    }
    out
}

/// What the time stamps show. It is said too when nobody asked: whoever carries a bundle on should know what is in it.
fn stamps(found: &Verification) -> String {
    let carried = found.stamps.carried;
    let asked = found.claims.iter().any(|claim| claim.id == "stamped");
    match found.stamps.newest {
        Some((size, time_ms)) => format!(
            "{} of {}; entries before #{size} existed at {}: {} of {} of the range, {} of the head came after",
            figures::count(found.stamps.believed),
            figures::count(carried),
            figures::time(time_ms),
            figures::count(found.stamps.covered),
            figures::plural_of(found.to.saturating_sub(found.from), "entry", "entries"),
            figures::count(found.head.saturating_sub(size))
        ),
        None if asked => format!("{}, none of them to be believed", figures::count(carried)),
        None => format!(
            "{}, not judged: the trust file names no `timestamp_authorities`",
            figures::count(carried)
        ),
    }
}

fn line(fault: &Fault) -> String {
    match fault.index {
        Some(index) => format!("[{}] entry #{index}: {}", fault.claim, fault.what),
        None => format!("[{}] {}", fault.claim, fault.what),
    }
}

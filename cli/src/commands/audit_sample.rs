//! `chunkctl audit sample`: entries that nobody chose, and a sheet to fill in.
//!
//! The draw is a function of the bundle and the seed, so that anybody can make it again; `docs/guides/audit.md` does so in Python.

use std::fs::File;
use std::path::PathBuf;

use chunk_evidence::views::{Population, Sampler};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::args::words;
use crate::commands::audit_convert::Checked;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Facts;
use crate::sink::{Sink, Target};

/// Arguments of `audit sample`.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Bundle, as exported.
    bundle: PathBuf,
    /// What to draw from.
    #[arg(long, value_enum)]
    population: Of,
    /// How many to draw.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sample: u32,
    /// Words that decide the draw; choose them after the bundle is in your hands.
    #[arg(long, value_name = "WORDS", value_parser = words)]
    seed: String,
    /// The auditor's trust file; without it, the log key pinned at sign-in is believed.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Sheet to write (CSV), or `-` for standard output.
    #[arg(short, long, value_name = "PATH", default_value = "sample.csv")]
    output: PathBuf,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Every time data was read
    Fetches,
    /// Sign-ins
    Sessions,
    /// Requests, allowed and denied
    Requests,
    /// Verdicts of reviewers
    Reviews,
}

#[derive(Serialize)]
struct Drawn<'a> {
    path: Option<String>,
    population: &'static str,
    count: u64,
    digest: &'a str,
    seed: &'a str,
    indices: &'a [u64],
    bundle_sha256: &'a str,
}

pub(crate) fn run(cx: &Context<'_>, args: &SampleArgs) -> Result<()> {
    let csv = chunk_wire::fetch::Format::Csv;
    let target = Target::choose(Some(&args.output), None, csv);
    target.check(args.force, csv)?;
    let file = File::open(&args.bundle).map_err(|error| Failure::file("read", &args.bundle, &error))?;
    let checked = Checked::new(cx, file, &args.bundle.display().to_string(), args.trust.as_deref())?;
    let (population, word) = match args.population {
        Of::Fetches => (Population::Fetches, "fetches"),
        Of::Sessions => (Population::Sessions, "sessions"),
        Of::Requests => (Population::Requests, "requests"),
        Of::Reviews => (Population::Reviews, "reviews"),
    };
    let mut sampler = Sampler::new(population, args.sample as usize, &args.seed);
    let mut bundle = checked.open()?;
    bundle
        .context(|row| {
            sampler.context(&row);
            Ok(())
        })
        .map_err(|error| checked.unread(error))?;
    bundle
        .rows(|row| {
            sampler.row(row);
            Ok(())
        })
        .map_err(|error| checked.unread(error))?;
    let drawn = sampler.finish();
    checked.still()?;
    if target == Target::Stdout {
        cx.ui.give_stdout_to_data();
    }
    let mut sink = Sink::open(&target)?;
    sink.write(&drawn.sheet)?;
    sink.finish()?.place(args.force)?;
    let path = match &target {
        Target::File(path) => Some(path.display().to_string()),
        Target::Stdout => None,
    };
    cx.ui.event(
        "audit.sampled",
        &Drawn {
            path,
            population: word,
            count: drawn.population,
            digest: &drawn.digest,
            seed: &args.seed,
            indices: &drawn.indices,
            bundle_sha256: &checked.sha256,
        },
    )?;
    let kinds: Vec<&str> = population.kinds().iter().map(|kind| kind.as_str()).collect();
    let indices: Vec<String> = drawn.indices.iter().map(|index| format!("#{index}")).collect();
    let mut facts = Facts::new();
    facts.add(
        "population",
        format!("{} {word} ({})", figures::count(drawn.population), kinds.join(", ")),
    );
    facts.add("its digest", &drawn.digest);
    facts.add("bundle", format!("{}, sha-256 {}", args.bundle.display(), checked.sha256));
    facts.add("seed", &args.seed);
    facts.add(
        "drawn",
        format!("{}: {}", figures::count(drawn.indices.len() as u64), indices.join(", ")),
    );
    facts.add("sheet", target.typed());
    cx.ui.say(facts.render().trim_end());
    if let Some(index) = drawn.indices.first() {
        cx.ui.next(&format!("chunkctl audit show {index}"));
    }
    Ok(())
}

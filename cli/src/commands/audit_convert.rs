//! `chunkctl audit convert`: a bundle, verified first, as what other programs and people read.
//!
//! Nothing is derived from a bundle that does not verify, and nothing comes from the broker: the same bundle gives the same bytes
//! on the auditor's own machine.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufReader, Seek as _, Write};
use std::path::{Path, PathBuf};

use chunk_evidence::bundle::{Answer, Verification, ViewSink, verify_file, verify_views};
use chunk_evidence::note::VerifierKey;
use chunk_evidence::trust::TrustPolicy;
use chunk_evidence::views::{self, Assessment, Events, ReadError, Source, Table, Verified};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::memory::Memory;
use crate::parquet_table::ParquetTable;
use crate::sink::{self, Sink, Target};
use crate::view_folder::ViewFolder;
use crate::{figures, proof, text};

/// Arguments of `audit convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Bundle, as exported.
    bundle: PathBuf,
    /// What to make of it.
    #[arg(long, value_enum)]
    format: ViewFormat,
    /// The auditor's trust file; without it, the log key pinned at sign-in is believed.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// File to write, or `-` for standard output; for csv and parquet, a folder to make.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

/// What a bundle can be made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ViewFormat {
    /// One JSON object an entry
    Jsonl,
    /// A folder: one CSV a family of kinds, and the list of all entries
    Csv,
    /// The same folder as Parquet files, for what tells a number from a text
    Parquet,
    /// OCSF 1.8 events, one a line, for a SIEM
    Ocsf,
    /// OSCAL assessment results
    Oscal,
    /// A report by control of ISO/IEC 27001:2022, one file
    Html,
}

/// A bundle that verified.
pub(crate) struct Checked {
    file: File,
    /// Name of the file, as typed.
    name: String,
    policy: TrustPolicy,
    pub(crate) verification: Verification,
    pub(crate) sha256: String,
    bytes: u64,
    trust: String,
}

#[derive(Serialize)]
struct Converted<'a> {
    path: Option<String>,
    format: ViewFormat,
    entries: u64,
    bundle_sha256: &'a str,
}

pub(crate) fn run(cx: &Context<'_>, args: &ConvertArgs) -> Result<()> {
    let target = args.format.target(args.output.as_deref());
    args.format.check(&target, args.force)?;
    let file = File::open(&args.bundle).map_err(|error| Failure::file("read", &args.bundle, &error))?;
    let checked = Checked::new(cx, file, &args.bundle.display().to_string(), args.trust.as_deref())?;
    write(cx, &checked, args.format, &target, args.force)
}

impl ViewFormat {
    /// Where it goes.
    pub(crate) fn target(self, output: Option<&Path>) -> Target {
        let name = match self {
            ViewFormat::Jsonl => "audit.jsonl",
            ViewFormat::Csv => "audit-csv",
            ViewFormat::Parquet => "audit-parquet",
            ViewFormat::Ocsf => "audit.ocsf.jsonl",
            ViewFormat::Oscal => "audit.oscal.json",
            ViewFormat::Html => "audit.html",
        };
        Target::choose(Some(output.unwrap_or(Path::new(name))), None, chunk_wire::fetch::Format::Csv)
    }

    /// Says now what would fail later.
    ///
    /// # Errors
    /// When the target cannot take this format.
    pub(crate) fn check(self, target: &Target, force: bool) -> Result<()> {
        let (ViewFormat::Csv | ViewFormat::Parquet) = self else {
            return target.check(force, chunk_wire::fetch::Format::Csv);
        };
        let name = self.to_possible_value();
        let name = name.as_ref().map_or("it", |name| name.get_name());
        match target {
            Target::Stdout => Err(Failure::usage(format!("{name} is a folder of several files")).why("name one with `-o`")),
            Target::File(path) if path.symlink_metadata().is_ok() => Err(Failure::usage(format!("`{}` exists already", path.display()))
                .why(format!("{name} makes a new folder; `-o` names another one"))),
            Target::File(_) => Ok(()),
        }
    }
}

impl Checked {
    /// Verifies a bundle.
    ///
    /// # Errors
    /// Exit 1 when it is false, 2 when this reader cannot tell.
    pub(crate) fn new(cx: &Context<'_>, mut file: File, name: &str, trust: Option<&Path>) -> Result<Self> {
        let (policy, trust) = believed(cx, trust)?;
        let unread = |error| Failure::file("read", Path::new(name), &error);
        let (sha256, bytes) = sha256_of(&file).map_err(unread)?;
        let verification = file.rewind().and_then(|()| verify_file(&file, &policy)).map_err(unread)?;
        let first = match verification.answer {
            Answer::True => None,
            Answer::False => verification.faults.first(),
            Answer::CannotTell => verification.unknowns.first(),
        };
        let failure = match verification.answer {
            Answer::True if verification.level == 0 => Err(Failure::usage("a bundle of level 0 holds no entry, only that the log grew")
                .hint("chunkctl audit export --level 4 -o audit.bundle")),
            Answer::True => Ok(()),
            Answer::False => Err(Failure::no(
                "evidence_false",
                format!("`{name}` is false, so nothing is made of it"),
            )),
            Answer::CannotTell => Err(Failure::new(
                Exit::CannotTell,
                "evidence_unknown",
                format!("nobody here can tell whether `{name}` is true, so nothing is made of it"),
            )),
        };
        match failure {
            Ok(()) => Ok(Self {
                file,
                name: name.to_owned(),
                policy,
                verification,
                sha256,
                bytes,
                trust,
            }),
            Err(failure) => {
                let failure = first.into_iter().fold(failure, |failure, fault| failure.why(fault.what.clone()));
                Err(failure.hint(format!("chunkctl audit verify {} --trust TRUST-FILE", text::shell(name))))
            }
        }
    }

    /// The bundle, for reading.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open(&self) -> Result<Verified<BufReader<&File>>> {
        Verified::open(BufReader::new(&self.file)).map_err(|error| self.unread(error))
    }

    /// What the verifier derives from its rows: name of a view, and the next part of its text.
    ///
    /// # Errors
    /// When it cannot be read, or is no more what it was.
    pub(crate) fn views(&self, take: ViewSink<'_>) -> Result<()> {
        let mut file = &self.file;
        let again = file.rewind().and_then(|()| verify_views(file, &self.policy, take));
        let again = again.map_err(|error| self.unread(error.into()))?;
        if again.answer == Answer::True {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> Failure {
        Failure::no("evidence_false", format!("`{}` changed while it was read", self.name))
    }

    /// The file is still the one that was verified.
    ///
    /// # Errors
    /// When somebody changed it meanwhile.
    pub(crate) fn still(&self) -> Result<()> {
        let now = sha256_of(&self.file).map_err(|error| self.unread(error.into()))?;
        if now.0 == self.sha256 { Ok(()) } else { Err(self.changed()) }
    }

    pub(crate) fn unread(&self, error: ReadError) -> Failure {
        match error {
            ReadError::Io(error) => Failure::file("read", Path::new(&self.name), &error),
            ReadError::Malformed(_) => Failure::no("evidence_false", format!("`{}`: {error}", self.name)),
        }
    }
}

/// Whom this reader believes, and where that comes from.
fn believed(cx: &Context<'_>, trust: Option<&Path>) -> Result<(TrustPolicy, String)> {
    if let Some(path) = trust {
        return Ok((proof::read_trust(path)?, format!("the trust file {}", path.display())));
    }
    let none = || {
        Failure::cannot_tell("unknown_log_key", "there is no log key to verify with")
            .why("no `--trust` is given, and none was pinned at a sign-in")
            .hint("chunkctl audit trust init -o trust.toml")
    };
    let log = cx.pinned_log().ok_or_else(none)?;
    let key = VerifierKey::parse(&log.key).map_err(|_| Failure::usage("the pinned log key is damaged").hint("chunkctl config unpin"))?;
    let mut policy = TrustPolicy::of_key(&key);
    policy.log_keys.extend(log.earlier.iter().map(|earlier| earlier.key.clone()));
    // What this machine has seen of the log must be in the bundle's history, where the bundle reaches so far.
    let seen = Memory::new(&cx.paths.state, &key).recall()?;
    policy.last_checkpoint = seen.map(|seen| seen.text().to_owned());
    Ok((policy, "the log key pinned on this machine at sign-in".to_owned()))
}

/// Makes a view of a bundle that verified.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn write(cx: &Context<'_>, checked: &Checked, format: ViewFormat, target: &Target, force: bool) -> Result<()> {
    if *target == Target::Stdout {
        cx.ui.give_stdout_to_data();
    }
    if let (ViewFormat::Csv, Target::File(folder)) = (format, target) {
        tables(checked, folder)?;
    } else if let (ViewFormat::Parquet, Target::File(folder)) = (format, target) {
        parquet_tables(checked, folder)?;
    } else {
        let mut out = Out {
            sink: Sink::open(target)?,
            failure: None,
        };
        let written = one_file(checked, format, &mut out);
        // What could not be written says more than that reading stopped for it.
        if let Some(failure) = out.failure.take() {
            return Err(failure);
        }
        written?;
        checked.still()?;
        out.sink.finish()?.place(force)?;
    }
    let path = match target {
        Target::File(path) => Some(path.display().to_string()),
        Target::Stdout => None,
    };
    cx.ui.event(
        "audit.converted",
        &Converted {
            path,
            format,
            entries: checked.verification.counts.entries,
            bundle_sha256: &checked.sha256,
        },
    )?;
    cx.ui.say(&format!(
        "Verified, and made `{}` of {}.",
        target.typed(),
        figures::plural_of(checked.verification.counts.entries, "entry", "entries")
    ));
    Ok(())
}

fn one_file(checked: &Checked, format: ViewFormat, out: &mut Out) -> Result<()> {
    let mut bundle = checked.open()?;
    let unread = |error| checked.unread(error);
    match format {
        ViewFormat::Jsonl | ViewFormat::Csv | ViewFormat::Parquet => {
            let mut fault = None;
            checked.views(&mut |name, text| {
                if name == "views/entries.jsonl" && fault.is_none() {
                    fault = out.write_all(text.as_bytes()).err();
                }
            })?;
            fault.map_or(Ok(()), |error| Err(unread(error.into())))?;
        }
        ViewFormat::Ocsf => {
            let mut events = Events::new(&checked.verification.origin);
            bundle
                .context(|row| {
                    events.context(&row);
                    Ok(())
                })
                .map_err(unread)?;
            bundle.rows(|row| events.row(&row, out)).map_err(unread)?;
        }
        ViewFormat::Oscal | ViewFormat::Html => {
            let mut assessment = Assessment::default();
            bundle
                .context(|row| {
                    assessment.context(&row);
                    Ok(())
                })
                .map_err(unread)?;
            bundle
                .rows(|row| {
                    assessment.row(&row);
                    Ok(())
                })
                .map_err(unread)?;
            assessment.finish();
            let source = Source {
                verification: &checked.verification,
                head_root: bundle.head().map_err(unread)?.unverified().root,
                log_key: bundle.log_key().map_err(unread)?,
                file: checked.name.clone(),
                sha256: checked.sha256.clone(),
                bytes: checked.bytes,
                trust: checked.trust.clone(),
            };
            let document = match format {
                ViewFormat::Html => views::report(&source, &assessment),
                _ => views::assessment_results(&source, &assessment).map_err(|error| Failure::bug(error.to_string()))?,
            };
            out.write_all(document.as_bytes()).map_err(|error| unread(error.into()))?;
        }
    }
    Ok(())
}

/// The tables of a bundle as a folder, which gets its name when all of it is there.
fn tables(checked: &Checked, folder: &Path) -> Result<()> {
    let mut made = ViewFolder::new(folder)?;
    checked.views(&mut |name, text| {
        if name.ends_with(".csv") {
            made.put(name, text);
        }
    })?;
    checked.still()?;
    made.keep()
}

/// The same tables as Parquet files.
fn parquet_tables(checked: &Checked, folder: &Path) -> Result<()> {
    let made = ViewFolder::new(folder)?;
    let about = [
        ("chunkctl.origin", checked.verification.origin.as_str()),
        ("chunkctl.bundle_sha256", checked.sha256.as_str()),
    ];
    let begin = |table: Table| -> std::io::Result<ParquetTable> {
        let file = made.create(&format!("{}.parquet", table.name()))?;
        ParquetTable::new(table, file, &about).map_err(std::io::Error::other)
    };
    let unwritten = |error: &std::io::Error| Failure::file("write", folder, error);
    let mut tables = BTreeMap::new();
    let population = begin(Table::POPULATION).map_err(|error| unwritten(&error))?;
    tables.insert(Table::POPULATION, population);
    let mut fault = None;
    let read = checked.open()?.rows(|row| {
        let mut add = || -> std::io::Result<()> {
            for table in Table::of(&row) {
                let made = match tables.entry(table) {
                    Entry::Occupied(made) => made.into_mut(),
                    Entry::Vacant(place) => place.insert(begin(table)?),
                };
                made.push(&row).map_err(std::io::Error::other)?;
            }
            Ok(())
        };
        add().map_err(|error| {
            let told = std::io::Error::from(error.kind());
            fault = Some(error);
            told
        })
    });
    // What could not be written says more than that reading stopped for it.
    if let Some(error) = fault {
        return Err(unwritten(&error));
    }
    read.map_err(|error| checked.unread(error))?;
    for table in tables.into_values() {
        table.finish().map_err(|error| unwritten(&std::io::Error::other(error)))?;
    }
    checked.still()?;
    made.keep()
}

/// A sink for those who know only of I/O.
struct Out {
    sink: Sink,
    failure: Option<Failure>,
}

impl Write for Out {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        match self.sink.write(part) {
            Ok(()) => Ok(part.len()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(std::io::Error::other("the output takes no more"))
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// SHA-256 (hex) and length of a file, from its beginning.
fn sha256_of(mut file: &File) -> std::io::Result<(String, u64)> {
    file.rewind()?;
    sink::sha256_of(file)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_evidence::dsse;
    use clap::Parser as _;
    use ring::signature::Ed25519KeyPair;

    use super::*;
    use crate::args::Cli;
    use crate::auth::vault::Storage;
    use crate::output::Ui;

    #[test]
    fn each_format_has_a_place_of_its_own_and_tables_need_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = ViewFormat::value_variants()
            .iter()
            .map(|format| format.target(None).typed())
            .collect();
        assert_eq!(
            names,
            [
                "audit.jsonl",
                "audit-csv",
                "audit-parquet",
                "audit.ocsf.jsonl",
                "audit.oscal.json",
                "audit.html"
            ]
        );
        let (there, new) = (Target::File(folder.path().to_owned()), Target::File(folder.path().join("new")));
        for folder in [ViewFormat::Csv, ViewFormat::Parquet] {
            assert!(folder.check(&Target::Stdout, false).is_err());
            assert!(folder.check(&there, true).is_err());
            assert!(folder.check(&new, false).is_ok());
        }
        assert!(ViewFormat::Html.check(&Target::Stdout, false).is_ok());
    }

    #[test]
    fn what_is_no_bundle_is_a_no_and_without_a_key_nobody_can_tell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bundle");
        std::fs::write(&path, b"this is no bundle").unwrap();
        let ui = Ui::new(false, true, true);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = VerifierKey::new("o/d/1", dsse::public_key(&pair)).unwrap();
        let mut cx = Context::for_tests(&ui, folder.path(), "http://127.0.0.1:1", Storage::Memory, &key);
        let judge = |cx: &Context<'_>| Checked::new(cx, File::open(&path).unwrap(), "x.bundle", None).err().unwrap();
        let failure = judge(&cx);
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "evidence_false"));
        assert_eq!(failure.hint.as_deref(), Some("chunkctl audit verify x.bundle --trust TRUST-FILE"));
        cx.config.logs.clear();
        assert_eq!(judge(&cx).exit, Exit::CannotTell);
    }

    #[test]
    fn a_sample_needs_words_and_a_number() {
        for typed in [
            "chunkctl audit sample b --population fetches",
            "chunkctl audit sample b --seed s",
            "chunkctl audit sample b --population fetches --seed s --sample 0",
            "chunkctl audit sample b --population people --seed s",
            "chunkctl audit convert b",
            "chunkctl audit convert b --format bundle",
            "chunkctl audit export --format xlsx",
        ] {
            assert!(Cli::try_parse_from(typed.split(' ')).is_err(), "{typed}");
        }
    }
}

//! `chunkctl verify PATH…`: is this what the broker released, to whom, under which approval, masked how? Offline.
//!
//! A folder stands for every file below it that has a receipt. What has none is counted and said, because nobody has looked.
//! Only `--renew` asks the broker for anything: a receipt under a checkpoint that witnesses have seen by now.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::figures;
use crate::proof::{self, Believed};
use crate::receipts;
use crate::sink::{receipt_of, sha256_of_file};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Files to check, or folders: every file below that has a receipt.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Receipt, where it is not PATH.receipt (one file only).
    #[arg(long, value_name = "PATH")]
    receipt: Option<PathBuf>,
    /// Trust file to believe, instead of the log key pinned at sign-in.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// First asks the broker for receipts under its newest checkpoint, and keeps those that hold in the place of the old ones.
    #[arg(long)]
    renew: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<Story<'a>>,
}

/// The last event, where there was more than one file to check.
#[derive(Default, Serialize)]
struct Summary {
    files: u64,
    #[serde(rename = "true")]
    genuine: u64,
    #[serde(rename = "false")]
    not_genuine: u64,
    cannot_tell: u64,
    /// Files in folders that have no receipt.
    without_receipt: u64,
}

#[derive(Serialize)]
struct Story<'a> {
    request: &'a str,
    digest: &'a str,
    requester: Who<'a>,
    query: &'a serde_json::Value,
    datasets: &'a [String],
    reason: &'a str,
    ticket: Option<&'a str>,
    requested_ms: i64,
    quorum: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    break_glass: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing<'a>>,
    approvals: Vec<Approval<'a>>,
    intent: u64,
    outcome: u64,
    outcome_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<Chunk<'a>>,
    rows: u64,
    bytes: u64,
    sha256: &'a str,
    columns: Vec<Column<'a>>,
    origin: &'a str,
    log_key: &'a str,
}

/// Which chunk of a result that was delivered in several.
#[derive(Serialize)]
struct Chunk<'a> {
    number: u64,
    of: u64,
    snapshot: &'a str,
}

#[derive(Serialize)]
struct Standing<'a> {
    request: &'a str,
    digest: &'a str,
    reason: &'a str,
    requested_ms: i64,
    expires_ms: u64,
}

#[derive(Serialize)]
struct Who<'a> {
    issuer: &'a str,
    subject: &'a str,
    name: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct Approval<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_key: Option<&'a str>,
    reason: &'a str,
    time_ms: i64,
    index: u64,
}

#[derive(Serialize)]
struct Column<'a> {
    dataset: &'a str,
    column: &'a str,
    class: Option<&'a str>,
    mask: &'a str,
    values: Option<u64>,
    altered: Option<u64>,
}

pub(crate) fn run(cx: &Context<'_>, args: &VerifyArgs) -> Result<()> {
    let alone = match args.paths.as_slice() {
        [path] if !path.is_dir() => Some(path),
        _ => None,
    };
    if args.receipt.is_some() && alone.is_none() {
        return Err(Failure::usage("`--receipt` is for one file")
            .why("the receipts of several files are found beside them")
            .hint("chunkctl verify --help"));
    }
    let believed = match &args.trust {
        Some(path) => Believed::file(path)?,
        None => Believed::pinned(cx)?,
    };
    let receipt = |file: &Path| args.receipt.clone().unwrap_or_else(|| receipt_of(file));
    let unrenewed = if args.renew {
        renew(cx, &believed, &args.paths, receipt)?
    } else {
        0
    };
    match alone {
        Some(file) => one(cx, &believed, file, &receipt(file)).map_err(|failure| named(file, failure)),
        None => many(cx, &believed, &args.paths),
    }?;
    match unrenewed {
        0 => Ok(()),
        files => Err(
            Failure::cannot_tell("not_renewed", "not every receipt could be renewed").why(format!(
                "{} kept the receipt there was, which holds",
                figures::plural(files, "file")
            )),
        ),
    }
}

/// Renews the receipt of every file that has one, and gives how many could not be: those keep what they have.
fn renew(cx: &Context<'_>, believed: &Believed, paths: &[PathBuf], receipt: impl Fn(&Path) -> PathBuf) -> Result<u64> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            // What cannot be read is told when it is verified.
            files.extend(below(path, &mut 0).into_iter().flatten());
        } else {
            files.push(path.clone());
        }
    }
    cx.with_session(async |session| {
        let mut unrenewed = 0;
        for file in &files {
            if let Err(failure) = receipts::renew(cx, session, believed, file, &receipt(file)).await {
                cx.ui.failure(&named(file, failure.why("its receipt was not renewed")));
                unrenewed += 1;
            }
        }
        Ok(unrenewed)
    })
}

/// Checks all of them, whatever the answers are; the worst one is the answer: a clear no weighs more than not knowing.
fn many(cx: &Context<'_>, believed: &Believed, paths: &[PathBuf]) -> Result<()> {
    let mut summary = Summary::default();
    for path in paths {
        let found = if path.is_dir() {
            below(path, &mut summary.without_receipt)
        } else {
            vec![Ok(path.clone())]
        };
        for file in found {
            let checked = file.and_then(|file| {
                summary.files += 1;
                one(cx, believed, &file, &receipt_of(&file)).map_err(|failure| named(&file, failure))
            });
            match checked {
                Ok(()) => summary.genuine += 1,
                Err(failure) => {
                    cx.ui.failure(&failure);
                    if failure.exit == Exit::No {
                        summary.not_genuine += 1;
                    } else {
                        summary.cannot_tell += 1;
                    }
                }
            }
        }
    }
    cx.ui.event("verify.done", &summary)?;
    if !cx.ui.is_json() {
        cx.ui.answer(&summary.words())?;
    }
    match summary {
        Summary { not_genuine: 1.., .. } => Err(Failure::no("evidence_false", "not every file is what the broker released")),
        Summary { cannot_tell: 1.., .. } => Err(Failure::cannot_tell(
            "evidence_unknown",
            "not every file is proven to be what the broker released",
        )),
        Summary { files: 0, .. } => {
            Err(Failure::cannot_tell("no_receipt", "there is no file with a receipt").why("so there was nothing to check"))
        }
        _ => Ok(()),
    }
}

/// Every file below a folder that has a receipt, by name. Links to folders are not followed, since they can lead in circles.
fn below(folder: &Path, without_receipt: &mut u64) -> Vec<Result<PathBuf>> {
    let unread = |error: std::io::Error| Failure::file("read", folder, &error);
    let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut entries = match entries.map_err(unread) {
        Ok(entries) => entries,
        Err(failure) => return vec![Err(failure)],
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&path, without_receipt));
        } else if path.is_file() && !is_receipt(&path) {
            if receipt_of(&path).symlink_metadata().is_ok() {
                found.push(Ok(path));
            } else {
                *without_receipt += 1;
            }
        }
    }
    found
}

/// Whether a file is another's receipt, or was, before that other was lost.
fn is_receipt(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "receipt")
}

/// A failure that says of which file it is.
fn named(file: &Path, failure: Failure) -> Failure {
    Failure {
        what: format!("`{}`: {}", file.display(), failure.what),
        ..failure
    }
}

impl Summary {
    fn words(&self) -> String {
        let mut words = format!(
            "{}: {} genuine, {} not, {} that nobody can tell",
            figures::plural(self.files, "file"),
            self.genuine,
            self.not_genuine,
            self.cannot_tell
        );
        if self.without_receipt > 0 {
            words.push_str(&format!(
                "; {} without a receipt not looked at",
                figures::plural(self.without_receipt, "file")
            ));
        }
        words
    }
}

/// Checks one file, and tells the answer as an event whatever it is.
fn one(cx: &Context<'_>, believed: &Believed, file: &Path, receipt: &Path) -> Result<()> {
    let checked = check(cx, believed, file, receipt);
    if let Err(failure) = &checked {
        cx.ui.event(
            "verify",
            &Answer {
                file: file.display().to_string(),
                answer: if failure.exit == Exit::No { "false" } else { "cannot_tell" },
                reason: Some(failure.why.first().unwrap_or(&failure.what)),
                story: None,
            },
        )?;
    }
    checked
}

fn check(cx: &Context<'_>, believed: &Believed, file: &Path, receipt: &Path) -> Result<()> {
    let (sha256, bytes) = sha256_of_file(file).map_err(|error| Failure::file("read", file, &error))?;
    let text = match std::fs::read(receipt) {
        Ok(bytes) => proof::receipt_text(bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::cannot_tell("no_receipt", "there is no receipt")
                .why(format!("looked for `{}`", receipt.display()))
                .hint(format!(
                    "chunkctl verify {} --receipt PATH",
                    crate::text::shell(&file.display().to_string())
                )));
        }
        Err(error) => return Err(Failure::file("read", receipt, &error)),
    };
    let story = believed.verify(&proof::read_receipt(&text)?, &sha256, bytes)?;
    cx.ui.event(
        "verify",
        &Answer {
            file: file.display().to_string(),
            answer: "true",
            reason: None,
            story: Some(Story::of(&story)),
        },
    )?;
    if !cx.ui.is_json() {
        cx.ui.answer(&format!(
            "{}: genuine\n\n{}",
            crate::text::line(&file.display().to_string()),
            proof::tell(&story)
        ))?;
    }
    Ok(())
}

impl<'a> Story<'a> {
    fn of(story: &'a chunk_evidence::receipt::ReceiptStory) -> Self {
        let who = |person: &'a chunk_evidence::receipt::StoryPerson| Who {
            issuer: &person.issuer,
            subject: &person.subject,
            name: &person.name,
            key: &person.key,
        };
        Self {
            request: &story.request,
            digest: &story.digest,
            requester: who(&story.requester),
            query: &story.query,
            datasets: &story.datasets,
            reason: &story.reason,
            ticket: story.ticket.as_deref(),
            requested_ms: story.requested_ms,
            quorum: story.quorum,
            break_glass: story.break_glass,
            standing: story.standing.as_ref().map(|standing| Standing {
                request: &standing.request,
                digest: &standing.digest,
                reason: &standing.reason,
                requested_ms: standing.requested_ms,
                expires_ms: standing.expires_ms,
            }),
            approvals: story
                .approvals
                .iter()
                .map(|approval| Approval {
                    who: who(&approval.person),
                    ssh_key: approval.ssh_key.as_deref(),
                    reason: &approval.reason,
                    time_ms: approval.time_ms,
                    index: approval.index,
                })
                .collect(),
            intent: story.intent,
            outcome: story.outcome,
            outcome_ms: story.outcome_ms,
            chunk: story.cut.as_ref().map(|cut| Chunk {
                number: story.chunk,
                of: cut.chunks,
                snapshot: &cut.snapshot,
            }),
            rows: story.rows,
            bytes: story.bytes,
            sha256: &story.sha256,
            columns: story
                .columns
                .iter()
                .map(|column| Column {
                    dataset: &column.dataset,
                    column: &column.column,
                    class: column.class.as_deref(),
                    mask: &column.mask,
                    values: column.values,
                    altered: column.altered,
                })
                .collect(),
            origin: &story.origin,
            log_key: &story.log_key,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::auth::vault::Storage;
    use crate::output::Ui;
    use crate::testing::release;

    const FILE: &[u8] = b"a\n1\n";

    /// Verifies paths below a folder that holds what was asked for.
    fn verify(paths: &[&str], fill: impl FnOnce(&Path)) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir_all(files.join("deep/er")).unwrap();
        fill(&files);
        let ui = Ui::new(true, true, true);
        let log = release(FILE).log_key;
        let cx = Context::for_tests(&ui, folder.path(), "http://127.0.0.1:9", Storage::Plaintext, &log);
        let args = VerifyArgs {
            paths: paths.iter().map(|path| files.join(path)).collect(),
            receipt: None,
            trust: None,
            renew: false,
        };
        run(&cx, &args)
    }

    fn genuine(path: &Path) {
        release(FILE).write(path, FILE);
    }

    fn edited(path: &Path) {
        release(FILE).write(path, b"a\n2\n");
    }

    /// Genuine as far as anybody knows: the receipt is of a log with another name.
    fn foreign(path: &Path) {
        let text = release(FILE).receipt.replace("example.org/test/1", "example.org/else/1");
        std::fs::write(path, FILE).unwrap();
        std::fs::write(receipt_of(path), text).unwrap();
    }

    fn exit(outcome: Result<()>) -> Exit {
        outcome.map_or_else(|failure| failure.exit, |()| Exit::Yes)
    }

    #[test]
    fn a_released_file_is_genuine_and_an_edited_one_is_not() {
        assert_eq!(exit(verify(&["a.csv"], |files| genuine(&files.join("a.csv")))), Exit::Yes);
        assert_eq!(exit(verify(&["a.csv"], |files| edited(&files.join("a.csv")))), Exit::No);
        assert_eq!(exit(verify(&["a.csv"], |files| foreign(&files.join("a.csv")))), Exit::CannotTell);
    }

    #[test]
    fn a_receipt_that_is_no_text_is_a_no() {
        let outcome = verify(&["a.csv"], |files| {
            genuine(&files.join("a.csv"));
            std::fs::write(files.join("a.csv.receipt"), [0xff, 0xfe, 0x00]).unwrap();
        });
        assert_eq!(exit(outcome), Exit::No);
    }

    #[test]
    fn a_folder_stands_for_every_file_below_it_that_has_a_receipt() {
        let fill = |files: &Path| {
            genuine(&files.join("a.csv"));
            genuine(&files.join("deep/er/b.csv"));
            std::fs::write(files.join("deep/notes.txt"), "no receipt, no question").unwrap();
        };
        assert_eq!(exit(verify(&["."], fill)), Exit::Yes);
        let outcome = verify(&["."], |files| {
            fill(files);
            edited(&files.join("deep/er/c.csv"));
        });
        assert_eq!(exit(outcome), Exit::No);
        let outcome = verify(&["."], |files| {
            fill(files);
            foreign(&files.join("deep/c.csv"));
        });
        assert_eq!(exit(outcome), Exit::CannotTell);
    }

    #[test]
    fn a_no_weighs_more_than_not_knowing_in_any_order() {
        let fill = |files: &Path| {
            genuine(&files.join("a.csv"));
            edited(&files.join("b.csv"));
            foreign(&files.join("c.csv"));
        };
        for paths in [["a.csv", "b.csv", "c.csv"], ["c.csv", "b.csv", "a.csv"]] {
            assert_eq!(exit(verify(&paths, fill)), Exit::No);
        }
        assert_eq!(exit(verify(&["a.csv", "c.csv"], fill)), Exit::CannotTell);
        assert_eq!(exit(verify(&["a.csv", "missing.csv"], fill)), Exit::CannotTell);
    }

    #[test]
    fn a_folder_without_receipts_proves_nothing() {
        let outcome = verify(&["."], |files| std::fs::write(files.join("a.csv"), FILE).unwrap());
        assert_eq!(exit(outcome), Exit::CannotTell);
    }

    #[cfg(unix)]
    #[test]
    fn links_cannot_lead_in_circles() {
        let outcome = verify(&["."], |files| {
            genuine(&files.join("a.csv"));
            std::os::unix::fs::symlink(files, files.join("deep/loop")).unwrap();
        });
        assert_eq!(exit(outcome), Exit::Yes);
    }

    #[test]
    fn the_summary_says_what_was_looked_at() {
        let summary = Summary {
            files: 4,
            genuine: 2,
            not_genuine: 1,
            cannot_tell: 1,
            without_receipt: 3,
        };
        insta::assert_snapshot!(summary.words(), @"4 files: 2 genuine, 1 not, 1 that nobody can tell; 3 files without a receipt not looked at");
    }
}

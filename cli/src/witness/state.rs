//! What a witness remembers, in one file: for each log the checkpoint that it cosigned last, whole.
//!
//! A change is written beside the file, synced, put in its place, and the folder is synced, all before anybody is told. Until
//! the new file has its name, a failure changes nothing, and the request fails. Once the name is given, nobody can say what the
//! disk holds when the last sync fails: then the witness stops for good and reads at its next start what there is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chunk_evidence::cosignature::{WitnessKey, read_head};
use chunk_evidence::merkle::Hash;
use chunk_evidence::note::{Note, VerifierKey};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result, io_words};
use crate::lock;
use crate::witness::judge::{self, Refusal, Signed};
use crate::witness::key::WitnessSigner;

/// The file's form.
const VERSION: u8 = 1;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    v: u8,
    /// Verifier key of the witness whose memory this is.
    witness: String,
    /// By origin.
    logs: BTreeMap<String, RememberedLog>,
}

/// What is remembered of one log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberedLog {
    /// The checkpoint that was cosigned last, with the log's signature and the cosignature.
    checkpoint: String,
    /// When, in seconds since 1970.
    time_s: u64,
    /// The first proof that the log signed two histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contradiction: Option<Contradiction>,
}

/// Two checkpoints of one size with different roots, both signed by the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contradiction {
    cosigned: String,
    shown: String,
}

/// A witness's memory, held by this process alone.
pub(crate) struct Store {
    path: PathBuf,
    remembered: Remembered,
    signer: WitnessSigner,
    logs: Vec<VerifierKey>,
    /// Set once the disk can no longer be believed.
    broken: Option<String>,
    _lock: File,
}

/// A cosignature that may leave: what it says is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cosigned {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) time_s: u64,
    /// The signature line.
    pub(crate) line: String,
}

/// Why there is no cosignature.
#[derive(Debug)]
pub(crate) enum Unsigned {
    /// The request is refused.
    Refused(Refusal),
    /// The log contradicted what it signed before, and this is the first time: both checkpoints are kept.
    Contradicted(Refusal),
    /// The state cannot be written now; nothing changed.
    Unwritten(String),
    /// It is not known what the disk holds: the witness must stop.
    Broken(String),
}

/// A log and the size of its tree that was cosigned last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct KnownLog {
    pub(crate) origin: String,
    pub(crate) size: u64,
}

/// Makes the file of a witness that has not cosigned anything. It must not exist.
///
/// # Errors
/// When it exists, or cannot be written.
pub(crate) fn make(path: &Path, signer: &WitnessSigner) -> Result<()> {
    let empty = Remembered {
        v: VERSION,
        witness: signer.verifier().to_text(),
        logs: BTreeMap::new(),
    };
    let make = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&encode(&empty)?)?;
        file.sync_all()?;
        sync_folder(path)
    };
    make().map_err(|error| Failure::file("make", path, &error))
}

impl Store {
    /// Opens the memory of this witness.
    ///
    /// # Errors
    /// When there is none, it is another witness's or damaged, or another process holds it.
    pub(crate) fn open(path: &Path, signer: WitnessSigner, logs: Vec<VerifierKey>) -> Result<Self> {
        let lock = lock::try_hold(&beside(path, "lock"))?.ok_or_else(|| {
            Failure::cannot_tell("locked", format!("another witness holds `{}`", path.display()))
                .why("two of them would not know of each other's cosignatures; end the other one first")
        })?;
        let text = std::fs::read_to_string(path).map_err(|error| {
            let failure = Failure::file("read", path, &error);
            if error.kind() == std::io::ErrorKind::NotFound {
                failure
                    .why("a witness without its memory could contradict what it cosigned before, so it does not start")
                    .why("if the file is lost, make a new key and a new file, and tell everybody who believes the old key")
                    .hint("chunkctl witness keygen --help")
            } else {
                failure
            }
        })?;
        let remembered = read(&text, &signer).map_err(|why| {
            Failure::usage(format!("`{}` is not the memory of this witness", path.display()))
                .why(why)
                .why("give the file that belongs to the key; an older copy of it would make the witness forget what it cosigned")
                .hint("chunkctl witness serve --help")
        })?;
        Ok(Self {
            path: path.to_owned(),
            remembered,
            signer,
            logs,
            broken: None,
            _lock: lock,
        })
    }

    /// The configured logs, and how much of each was cosigned.
    pub(crate) fn known(&self) -> Vec<KnownLog> {
        let mut known: Vec<KnownLog> = Vec::new();
        for key in &self.logs {
            if known.iter().all(|log| log.origin != key.name()) {
                known.push(KnownLog {
                    origin: key.name().to_owned(),
                    size: self.head(key.name()).map_or(0, |(size, _)| size),
                });
            }
        }
        known
    }

    /// The public key under which it cosigns.
    pub(crate) fn verifier(&self) -> String {
        self.signer.verifier().to_text()
    }

    /// The keys of the logs it knows.
    pub(crate) fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The checkpoint that was cosigned last, of the log whose origin has this SHA-256 (hex).
    pub(crate) fn checkpoint_of(&self, origin_sha256: &str) -> Option<String> {
        let (_, log) = self
            .remembered
            .logs
            .iter()
            .find(|(origin, _)| chunk_evidence::encode::sha256_hex(origin.as_bytes()) == origin_sha256)?;
        Some(log.checkpoint.clone())
    }

    fn head(&self, origin: &str) -> Option<(u64, Hash)> {
        let log = self.remembered.logs.get(origin)?;
        let head = read_head(Note::parse(&log.checkpoint).ok()?.text()).ok()?;
        Some((head.size, head.root))
    }

    /// Vouches for a checkpoint if it extends what is remembered, and remembers it first.
    pub(crate) fn add(&mut self, signed: &Signed, now_s: u64) -> std::result::Result<Cosigned, Unsigned> {
        if let Some(why) = &self.broken {
            return Err(Unsigned::Broken(why.clone()));
        }
        let asked = signed.asked();
        let origin = &asked.head.origin;
        let remembered = self.head(origin);
        if let Err(refusal) = judge::judge(signed, remembered) {
            let same_size = remembered.is_some_and(|(size, root)| size == asked.head.size && root != asked.head.root && size > 0);
            let proven = same_size && matches!(refusal, Refusal::Inconsistent(_));
            return Err(if proven && self.keep_contradiction(signed) {
                Unsigned::Contradicted(refusal)
            } else {
                Unsigned::Refused(refusal)
            });
        }
        // The clock may go back; a later cosignature must not look like an earlier one.
        let last_s = self.remembered.logs.get(origin).map_or(0, |log| log.time_s);
        let time_s = now_s.max(last_s).max(1);
        let line = self
            .signer
            .cosign(asked.note.text(), time_s)
            .map_err(|fault| Unsigned::Unwritten(fault.to_string()))?;
        let log_lines: String = self
            .logs
            .iter()
            .filter(|key| key.name() == *origin)
            .map(|key| asked.note.lines_by(key))
            .collect();
        let mut next = self.remembered.clone();
        let contradiction = next.logs.remove(origin).and_then(|log| log.contradiction);
        next.logs.insert(
            origin.clone(),
            RememberedLog {
                checkpoint: format!("{}\n{log_lines}{line}", asked.note.text()),
                time_s,
                contradiction,
            },
        );
        self.write(next)?;
        Ok(Cosigned {
            origin: origin.clone(),
            size: asked.head.size,
            time_s,
            line,
        })
    }

    /// Keeps the first two checkpoints that contradict each other; false when some were kept before.
    fn keep_contradiction(&mut self, signed: &Signed) -> bool {
        let asked = signed.asked();
        let mut next = self.remembered.clone();
        let Some(log) = next.logs.get_mut(&asked.head.origin).filter(|log| log.contradiction.is_none()) else {
            return false;
        };
        let log_lines: String = self
            .logs
            .iter()
            .filter(|key| key.name() == asked.head.origin)
            .map(|key| asked.note.lines_by(key))
            .collect();
        log.contradiction = Some(Contradiction {
            cosigned: log.checkpoint.clone(),
            shown: format!("{}\n{log_lines}", asked.note.text()),
        });
        // That the proof cannot be kept changes nothing about the refusal.
        self.write(next).ok();
        true
    }

    /// Puts the new state in the old one's place, durably.
    fn write(&mut self, next: Remembered) -> std::result::Result<(), Unsigned> {
        let new = beside(&self.path, "new");
        let prepare = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&encode(&next)?)?;
            file.sync_all()
        };
        prepare().map_err(|error| Unsigned::Unwritten(format!("cannot write `{}`: {}", new.display(), io_words(&error))))?;
        let place = || {
            std::fs::rename(&new, &self.path)?;
            sync_folder(&self.path)
        };
        if let Err(error) = place() {
            let why = format!("cannot put `{}` in its place: {}", self.path.display(), io_words(&error));
            self.broken = Some(why.clone());
            return Err(Unsigned::Broken(why));
        }
        self.remembered = next;
        Ok(())
    }
}

/// Reads a state and checks that this witness cosigned what is in it.
fn read(text: &str, signer: &WitnessSigner) -> std::result::Result<Remembered, String> {
    let remembered: Remembered = serde_json::from_str(text).map_err(|error| format!("it cannot be read at line {}", error.line()))?;
    if remembered.v != VERSION {
        return Err(format!("it is of form {}, and this program knows form {VERSION}", remembered.v));
    }
    let own = signer.verifier();
    if remembered.witness != own.to_text() {
        return Err(format!(
            "it belongs to the key `{}`, and the key given is `{}`",
            remembered.witness,
            own.to_text()
        ));
    }
    for (origin, log) in &remembered.logs {
        if !cosigned(own, origin, log) {
            return Err(format!("what it says of the log `{origin}` was not cosigned by this witness"));
        }
    }
    Ok(remembered)
}

fn cosigned(own: &WitnessKey, origin: &str, log: &RememberedLog) -> bool {
    let Ok(note) = Note::parse(&log.checkpoint) else { return false };
    read_head(note.text()).is_ok_and(|head| head.origin == origin) && own.cosigned_note(&note) == Ok(Some(log.time_s))
}

fn encode(remembered: &Remembered) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(remembered).map_err(std::io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;

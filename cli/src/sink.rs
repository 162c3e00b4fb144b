//! Where do delivered bytes go?
//!
//! Into a temporary file beside their place, digested as they come; they get their name only after the receipt has been checked.
//! Standard output cannot take anything back, so there the exit code is what counts.

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use chunk_wire::fetch::Format;
use ring::digest;

use crate::error::{Failure, Result};
use crate::text;

/// What `-o` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    File(PathBuf),
}

/// Bytes on their way.
pub(crate) struct Sink {
    digest: digest::Context,
    bytes: u64,
    out: Out,
}

enum Out {
    Stdout(BufWriter<std::io::Stdout>),
    /// A terminal shows text only, cleaned; what it shows is not what is digested.
    Terminal {
        pending: Vec<u8>,
    },
    File {
        file: BufWriter<tempfile::NamedTempFile>,
        target: PathBuf,
    },
}

/// Bytes that have all arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// SHA-256, hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    file: Option<(tempfile::NamedTempFile, PathBuf)>,
}

/// Bytes that could not get their name. They are handed back, because they may not be to be had a second time.
#[derive(Debug)]
pub(crate) struct Unplaced {
    pub(crate) arrived: Arrived,
    pub(crate) failure: Failure,
}

impl From<Unplaced> for Failure {
    /// Lets the bytes go: for what can simply be made again.
    fn from(unplaced: Unplaced) -> Self {
        unplaced.failure
    }
}

/// Bytes of an earlier run that were set aside.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) path: PathBuf,
    /// SHA-256, hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

const BUFFER_BYTES: usize = 256 << 10;

impl Target {
    /// Reads `-o`, or makes up the default name.
    pub(crate) fn choose(given: Option<&Path>, name: Option<&str>, format: Format) -> Self {
        match given {
            Some(path) if path == Path::new("-") => Target::Stdout,
            Some(path) => Target::File(path.to_owned()),
            None => Target::File(PathBuf::from(format!("{}.{}", file_stem(name), format.as_str()))),
        }
    }

    /// Says now what would fail later, when a reviewer's time has been spent.
    ///
    /// # Errors
    /// When the file exists already, its folder does not, or a terminal cannot show the format.
    pub(crate) fn check(&self, force: bool, format: Format) -> Result<()> {
        match self {
            Target::Stdout if matches!(format, Format::Parquet | Format::Arrow) && std::io::stdout().is_terminal() => {
                Err(Failure::usage(format!("a terminal cannot show {}", format.as_str()))
                    .why("redirect standard output, or name a file")
                    .hint(format!("{} --format csv", typed_command())))
            }
            Target::Stdout => Ok(()),
            Target::File(path) => {
                let folder = folder_of(path);
                if !folder.is_dir() {
                    return Err(Failure::usage(format!("the folder `{}` does not exist", folder.display())));
                }
                if path.is_dir() {
                    return Err(Failure::usage(format!("`{}` is a folder", path.display())).why("name a file"));
                }
                if !force && path.symlink_metadata().is_ok() {
                    return Err(Failure::usage(format!("`{}` exists already", path.display()))
                        .why("it is overwritten only when told to; `-o` names another file")
                        .hint(format!("{} --force", typed_command())));
                }
                Ok(())
            }
        }
    }

    /// As [`Target::check`], for bytes that get a receipt beside them.
    ///
    /// # Errors
    /// As there, and when the receipt's file exists already.
    pub(crate) fn check_with_receipt(&self, force: bool, format: Format) -> Result<()> {
        self.check(force, format)?;
        let Target::File(path) = self else { return Ok(()) };
        let receipt = receipt_path(path);
        if receipt.is_dir() {
            return Err(
                Failure::usage(format!("`{}` is a folder", receipt.display())).why("the receipt has to go there; name another file")
            );
        }
        let receipts = receipts_folder(path);
        if receipts.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("`{}` exists already", receipts.display()))
                .why("a large result comes in chunks, and their receipts have to go there; `-o` names another file"));
        }
        if !force && receipt.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("`{}` exists already", receipt.display()))
                .why("it is the receipt of another delivery, overwritten only when told to; `-o` names another file")
                .hint(format!("{} --force", typed_command())));
        }
        Ok(())
    }

    /// Whether the bytes are shown to a person, who needs no other sign of progress.
    pub(crate) fn is_terminal(&self) -> bool {
        *self == Target::Stdout && std::io::stdout().is_terminal()
    }

    /// The target as it would be typed.
    pub(crate) fn typed(&self) -> String {
        match self {
            Target::Stdout => "-".into(),
            Target::File(path) => path.display().to_string(),
        }
    }
}

impl Sink {
    /// # Errors
    /// When the temporary file cannot be made.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let out = match target {
            Target::Stdout if std::io::stdout().is_terminal() => Out::Terminal { pending: Vec::new() },
            Target::Stdout => Out::Stdout(BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout())),
            Target::File(path) => {
                let folder = folder_of(path);
                // Readable by its owner only, from the start and after it got its name: it is governed data.
                let file = tempfile::Builder::new().prefix(".chunkctl-").suffix(".part").tempfile_in(folder);
                let file = file.map_err(|error| Failure::file("create a file in", folder, &error))?;
                Out::File {
                    file: BufWriter::with_capacity(BUFFER_BYTES, file),
                    target: path.clone(),
                }
            }
        };
        Ok(Self {
            digest: digest::Context::new(&digest::SHA256),
            bytes: 0,
            out,
        })
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<()> {
        self.digest.update(part);
        self.bytes += part.len() as u64;
        match &mut self.out {
            Out::Stdout(out) => out.write_all(part).map_err(|error| unwritten(None, &error)),
            Out::File { file, target } => file.write_all(part).map_err(|error| unwritten(Some(target), &error)),
            Out::Terminal { pending } => {
                pending.extend_from_slice(part);
                let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                let lines: Vec<u8> = pending.drain(..whole).collect();
                show(&lines)
            }
        }
    }

    /// All bytes have come: they are made durable, still without their name.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn finish(self) -> Result<Arrived> {
        let sha256 = hex::encode(self.digest.finish());
        let file = match self.out {
            Out::Stdout(mut out) => {
                out.flush().map_err(|error| unwritten(None, &error))?;
                None
            }
            Out::Terminal { pending } => {
                show(&pending)?;
                None
            }
            Out::File { file, target } => {
                let file = file.into_inner().map_err(|error| unwritten(Some(&target), error.error()))?;
                file.as_file().sync_all().map_err(|error| unwritten(Some(&target), &error))?;
                Some((file, target))
            }
        };
        Ok(Arrived {
            sha256,
            bytes: self.bytes,
            file,
        })
    }
}

impl Arrived {
    /// Gives the file its name.
    ///
    /// # Errors
    /// When somebody else made a file of that name meanwhile, unless forced. The bytes come back with the failure.
    pub(crate) fn place(self, force: bool) -> std::result::Result<(), Unplaced> {
        let Some((file, target)) = self.file else { return Ok(()) };
        let placed = if force {
            file.persist(&target)
        } else {
            file.persist_noclobber(&target)
        };
        match placed {
            Ok(_) => {
                make_name_durable(&target);
                Ok(())
            }
            Err(error) => Err(Unplaced {
                failure: Failure::file("name the file", &target, &error.error),
                arrived: Arrived {
                    file: Some((error.file, target)),
                    ..self
                },
            }),
        }
    }

    /// Keeps the bytes under a name that says that they are not confirmed yet, and of which request they are; gives that name.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(crate) fn set_aside(self, request: &str) -> Result<Option<PathBuf>> {
        let Some((file, target)) = self.file else { return Ok(None) };
        let aside = with_suffix(&target, &unverified(request));
        match file.persist(&aside) {
            Ok(_) => {
                make_name_durable(&aside);
                Ok(Some(aside))
            }
            // Where not even that name can be had, the temporary file stays under its own.
            Err(error) => {
                let failure = Failure::file("keep", &aside, &error.error);
                error.file.keep().map(|(_, path)| Some(path)).map_err(|_| failure)
            }
        }
    }
}

impl Aside {
    /// Finds the bytes of this request in the target's folder, whatever they were to be called when they came.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn find(target: &Path, request: &str) -> Result<Option<Self>> {
        let folder = folder_of(target);
        let unread = |error: std::io::Error| Failure::file("read", folder, &error);
        let end = unverified(request);
        for entry in std::fs::read_dir(folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && entry.file_name().to_string_lossy().ends_with(&end) {
                let path = entry.path();
                let (sha256, bytes) = sha256_of_file(&path).map_err(|error| Failure::file("read", &path, &error))?;
                return Ok(Some(Self { path, sha256, bytes }));
            }
        }
        Ok(None)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When there is a file of that name, unless forced; then the bytes stay where they are.
    pub(crate) fn place(&self, target: &Path, force: bool) -> Result<()> {
        let place = || {
            let mut aside = tempfile::TempPath::try_from_path(&self.path)?;
            aside.disable_cleanup(true);
            let placed = if force {
                aside.persist(target)
            } else {
                aside.persist_noclobber(target)
            };
            placed.map_err(|error| error.error)
        };
        place().map_err(|error| Failure::file("name the file", target, &error))?;
        make_name_durable(target);
        Ok(())
    }
}

/// A name is durable with its folder; not every file system can do this, and the bytes are safe without.
pub(crate) fn make_name_durable(path: &Path) {
    std::fs::File::open(folder_of(path)).and_then(|folder| folder.sync_all()).ok();
}

/// SHA-256 (hex) and size of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256_of_file(path: &Path) -> std::io::Result<(String, u64)> {
    sha256_of(std::fs::File::open(path)?)
}

/// SHA-256 (hex) and number of the bytes that follow.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn sha256_of(mut file: impl std::io::Read) -> std::io::Result<(String, u64)> {
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex::encode(digest.finish()), bytes));
        }
        digest.update(buffer.get(..n).unwrap_or_default());
        bytes += n as u64;
    }
}

/// `FILE.receipt`, beside the file.
pub(crate) fn receipt_path(file: &Path) -> PathBuf {
    with_suffix(file, ".receipt")
}

/// Where the receipts of a folder's files are: beside the folder, so that whoever opens the folder as one table finds nothing else in it.
pub(crate) fn receipts_folder(folder: &Path) -> PathBuf {
    with_suffix(folder, ".receipts")
}

/// The receipt of a file: beside it, or with the others of its folder.
pub(crate) fn receipt_of(file: &Path) -> PathBuf {
    let beside = receipt_path(file);
    let with_others = file
        .parent()
        .filter(|folder| folder.file_name().is_some())
        .zip(beside.file_name())
        .map(|(folder, name)| receipts_folder(folder).join(name));
    match with_others {
        Some(other) if beside.symlink_metadata().is_err() && other.symlink_metadata().is_ok() => other,
        _ => beside,
    }
}

/// How the name of a file ends whose bytes came whole but are not confirmed.
fn unverified(request: &str) -> String {
    format!(".{request}.unverified")
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A dataset's name as a file's: whatever could lead out of the folder, or hide the file, is not taken over.
fn file_stem(name: Option<&str>) -> &str {
    match name {
        Some(name)
            if !name.is_empty()
                && !name.starts_with(['.', '-'])
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) =>
        {
            name
        }
        _ => "result",
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// This very command, as it would be typed again.
fn typed_command() -> String {
    text::command(std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()))
}

/// Shows text on a terminal, whose escape sequences could come from the data.
fn show(bytes: &[u8]) -> Result<()> {
    let raw = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let mut out = std::io::stdout().lock();
    out.write_all(text::block(&raw).as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| unwritten(None, &error))
}

fn unwritten(target: Option<&Path>, error: &std::io::Error) -> Failure {
    let place = target.map_or_else(|| "standard output".to_owned(), |path| format!("`{}`", path.display()));
    Failure::cannot_tell("output", format!("cannot write to {place}")).why(crate::error::io_words(error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_dataset_cannot_choose_a_path() {
        let name = |name| Target::choose(None, Some(name), Format::Parquet).typed();
        assert_eq!(name("shop.orders"), "shop.orders.parquet");
        for bad in ["../../etc/passwd", "/etc/passwd", ".bashrc", "-o", "", "a b", "a\u{1b}[2J"] {
            assert_eq!(name(bad), "result.parquet", "{bad}");
        }
        assert_eq!(Target::choose(None, None, Format::Csv).typed(), "result.csv");
        assert_eq!(Target::choose(Some(Path::new("-")), Some("x"), Format::Csv), Target::Stdout);
    }

    #[test]
    fn bytes_get_their_name_last_and_leave_nothing_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        let target = Target::File(path.clone());
        target.check(false, Format::Csv).unwrap();
        let mut sink = Sink::open(&target).unwrap();
        sink.write(b"a,b\n").unwrap();
        drop(sink);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut sink = Sink::open(&target).unwrap();
        sink.write(b"a,").unwrap();
        sink.write(b"b\n").unwrap();
        let arrived = sink.finish().unwrap();
        assert!(!path.exists());
        assert_eq!(
            (arrived.bytes, arrived.sha256.as_str()),
            (4, crate::auth::keys::sha256_hex(b"a,b\n").as_str())
        );
        arrived.place(false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a,b\n");
        assert_eq!(sha256_of_file(&path).unwrap(), (crate::auth::keys::sha256_hex(b"a,b\n"), 4));
    }

    #[test]
    fn nothing_is_overwritten_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        std::fs::write(&path, "mine").unwrap();
        let target = Target::File(path.clone());
        assert!(target.check(false, Format::Csv).is_err());
        target.check(true, Format::Csv).unwrap();
        assert!(Sink::open(&target).unwrap().finish().unwrap().place(false).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        Sink::open(&target).unwrap().finish().unwrap().place(true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert!(Target::File(folder.path().join("no/such/x")).check(true, Format::Csv).is_err());
        assert!(Target::File(folder.path().to_owned()).check(true, Format::Csv).is_err());
    }

    #[test]
    fn nor_is_a_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::File(folder.path().join("orders.csv"));
        target.check_with_receipt(false, Format::Csv).unwrap();
        std::fs::write(folder.path().join("orders.csv.receipt"), "proof of something else").unwrap();
        let failure = target.check_with_receipt(false, Format::Csv).unwrap_err();
        assert!(failure.what.contains("orders.csv.receipt"), "{}", failure.what);
        target.check_with_receipt(true, Format::Csv).unwrap();
        target.check(false, Format::Csv).unwrap(); // a bundle has no receipt
    }

    #[test]
    fn bytes_that_cannot_be_named_are_kept_and_can_be_named_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        let mut sink = Sink::open(&Target::File(path.clone())).unwrap();
        sink.write(b"a,b\n").unwrap();
        std::fs::write(&path, "made meanwhile").unwrap();
        let unplaced = sink.finish().unwrap().place(false).unwrap_err();
        let aside = unplaced.arrived.set_aside("req_1").unwrap().unwrap();
        assert_eq!(std::fs::read(&aside).unwrap(), b"a,b\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"made meanwhile");

        assert!(Aside::find(&path, "req_2").unwrap().is_none());
        let other = folder.path().join("other.csv");
        let found = Aside::find(&other, "req_1").unwrap().unwrap();
        assert_eq!((found.bytes, &found.path), (4, &aside));
        assert!(found.place(&path, false).is_err());
        assert!(aside.exists(), "a failure takes nothing away");
        found.place(&other, false).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"a,b\n");
        assert!(!aside.exists());
    }
}

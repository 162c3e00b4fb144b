//! Where does the passphrase of the encrypted file come from?
//!
//! A file descriptor, a file named in the environment, or the terminal; never an argument or a variable, which other
//! processes can read. Asked for once a run.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// The sources, in order of preference, and what they gave.
pub(crate) struct Passphrase {
    fd: Option<u32>,
    file: Option<PathBuf>,
    known: RefCell<Option<SecretString>>,
}

impl Passphrase {
    pub(crate) fn new(fd: Option<u32>, file: Option<PathBuf>) -> Self {
        Self {
            fd,
            file,
            known: RefCell::new(None),
        }
    }

    /// Whether one can be had at all, so that this can be said before signing in.
    pub(crate) fn available(&self) -> bool {
        self.fd.is_some() || self.file.is_some() || std::io::stdin().is_terminal()
    }

    /// The passphrase of a file that exists.
    ///
    /// # Errors
    /// When no source gives one.
    pub(crate) fn get(&self) -> Result<SecretString> {
        self.ask(false)
    }

    /// The passphrase for a new file; typed twice on a terminal.
    ///
    /// # Errors
    /// When no source gives one.
    pub(crate) fn choose(&self) -> Result<SecretString> {
        self.ask(true)
    }

    /// Forgets what was given, because it was wrong.
    pub(crate) fn forget(&self) {
        self.known.replace(None);
    }

    fn ask(&self, twice: bool) -> Result<SecretString> {
        if let Some(known) = self.known.borrow().as_ref() {
            return Ok(known.clone());
        }
        let given = match (self.fd, &self.file) {
            (Some(fd), _) => read_line(&PathBuf::from(format!("/dev/fd/{fd}")))?,
            (None, Some(file)) => read_line(file)?,
            (None, None) if std::io::stdin().is_terminal() => prompt(twice)?,
            (None, None) => {
                return Err(
                    Failure::usage("the session is kept in an encrypted file, and there is no terminal to ask for its passphrase")
                        .why("give it by `--passphrase-fd N`, or name a file in CHUNKCTL_PASSPHRASE_FILE")
                        .hint("chunkctl whoami --passphrase-fd 3 3< PASSPHRASE-FILE"),
                );
            }
        };
        self.known.replace(Some(given.clone()));
        Ok(given)
    }
}

fn prompt(twice: bool) -> Result<SecretString> {
    let ask = |words: &str| {
        rpassword::prompt_password(words)
            .map(Zeroizing::new)
            .map_err(|error| Failure::usage("cannot read the passphrase from the terminal").why(crate::error::io_words(&error)))
    };
    let first = ask(if twice {
        "New passphrase for the session file: "
    } else {
        "Passphrase of the session file: "
    })?;
    if first.is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing").hint("chunkctl login"));
    }
    if twice && *ask("The same again: ")? != *first {
        return Err(Failure::usage("the two passphrases differ").hint("chunkctl login"));
    }
    Ok(SecretString::from(first.to_string()))
}

/// The first line of a file or pipe.
fn read_line(path: &std::path::Path) -> Result<SecretString> {
    const BYTES_MAX: u64 = 4096;
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(|error| Failure::file("read the passphrase from", path, &error))?;
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::file("read the passphrase from", path, &error))?;
    let line = SecretString::from(text.lines().next().unwrap_or_default().to_owned());
    if line.expose_secret().is_empty() {
        return Err(Failure::usage(format!("`{}` holds no passphrase", path.display())).why("its first line is empty"));
    }
    Ok(line)
}

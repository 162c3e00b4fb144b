//! The session in a file encrypted with a passphrase (age, scrypt), for machines without a keyring.
//!
//! The file is a plain age file: `age -d` opens it. One key derivation opens it and one seals it; nothing derived is kept, since
//! a cached key would be the plaintext file under another name.

use std::path::Path;

use age::secrecy::SecretString;
use zeroize::Zeroizing;

use crate::auth::passphrase::Passphrase;
use crate::error::{Failure, Result};

/// 2^15 · 8 · 128 B = 32 MiB a guess: a fraction of a second, which a person bears at every command.
const WORK_FACTOR_LOG2: u8 = 15;
/// A file that asks for more is not ours, and would stall the program.
const WORK_FACTOR_LOG2_MAX: u8 = 20;

/// # Errors
/// When the file cannot be read, or the passphrase is wrong.
pub(crate) fn open(path: &Path, passphrase: &Passphrase) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let sealed = match std::fs::read(path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    let mut identity = age::scrypt::Identity::new(passphrase.get()?);
    identity.set_max_work_factor(WORK_FACTOR_LOG2_MAX);
    match age::decrypt(&identity, &sealed) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(_) => {
            passphrase.forget();
            Err(Failure::sign_in("the session file could not be opened")
                .why(format!("the passphrase is wrong, or `{}` is damaged", path.display())))
        }
    }
}

/// # Errors
/// When there is no passphrase, or the file cannot be written.
pub(crate) fn seal(path: &Path, passphrase: &SecretString, bytes: &[u8]) -> Result<()> {
    let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(WORK_FACTOR_LOG2);
    let sealed = age::encrypt(&recipient, bytes).map_err(|_| Failure::bug("the session could not be encrypted"))?;
    crate::config::write_private(path, &sealed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn passphrase(folder: &Path, text: &str) -> Passphrase {
        let file = folder.join(text);
        std::fs::write(&file, format!("{text}\nsecond line\n")).unwrap();
        Passphrase::new(None, Some(file))
    }

    #[test]
    fn only_the_passphrase_opens_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slot.age");
        let right = passphrase(folder.path(), "right");
        assert!(open(&path, &right).unwrap().is_none());
        seal(&path, &right.choose().unwrap(), b"the tokens").unwrap();
        assert_eq!(open(&path, &right).unwrap().unwrap().as_slice(), b"the tokens");
        assert!(!std::fs::read(&path).unwrap().windows(6).any(|bytes| bytes == b"tokens"));
        assert_eq!(
            open(&path, &passphrase(folder.path(), "wrong")).unwrap_err().exit,
            crate::error::Exit::SignIn
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_passphrase_file_must_hold_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Passphrase::new(None, Some(folder.path().join("none"))).get().is_err());
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        assert!(Passphrase::new(None, Some(folder.path().join("empty"))).get().is_err());
    }
}

//! Where does a session rest between two commands, and does that place work?
//!
//! One slot per broker and profile. The place is tried before anybody signs in, because a token that cannot be kept is a
//! sign-in for nothing, and a fall-back to plaintext must never happen by itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::credentials::Credentials;
use crate::auth::keyring::{self, Store};
use crate::auth::passphrase::Passphrase;
use crate::auth::{keys, sealed, tmpfs};
use crate::error::{Failure, Result};
use crate::{figures, lock};

/// A place for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Storage {
    /// The desktop's keyring.
    Keyring,
    /// The Linux kernel's keyring.
    Keyutils,
    /// A file encrypted with a passphrase.
    File,
    /// Nothing is kept: every command signs in for itself.
    Memory,
    /// A file that only its owner may read.
    Plaintext,
    /// A file in the machine's memory: a CI job's session.
    Tmpfs,
}

impl Storage {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Storage::Keyring => "keyring",
            Storage::Keyutils => "keyutils",
            Storage::File => "file",
            Storage::Memory => "memory",
            Storage::Plaintext => "plaintext",
            Storage::Tmpfs => "tmpfs",
        }
    }

    /// The place in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Storage::Keyring => "the system's keyring",
            Storage::Keyutils => "the kernel's keyring",
            Storage::File => "a file encrypted with your passphrase",
            Storage::Memory => "memory only",
            Storage::Plaintext => "a plaintext file (mode 0600)",
            Storage::Tmpfs => "a file in this machine's memory (tmpfs)",
        }
    }
}

/// The slot of one broker and profile, in one place.
pub(crate) struct Vault<'a> {
    pub(crate) storage: Storage,
    broker: String,
    profile: String,
    state: &'a Path,
    passphrase: &'a Passphrase,
}

impl<'a> Vault<'a> {
    pub(crate) fn new(storage: Storage, broker: &str, profile: &str, state: &'a Path, passphrase: &'a Passphrase) -> Self {
        Self {
            storage,
            broker: broker.to_owned(),
            profile: profile.to_owned(),
            state,
            passphrase,
        }
    }

    /// Tries the place without leaving anything in it.
    ///
    /// # Errors
    /// Says what was found, and what else could be chosen.
    pub(crate) fn probe(&self) -> Result<()> {
        match self.storage {
            Storage::Keyring => keyring::probe(Store::Keyring).map_err(|why| self.unusable(&why)),
            Storage::Keyutils => keyring::probe(Store::Keyutils).map_err(|why| self.unusable(&why)),
            Storage::File => {
                crate::config::private_folder(&self.folder())?;
                self.passphrase.choose().map(|_| ())
            }
            Storage::Plaintext => crate::config::private_folder(&self.folder()),
            Storage::Tmpfs => tmpfs::folder().map(drop),
            Storage::Memory => Ok(()),
        }
    }

    /// # Errors
    /// When the place cannot be read.
    pub(crate) fn load(&self) -> Result<Option<Credentials>> {
        let bytes = match self.storage {
            Storage::Keyring => keyring::load(Store::Keyring, &self.slot()).map_err(|why| self.unusable(&why))?,
            Storage::Keyutils => keyring::load(Store::Keyutils, &self.slot()).map_err(|why| self.unusable(&why))?,
            Storage::File => sealed::open(&self.file(), self.passphrase)?,
            Storage::Plaintext => read_plaintext(&self.file())?,
            Storage::Tmpfs => tmpfs::load(&tmpfs::folder()?, &self.name(), figures::now_ms())?,
            Storage::Memory => None,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let credentials = Credentials::from_bytes(&bytes)?;
        // The slot's name says which broker; a file moved between slots must not send one broker's tokens to another.
        if credentials.broker != self.broker {
            return Err(Failure::sign_in("the kept session belongs to another broker").why(format!("it is of {}", credentials.broker)));
        }
        Ok(Some(credentials))
    }

    /// # Errors
    /// When the place cannot be written.
    pub(crate) fn save(&self, credentials: &Credentials) -> Result<()> {
        let bytes = credentials.to_bytes()?;
        match self.storage {
            Storage::Keyring => keyring::save(Store::Keyring, &self.slot(), &bytes).map_err(|why| self.unusable(&why)),
            Storage::Keyutils => keyring::save(Store::Keyutils, &self.slot(), &bytes).map_err(|why| self.unusable(&why)),
            Storage::File => sealed::seal(&self.file(), &self.passphrase.get()?, &bytes),
            Storage::Plaintext => crate::config::write_private(&self.file(), &bytes),
            Storage::Tmpfs => tmpfs::save(&tmpfs::folder()?, &self.name(), &bytes, credentials.session_expires_ms),
            Storage::Memory => Ok(()),
        }
    }

    /// # Errors
    /// When the place cannot be emptied.
    pub(crate) fn delete(&self) -> Result<()> {
        match self.storage {
            Storage::Keyring => keyring::delete(Store::Keyring, &self.slot()).map_err(|why| self.unusable(&why)),
            Storage::Keyutils => keyring::delete(Store::Keyutils, &self.slot()).map_err(|why| self.unusable(&why)),
            Storage::File | Storage::Plaintext => match std::fs::remove_file(self.file()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file("remove", &self.file(), &error)),
                _ => Ok(()),
            },
            Storage::Tmpfs => tmpfs::delete(&tmpfs::folder()?, &self.name()),
            Storage::Memory => Ok(()),
        }
    }

    /// Keeps two commands of one person from refreshing at once: the refresh token is good for one of them.
    ///
    /// # Errors
    /// When the lock file cannot be made, or another command holds it for too long.
    pub(crate) async fn lock(&self) -> Result<std::fs::File> {
        let folder = self.state.join("locks");
        crate::config::private_folder(&folder)?;
        lock::hold(&folder.join(format!("{}.lock", self.name()))).await
    }

    /// Name of the slot in a keyring.
    fn slot(&self) -> String {
        format!("{} {}", self.profile, self.broker)
    }

    /// Name of the slot in a folder: a digest, since profiles and addresses are not file names.
    fn name(&self) -> String {
        keys::sha256_hex(self.slot().as_bytes()).chars().take(24).collect()
    }

    fn folder(&self) -> PathBuf {
        self.state.join("credentials")
    }

    fn file(&self) -> PathBuf {
        self.folder().join(format!(
            "{}.{}",
            self.name(),
            if self.storage == Storage::File { "age" } else { "json" }
        ))
    }

    fn unusable(&self, why: &str) -> Failure {
        let other = if self.storage == Storage::Keyring { "file" } else { "keyring" };
        Failure::usage(format!("{} cannot be used", self.storage.words()))
            .why(why)
            .hint(format!("chunkctl login --storage {other}"))
    }
}

/// Reads a plaintext file, unless others could have read it too.
pub(super) fn read_plaintext(path: &Path) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(Failure::sign_in("the session file is readable by others").why(format!(
                "`{}` has mode {:o}; the session in it may have been copied",
                path.display(),
                metadata.mode() & 0o777
            )));
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_wire::id::SessionId;
    use chunk_wire::session::{Person, SessionTokens};

    use super::*;

    fn credentials(broker: &str) -> Credentials {
        let person = Person {
            issuer: "https://i".into(),
            subject: "s".into(),
            name: "Ada".into(),
            email: None,
            groups: vec![],
            workload: None,
        };
        let tokens = SessionTokens {
            session: SessionId::from_random([1; 10]),
            access_token: "access-canary".into(),
            access_expires_ms: 1,
            refresh_token: "refresh-canary".into(),
            session_expires_ms: 2,
            person,
        };
        Credentials::new(broker, &[7; 32], tokens, "origin", "key")
    }

    #[test]
    fn a_session_is_kept_per_broker_and_profile() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pass"), "secret").unwrap();
        let passphrase = Passphrase::new(None, Some(folder.path().join("pass")));
        for storage in [Storage::File, Storage::Plaintext] {
            let vault = Vault::new(storage, "https://a", "default", folder.path(), &passphrase);
            vault.probe().unwrap();
            assert!(vault.load().unwrap().is_none());
            vault.save(&credentials("https://a")).unwrap();
            let read = vault.load().unwrap().unwrap();
            assert_eq!(read.access_token, "access-canary");
            assert_eq!(read.key().unwrap().thumbprint(), Key::from_seed(&[7; 32]).unwrap().thumbprint());
            for (broker, profile) in [("https://b", "default"), ("https://a", "other")] {
                assert!(
                    Vault::new(storage, broker, profile, folder.path(), &passphrase)
                        .load()
                        .unwrap()
                        .is_none()
                );
            }
            vault.delete().unwrap();
            vault.delete().unwrap();
            assert!(vault.load().unwrap().is_none());
        }
    }

    #[test]
    fn a_session_never_goes_to_another_broker() {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new(None, None);
        let vault = Vault::new(Storage::Plaintext, "https://a", "default", folder.path(), &passphrase);
        vault.save(&credentials("https://evil")).unwrap();
        assert!(vault.load().is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new(None, None);
        let vault = Vault::new(Storage::Plaintext, "https://a", "default", folder.path(), &passphrase);
        vault.save(&credentials("https://a")).unwrap();
        std::fs::set_permissions(vault.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(vault.load().is_err());
    }

    #[test]
    fn an_encrypted_file_holds_no_token_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pass"), "secret").unwrap();
        let passphrase = Passphrase::new(None, Some(folder.path().join("pass")));
        let vault = Vault::new(Storage::File, "https://a", "default", folder.path(), &passphrase);
        vault.save(&credentials("https://a")).unwrap();
        let bytes = std::fs::read(vault.file()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }

    use crate::auth::keys::Key;
}

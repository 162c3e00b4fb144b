//! The operating system's keyring, within a time limit.
//!
//! A keyring may be absent, locked, or behind a message bus that never answers. Each call runs on a thread of its own and is
//! waited for so long and no longer; a thread that hangs is left behind, and ends with the program.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

/// Finding the keyring is a call or two on a local socket.
const FIND_TIMEOUT: Duration = Duration::from_secs(3);
/// With a screen, the keyring may ask its owner to unlock it.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(60);
const SERVICE: &str = "chunkctl";

/// Which of the system's stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// The desktop's keyring.
    Keyring,
    /// The Linux kernel's keyring.
    Keyutils,
}

/// Why it cannot be used, in words for people.
pub(crate) type Unusable = String;

/// Reads a slot.
pub(crate) fn load(store: Store, slot: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Unusable> {
    in_time(store, slot, |entry| match entry.get_secret() {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    })
}

/// Writes a slot.
pub(crate) fn save(store: Store, slot: &str, secret: &[u8]) -> Result<(), Unusable> {
    let secret = Zeroizing::new(secret.to_vec());
    in_time(store, slot, move |entry| entry.set_secret(&secret))
}

/// Empties a slot.
pub(crate) fn delete(store: Store, slot: &str) -> Result<(), Unusable> {
    in_time(store, slot, |entry| match entry.delete_credential() {
        Err(Error::NoEntry) => Ok(()),
        other => other,
    })
}

/// Whether a secret can be kept and read back, tried with one that means nothing.
pub(crate) fn probe(store: Store) -> Result<(), Unusable> {
    in_time(store, "probe", |entry| {
        let mut stamp = [0_u8; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut stamp)
            .map_err(|_| Error::NotSupportedByStore("no randomness".into()))?;
        entry.set_secret(&stamp)?;
        let read = entry.get_secret()?;
        entry.delete_credential()?;
        if read == stamp {
            Ok(())
        } else {
            Err(Error::BadStoreFormat("it gave back another secret".into()))
        }
    })
}

fn in_time<T: Send + 'static>(
    store: Store,
    slot: &str,
    work: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
) -> Result<T, Unusable> {
    enum Step<T> {
        Found,
        Done(keyring_core::Result<T>),
    }
    let (sender, receiver) = mpsc::channel();
    let slot = slot.to_owned();
    let thread = std::thread::Builder::new().name("keyring".into()).spawn(move || {
        let done = connect(store).and_then(|found| {
            sender.send(Step::Found).ok();
            work(&found.build(SERVICE, &slot, None)?)
        });
        sender.send(Step::Done(done)).ok();
    });
    if thread.is_err() {
        return Err("no thread could be started".into());
    }
    let hung = |limit: Duration, what: &str| format!("{what} within {} seconds", limit.as_secs());
    let first = receiver
        .recv_timeout(FIND_TIMEOUT)
        .map_err(|_| hung(FIND_TIMEOUT, "it did not answer"))?;
    let outcome = match first {
        Step::Done(outcome) => outcome,
        Step::Found => {
            let limit = if has_screen() { UNLOCK_TIMEOUT } else { FIND_TIMEOUT };
            match receiver.recv_timeout(limit) {
                Ok(Step::Done(outcome)) => outcome,
                _ => return Err(hung(limit, "it is there, but neither gave nor refused access")),
            }
        }
    };
    outcome.map_err(|error| words(&error))
}

fn has_screen() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(target_os = "linux")]
fn connect(store: Store) -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(match store {
        Store::Keyring => zbus_secret_service_keyring_store::Store::new()?,
        Store::Keyutils => linux_keyutils_keyring_store::Store::new()?,
    })
}

#[cfg(not(target_os = "linux"))]
fn connect(_store: Store) -> keyring_core::Result<Arc<CredentialStore>> {
    Err(Error::NotSupportedByStore(
        "this build knows no keyring of this operating system".into(),
    ))
}

/// The store's own error, without secrets: the variants that carry stored bytes are named, not shown.
fn words(error: &Error) -> String {
    match error {
        Error::PlatformFailure(cause) => format!("it cannot be reached ({cause})"),
        Error::NoStorageAccess(cause) => format!("it is locked or refuses access ({cause})"),
        Error::NoEntry => "it holds no such entry".into(),
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "what it holds cannot be read".into(),
        Error::TooLong(..) => "the session is too large for it".into(),
        other => other.to_string(),
    }
}

//! The witness's private key, in the text form of signed notes: `PRIVATE+KEY+<name>+<id>+<base64(0x04 || seed)>`.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::cosignature::{WitnessKey, cosign};
use chunk_evidence::dsse::public_key;
use chunk_evidence::note::NoteError;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use crate::error::{Failure, Result};

const PREFIX: &str = "PRIVATE+KEY+";
const ALGORITHM_COSIGNATURE: u8 = 4;
const KEY_BYTES_MAX: u64 = 4096;

/// Signs as one witness.
pub(crate) struct WitnessSigner {
    pair: Ed25519KeyPair,
    verifier: WitnessKey,
}

impl WitnessSigner {
    fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Failure::bug("a seed makes no key"))?;
        let verifier = WitnessKey::new(name, public_key(&pair)).map_err(|_| {
            Failure::usage(format!("`{name}` cannot name a witness"))
                .why("a name is a URL without its scheme, such as `witness.example.com/security`, without spaces and plus signs")
                .hint("chunkctl witness keygen --help")
        })?;
        Ok(Self { pair, verifier })
    }

    /// The text form of the private key.
    fn to_text(&self, seed: &[u8; 32]) -> Zeroizing<String> {
        let secret = Zeroizing::new([&[ALGORITHM_COSIGNATURE], seed.as_slice()].concat());
        let secret = Zeroizing::new(STANDARD.encode(secret.as_slice()));
        let public = self.verifier.to_text();
        // Base64 may hold a plus sign of its own, a name and an id never do.
        let mut parts = public.splitn(3, '+');
        let (name, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Zeroizing::new(format!("{PREFIX}{name}+{id}+{}\n", secret.as_str()))
    }

    /// Makes a key and writes it to a file that must not exist.
    ///
    /// # Errors
    /// When the name cannot name a witness, or the file exists or cannot be written.
    pub(crate) fn make(name: &str, path: &Path) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(seed.as_mut())
            .map_err(|_| Failure::cannot_tell("system", "the system gives no random numbers"))?;
        let signer = Self::from_seed(name, &seed)?;
        let text = signer.to_text(&seed);
        let write = || {
            let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| Failure::file("make", path, &error))?;
        Ok(signer)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it holds no witness's key.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        use std::io::Read as _;
        let failed = |error| Failure::file("read", path, &error).hint("chunkctl witness keygen --help");
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode();
        if mode & 0o077 != 0 {
            return Err(Failure::usage(format!("others may read the key `{}`", path.display()))
                .why(format!(
                    "its mode is {:03o}; whoever reads it can vouch in this witness's name",
                    mode & 0o777
                ))
                .why(format!(
                    "run `chmod 600 {}`, or make a new key if somebody else may have read it",
                    path.display()
                )));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        parse(&text).ok_or_else(|| {
            Failure::usage(format!("`{}` holds no witness's key", path.display()))
                .why("a key is one line, `PRIVATE+KEY+name+id+…`, of the kind for cosignatures")
                .hint("chunkctl witness keygen --help")
        })
    }

    /// The public key.
    pub(crate) fn verifier(&self) -> &WitnessKey {
        &self.verifier
    }

    /// Vouches for the text of a checkpoint.
    ///
    /// # Errors
    /// When the text is none, or the time is none.
    pub(crate) fn cosign(&self, text: &str, time_s: u64) -> std::result::Result<String, NoteError> {
        cosign(text, self.verifier.name(), &self.pair, time_s)
    }
}

fn parse(text: &str) -> Option<WitnessSigner> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let (named, secret) = line.strip_prefix(PREFIX)?.split_once('+').and_then(|(name, rest)| {
        let (id, secret) = rest.split_once('+')?;
        Some(((name, id), secret))
    })?;
    let secret = Zeroizing::new(STANDARD.decode(secret).ok()?);
    let (algorithm, seed) = secret.split_first()?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().ok()?);
    let signer = WitnessSigner::from_seed(named.0, &seed).ok()?;
    let belongs = signer.verifier.to_text().starts_with(&format!("{}+{}+", named.0, named.1));
    (*algorithm == ALGORITHM_COSIGNATURE && belongs).then_some(signer)
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::error::Exit;

    /// A witness of tests.
    pub(crate) fn signer(name: &str, seed: u8) -> WitnessSigner {
        WitnessSigner::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_key_reads_back_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.key");
        let made = WitnessSigner::make("witness.example/w1", &path).unwrap();
        assert_eq!(WitnessSigner::read(&path).unwrap().verifier(), made.verifier());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // A key is never written over another.
        assert!(WitnessSigner::make("witness.example/w1", &path).is_err());
        assert_eq!(WitnessSigner::read(&path).unwrap().verifier(), made.verifier());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = WitnessSigner::read(&path).err().unwrap();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.what.contains("others may read"), "{refused:?}");
    }

    #[test]
    fn names_that_cannot_stand_in_a_signature_line_are_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "a b", "a+b", "a\nb"] {
            assert!(WitnessSigner::make(name, &folder.path().join("k")).is_err(), "{name:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_witness_key_is_refused_without_being_shown() {
        for seed in 0..=255 {
            let text = signer("w", seed).to_text(&[seed; 32]);
            assert_eq!(parse(&text).unwrap().verifier(), signer("w", seed).verifier(), "{}", text.as_str());
        }
        let good = signer("w", 7).to_text(&[7; 32]).trim_end().to_owned();
        let log_key = good.replace(
            &STANDARD.encode([&[4][..], &[7; 32]].concat()),
            &STANDARD.encode([&[1][..], &[7; 32]].concat()),
        );
        for bad in [
            "",
            "PRIVATE+KEY+",
            "PRIVATE+KEY+w+00000000+AAAA",
            &log_key,
            &good.replace("+w+", "+v+"),
            &format!("{good}\n\n"),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        std::fs::write(&path, "my secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!format!("{:?}", WitnessSigner::read(&path).err().unwrap()).contains("my secret"));
    }
}

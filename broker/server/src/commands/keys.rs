//! Keys and sealed credentials, made at the command line.

use std::io::Read;
use std::path::Path;

use chunk_log::LogSigner;
use zeroize::Zeroizing;

use super::{print, tell};
use crate::args::KeyKind;
use crate::config::{self, Env};
use crate::data_dir::write_private;
use crate::error::CommandError;
use crate::secrets::master::MasterKey;
use crate::secrets::sealed;

/// A credential larger than this is another thing.
const CREDENTIAL_BYTES_MAX: u64 = 4096;

/// Makes a key and prints it, or writes it to a new file that only its owner may read.
///
/// # Errors
/// When there is no randomness, no master key to seal under, or the file exists.
pub fn keygen(kind: KeyKind, output: Option<&Path>, env: &Env) -> Result<(), CommandError> {
    let text = match kind {
        KeyKind::Master => MasterKey::generate().map_err(CommandError::unavailable)?.encode(),
        KeyKind::Log => {
            let master = MasterKey::from_env(env)
                .and_then(|key| key.ok_or_else(|| format!("set {} or {}", config::env::MASTER_KEY, config::env::MASTER_KEY_FILE)));
            let master = master.map_err(|why| CommandError::config("A log key is sealed under the master key.").because(why))?;
            let key = LogSigner::generate_pkcs8().map_err(|e| CommandError::unavailable("The key could not be made.").because(e))?;
            let sealed = sealed::seal(&master, sealed::LOG_KEY, &key);
            Zeroizing::new(sealed.map_err(|why| CommandError::unavailable("The key could not be sealed.").because(why))?)
        }
    };
    let text = Zeroizing::new(format!("{}\n", text.as_str()));
    match output {
        None => print(&text),
        Some(path) => {
            write_private(path, &text)
                .map_err(|e| CommandError::refused(format!("{} was not written.", path.display())).because(e.kind()))?;
            tell(&format!("Wrote {}; only its owner may read it.", path.display()));
            Ok(())
        }
    }
}

/// Reads a credential from standard input and prints the line for broker.toml.
///
/// # Errors
/// When there is no master key, or nothing to seal.
pub fn seal(file: Option<&Path>, env: &Env) -> Result<(), CommandError> {
    print(&sealed_line(file, env, std::io::stdin().lock())?)
}

fn sealed_line(file: Option<&Path>, env: &Env, input: impl Read) -> Result<String, CommandError> {
    let configured = match file {
        Some(file) => {
            config::load(file)
                .map_err(|faults| CommandError::config(faults.to_string()).next("chunk-broker check"))?
                .broker
                .master_key_file
        }
        None => None,
    };
    let master = MasterKey::load(env, configured.as_deref()).map_err(|why| {
        CommandError::config("The master key cannot be read.")
            .because(why)
            .next("chunk-broker seal --config broker.toml")
    })?;
    // Sized up front: a growing buffer would leave copies behind that nobody wipes.
    let mut secret = Zeroizing::new(Vec::with_capacity(4096 + 1));
    input
        .take(CREDENTIAL_BYTES_MAX + 1)
        .read_to_end(&mut secret)
        .map_err(|e| CommandError::unavailable("Standard input cannot be read.").because(e))?;
    while secret.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        secret.pop();
    }
    if secret.is_empty() || secret.len() as u64 > CREDENTIAL_BYTES_MAX || std::str::from_utf8(&secret).is_err() {
        return Err(CommandError::config("There is no credential on standard input.")
            .because("expected one line of text, at most 4096 bytes")
            .next("chunk-broker seal --config broker.toml < password.txt"));
    }
    let sealed = sealed::seal(&master, sealed::CREDENTIAL, &secret).map_err(CommandError::unavailable)?;
    Ok(format!("password = {{ sealed = \"{sealed}\" }}\n"))
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_port::Secrets as _;

    use super::*;
    use crate::secrets::Credentials;
    use crate::serve::tests::installation;

    /// What `seal` prints for this credential.
    pub(in crate::commands) fn sealed(config: &Path, credential: &str) -> String {
        sealed_line(Some(config), &Env::of(&[]), credential.as_bytes()).unwrap()
    }

    #[test]
    fn the_line_that_seal_prints_is_a_password_in_broker_toml_and_does_not_show_it() {
        let home = tempfile::tempdir().unwrap();
        drop(installation(&home.path().join("b"), false));
        let file = home.path().join("b/broker.toml");
        let env = Env::of(&[]);
        let line = sealed_line(Some(&file), &env, &b"correct horse\r\n"[..]).unwrap();
        assert!(!line.contains("correct horse"), "{line}");

        let text = std::fs::read_to_string(&file).unwrap();
        let connection =
            format!("\n[connections.w]\nkind = \"postgres\"\nhost = \"db.example.com\"\ndatabase = \"d\"\nuser = \"u\"\n{line}");
        std::fs::write(&file, text + &connection).unwrap();
        let config = config::load(&file).unwrap();
        let master = MasterKey::load(&env, config.broker.master_key_file.as_deref()).unwrap();
        let credentials = Credentials::new(&config.connections, env, master);
        assert_eq!(credentials.password("w").unwrap().as_str(), "correct horse");
    }

    #[test]
    fn nothing_too_much_or_no_text_is_not_sealed() {
        let key = MasterKey::generate().unwrap();
        let env = Env::of(&[(config::env::MASTER_KEY, key.encode().as_str())]);
        let long = "x".repeat(4097);
        for bad in [&b""[..], b"\n", long.as_bytes(), b"\xff\xfe"] {
            let refused = sealed_line(None, &env, bad).unwrap_err();
            assert_eq!(refused.exit(), 3, "{refused}");
        }
        sealed_line(None, &env, "x".repeat(4096).as_bytes()).unwrap();
        let keyless = sealed_line(None, &Env::of(&[]), &b"x"[..]).unwrap_err();
        assert!(keyless.to_string().contains(config::env::MASTER_KEY), "{keyless}");
    }
}

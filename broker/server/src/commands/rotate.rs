//! Replaces the log's key: one command makes the new one, so that others can learn it, a second records that it takes the old one's place.

use std::path::Path;
use std::sync::Arc;

use chunk_core::rotate::{RotateParts, Rotated};

use super::{print, tell};
use crate::config::{self, Config, Env};
use crate::data_dir;
use crate::error::{CommandError, chain};
use crate::ports::Ports;
use crate::secrets::master::MasterKey;
use crate::serve::install_crypto;
use crate::witness;

/// Makes the new key, unless one is prepared already, and prints its verifier key.
///
/// # Errors
/// When the data folder cannot be used.
pub fn prepare(file: &Path, env: &Env) -> Result<(), CommandError> {
    let (config, master) = load(file, env)?;
    let (old, new) = data_dir::prepare_key(&config.broker.data_dir, &master)?;
    tell("This key is prepared to take the place of the log's:");
    print(&format!("{}\n", new.vkey()))?;
    if let Some(asked) = &config.witness {
        tell("First have each witness started with both keys, and the broker's key stay the first until it is replaced:");
        tell(&format!("  chunkctl witness serve … --log '{}' --log '{}'", old.vkey(), new.vkey()));
        for place in &asked.places {
            tell(&format!("  {} at {}", place.name, place.url));
        }
    }
    tell("next: stop the broker, then `chunk-broker key rotate`");
    Ok(())
}

/// Records that the prepared key takes the place of the log's.
///
/// # Errors
/// When none is prepared, a broker runs, a witness would not follow, or the log cannot be written.
pub async fn rotate(file: &Path, ports: &Ports, env: &Env) -> Result<(), CommandError> {
    install_crypto();
    let (config, master) = load(file, env)?;
    let folder = &config.broker.data_dir;
    let data = data_dir::open(folder, &master)?;
    let Some(successor) = data.successor else {
        return Err(
            CommandError::config("No key is prepared to take the place of the log's; nothing was changed.")
                .because(format!("the log's key is {}", data.signer.vkey()))
                .next("chunk-broker key prepare"),
        );
    };
    let asked = config
        .witness
        .as_ref()
        .map(|asked| witness::witnessing(asked, folder))
        .transpose()?;
    let (from, to) = (data.signer.vkey(), successor.vkey());
    let parts = RotateParts {
        clock: Arc::clone(&ports.clock),
        journal: Box::new(data.journal),
        data_keys: data.data_keys,
        signer: data.signer,
        successor,
        witness: asked,
    };
    let rotated = chunk_core::rotate::rotate(parts).await.map_err(|fault| {
        let failed = CommandError::unavailable("The log's key was not replaced.").because(chain(&fault));
        match fault.hint {
            Some(next) => failed.next(next),
            None => failed,
        }
    })?;
    data_dir::settle_key(folder)?;
    tell(&match rotated {
        Rotated::Now(index) => format!("The log's key was replaced: entry #{index} says so, signed by both."),
        Rotated::Before => "The log said already that its key was replaced; the key's file does now too.".to_owned(),
    });
    tell(&format!("  before: {from}"));
    tell("  from here on:");
    print(&format!("{to}\n"))?;
    tell("next: start the broker; then have its witnesses started with the new key alone");
    Ok(())
}

fn load(file: &Path, env: &Env) -> Result<(Config, MasterKey), CommandError> {
    let config = config::load(file).map_err(|faults| CommandError::config(faults.to_string()).next("chunk-broker check"))?;
    let master = MasterKey::load(env, config.broker.master_key_file.as_deref()).map_err(|why| {
        CommandError::config("The master key cannot be read.")
            .because(why)
            .next("chunk-broker check")
    })?;
    Ok((config, master))
}

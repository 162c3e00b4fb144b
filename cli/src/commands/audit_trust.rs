//! `chunkctl audit trust init`: the auditor's own file, from which every belief comes.
//!
//! The key in it is worth what its way to the auditor was worth: the file says so, and the fingerprint is shown for comparing.

use std::path::PathBuf;

use chunk_evidence::note::VerifierKey;
use chunk_wire::session::BrokerInfo;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::client::{Proof, read_bytes};
use crate::config::PinnedLog;
use crate::context::{Context, block_on};
use crate::error::{Failure, Result};
use crate::figures;
use crate::memory::Memory;
use crate::sink::{Sink, Target};

/// Arguments of `audit trust`.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Write a trust file for the broker's log, to be completed by hand.
    Init {
        /// File to write.
        #[arg(short, long, value_name = "PATH", default_value = "trust.toml")]
        output: PathBuf,
        /// Who vouches for the keys that reviewers sign with.
        #[arg(long, value_enum, default_value_t = Vouching::Session)]
        reviewer_keys: Vouching,
        /// Overwrite the file.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Vouching {
    /// The log's own sign-in entries, that is, the operator
    Session,
    /// Only the keys listed in the file
    Pinned,
}

#[derive(Serialize)]
struct Written<'a> {
    path: String,
    origin: &'a str,
    log_key: &'a str,
}

pub(crate) fn run(cx: &Context<'_>, args: &TrustArgs) -> Result<()> {
    let TrustCommand::Init {
        output,
        reviewer_keys,
        force,
    } = &args.command;
    let target = Target::File(output.clone());
    target.check(*force, chunk_wire::fetch::Format::Csv)?;
    let (log, pinned) = match cx.pinned_log() {
        Some(log) => (log.clone(), true),
        None => (block_on(ask(cx))?, false),
    };
    let key = VerifierKey::parse(&log.key).ok().filter(|key| key.name() == log.origin);
    let key = key.ok_or_else(|| Failure::cannot_tell("log_key", "the broker's log key is none"))?;
    let memory = Memory::new(&cx.paths.state, &key);
    let last = memory.recall()?;
    let text = file(
        &log,
        *reviewer_keys,
        last.as_ref().map(chunk_evidence::checkpoint::SignedCheckpoint::text),
    )?;
    let mut sink = Sink::open(&target)?;
    sink.write(text.as_bytes())?;
    sink.finish()?.place(*force)?;
    if let Some(last) = &last {
        memory.hand_out(last.unverified().size)?;
    }
    cx.ui.event(
        "audit.trust",
        &Written {
            path: output.display().to_string(),
            origin: &log.origin,
            log_key: &log.key,
        },
    )?;
    cx.ui.say(&format!("Wrote `{}`. It trusts this log key:", output.display()));
    cx.ui.say(&format!("    {}", log.key));
    if pinned {
        cx.ui.say(
            "It is the key pinned at the first sign-in. Compare it with what the operator published, by a way that is not this broker.",
        );
    } else {
        cx.ui.warn(
            "the broker itself just named this key; compare it with what the operator published by another way before you rely on it",
        );
    }
    if *reviewer_keys == Vouching::Session {
        cx.ui.say("It believes the operator about whose the reviewers' keys are. To believe the reviewers themselves, pin their keys in the file.");
    }
    Ok(())
}

/// The key as the broker names it: a first meeting.
async fn ask(cx: &Context<'_>) -> Result<PinnedLog> {
    let broker = cx.broker()?;
    let info: BrokerInfo = broker.json(&broker.get(&["v1", "info"]), Proof::None).await?;
    // That the key really signs the broker's checkpoints is the least that can be checked.
    let key = VerifierKey::parse(&info.log_key).map_err(|_| Failure::cannot_tell("log_key", "the broker's log key is none"))?;
    let checkpoint = read_bytes(broker.send(&broker.get(&["checkpoint"]).stream("text/plain"), Proof::None).await?).await?;
    let text = String::from_utf8(checkpoint).unwrap_or_default();
    let signed = chunk_evidence::checkpoint::SignedCheckpoint::parse(&text)
        .ok()
        .filter(|signed| signed.verify(std::slice::from_ref(&key)).is_ok());
    if signed.is_none() {
        return Err(Failure::no("log_key", "the broker's checkpoint is not signed by the key it names"));
    }
    Ok(PinnedLog {
        origin: info.origin,
        key: info.log_key,
        pinned_ms: figures::now_ms(),
        earlier: Vec::new(),
    })
}

fn file(log: &PinnedLog, vouching: Vouching, last_checkpoint: Option<&str>) -> Result<String> {
    #[derive(Serialize)]
    struct Trust<'a> {
        origin: &'a str,
        log_keys: [&'a str; 1],
        reviewer_keys: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_checkpoint: Option<&'a str>,
    }
    let trust = Trust {
        origin: &log.origin,
        log_keys: [&log.key],
        reviewer_keys: match vouching {
            Vouching::Session => "session",
            Vouching::Pinned => "pinned",
        },
        last_checkpoint,
    };
    let fields = toml::to_string(&trust).map_err(|_| Failure::bug("the trust file could not be written"))?;
    Ok(format!(
        "# What an auditor believes before looking; nothing in a bundle can add to it.\n\
         # log_keys: the log's verifier keys. Get them from the operator by a way that is not the broker.\n\
         # reviewer_keys: \"session\" believes the log's sign-in entries about whose a reviewer's key is;\n\
         #   \"pinned\" believes only the keys listed below, and any other verdict cannot be told.\n\
         # last_checkpoint: the newest checkpoint you have kept; a bundle must continue it.\n\
         # witnesses: verifier keys of witnesses, from their owners: witnesses = [\"name+id+key\"]. What they have not cosigned\n\
         #   cannot be told; witness_quorum = N says how many of them must have (all, when it is left out).\n\
         # timestamp_authorities: certificates (PEM) of those who stamp time, the signers' own, from them: what none of them has stamped\n\
         #   cannot be told; unstamped_entries_max = N says how many of the newest entries may be unstamped (any number, when it is left out).\n\
         {fields}\n\
         # One for each reviewer whose key you have from the person (`chunkctl whoami` shows it):\n\
         # [[pinned]]\n\
         # issuer = \"https://id.example.com\"\n\
         # subject = \"…\"\n\
         # thumbprint = \"…\"\n\
         # or, of the SSH key that signs their verdicts as well (`ssh-keygen -l -f FILE.pub` shows it):\n\
         # ssh_key = \"SHA256:…\"\n\
         # One for each identity provider that you believe when it names the key of somebody who signed in with the browser, with its\n\
         # keys as it publishes them at its jwks_uri, and the broker's client ids there:\n\
         # [[issuer]]\n\
         # issuer = \"https://id.example.com\"\n\
         # clients = [\"chunkctl\"]\n\
         # jwks = '''{{\"keys\": […]}}'''\n"
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_evidence::checkpoint::{Checkpoint, SignedCheckpoint};
    use chunk_evidence::trust::ReviewerKeys;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn what_is_written_is_what_a_verifier_reads() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = VerifierKey::new("o/d/1", pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let log = PinnedLog {
            origin: "o/d/1".into(),
            key: key.to_text(),
            pinned_ms: 0,
            earlier: Vec::new(),
        };
        let last = SignedCheckpoint::sign(
            &Checkpoint {
                origin: "o/d/1".into(),
                size: 3,
                root: [1; 32],
            },
            &pair,
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.toml");
        for (vouching, expected) in [(Vouching::Session, ReviewerKeys::Session), (Vouching::Pinned, ReviewerKeys::Pinned)] {
            std::fs::write(&path, file(&log, vouching, Some(last.text())).unwrap()).unwrap();
            let read = crate::proof::read_trust(&path).unwrap();
            assert_eq!(read.reviewer_keys, expected);
            assert_eq!(read.log_keys, std::slice::from_ref(&log.key));
            assert_eq!(read.last_checkpoint.as_deref(), Some(last.text()));
        }
        std::fs::write(&path, "origin = \"x\"\nlog_keys = []\n").unwrap();
        assert!(crate::proof::read_trust(&path).is_err());
        std::fs::write(&path, format!("{{\"origin\":\"o/d/1\",\"log_keys\":[\"{}\"]}}", log.key)).unwrap();
        assert_eq!(crate::proof::read_trust(&path).unwrap().reviewer_keys, ReviewerKeys::Pinned);
    }
}

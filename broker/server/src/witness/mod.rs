//! The way to the witnesses: their HTTP, and the two files beside the journal in which it is noted what they vouched for.
//!
//! `witness-newest` holds the newest checkpoint with a quorum; after a journal was put back without it, it tells before anybody is
//! asked. `witness-heads` holds, one JSON string a line, the checkpoints that became heads of bundles, so that an export that is
//! made again is the same.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chunk_core::witness::{WitnessMemory, WitnessPort, Witnessing};
use reqwest::Client;
use url::Url;

use crate::config::WitnessConfig;
use crate::error::{CommandError, chain};
use crate::outbound;

const NEWEST: &str = "witness-newest";
const HEADS: &str = "witness-heads";
/// An answer: a size, or signature lines.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What the broker needs to ask its witnesses.
///
/// # Errors
/// When a client cannot be made, or what was noted cannot be read.
pub(crate) fn witnessing(config: &WitnessConfig, data_dir: &Path) -> Result<Witnessing, CommandError> {
    let mut places = BTreeMap::new();
    for place in &config.places {
        let client = outbound::client(&place.url, place.ca_file.as_deref())
            .map_err(|why| CommandError::config(format!("The client for witness `{}` cannot be made.", place.name)).because(why))?;
        let url = format!("{}/add-checkpoint", place.url.as_str().trim_end_matches('/'));
        let url = Url::parse(&url)
            .map_err(|error| CommandError::config(format!("The address of witness `{}` is none.", place.name)).because(error))?;
        places.insert(place.name.clone(), (client, url));
    }
    let notes = Notes {
        newest: data_dir.join(NEWEST),
        heads: data_dir.join(HEADS),
    };
    let memory = notes
        .read()
        .map_err(|why| CommandError::unavailable("What witnesses vouched for in earlier runs cannot be read.").because(why))?;
    Ok(Witnessing {
        settings: config.settings.clone(),
        port: Arc::new(HttpWitnesses { places, notes }),
        memory,
    })
}

struct HttpWitnesses {
    places: BTreeMap<String, (Client, Url)>,
    notes: Notes,
}

#[async_trait]
impl WitnessPort for HttpWitnesses {
    async fn add_checkpoint(&self, witness: &str, body: String) -> Result<(u16, String), String> {
        let (client, url) = self.places.get(witness).ok_or("it has no address")?;
        let sent = client
            .post(url.clone())
            .header("content-type", "text/plain; charset=utf-8")
            .body(body)
            .send();
        let mut answer = sent.await.map_err(|error| chain(&error.without_url()))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(format!("it answered with more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        let body = String::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())?;
        Ok((status, body))
    }

    fn note_newest(&self, checkpoint: &str) -> Result<(), String> {
        self.notes.write_newest(checkpoint).map_err(|error| format!("{NEWEST}: {error}"))
    }

    fn note_head(&self, checkpoint: &str) -> Result<(), String> {
        self.notes.append_head(checkpoint).map_err(|error| format!("{HEADS}: {error}"))
    }
}

struct Notes {
    newest: PathBuf,
    heads: PathBuf,
}

impl Notes {
    fn read(&self) -> Result<WitnessMemory, String> {
        let text = |path: &Path| match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {}", path.display(), error.kind())),
        };
        let heads = text(&self.heads)?.unwrap_or_default();
        Ok(WitnessMemory {
            newest: text(&self.newest)?,
            // A line that a crash cut is a head that nobody was given.
            heads: heads.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        })
    }

    /// Whole or not at all. It is not synced: after a crash of the machine an older note is no harm, the witnesses know more.
    fn write_newest(&self, checkpoint: &str) -> std::io::Result<()> {
        let new = self.newest.with_extension("new");
        let mut file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(checkpoint.as_bytes())?;
        std::fs::rename(&new, &self.newest)
    }

    fn append_head(&self, checkpoint: &str) -> std::io::Result<()> {
        let mut file = std::fs::File::options().append(true).create(true).mode(0o600).open(&self.heads)?;
        let line = serde_json::to_string(checkpoint).map_err(std::io::Error::other)?;
        // Behind a line that a crash cut, a line of its own.
        let separate = if ends_within_a_line(&self.heads)? { "\n" } else { "" };
        file.write_all(format!("{separate}{line}\n").as_bytes())?;
        file.sync_all()
    }
}

fn ends_within_a_line(path: &Path) -> std::io::Result<bool> {
    let text = std::fs::read(path)?;
    Ok(text.last().is_some_and(|last| *last != b'\n'))
}

#[cfg(test)]
mod tests;

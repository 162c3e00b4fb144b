//! The sample data: made once, whole or not at all, and used again.

use std::path::Path;

use serde::Deserialize;
use tempfile::TempDir;

use super::cannot;
use crate::error::CommandError;

/// Writes `customers.parquet` and `orders.parquet` with this many orders into a folder. Handed in by the program, because
/// only the package that reads Parquet can write it.
pub type WriteSample = fn(&Path, u64) -> Result<(), String>;

/// Written last: a folder without it is no sample.
const MANIFEST: &str = "sample.json";
/// The generator makes two files; each can get in the way of a removal once.
const DISCARD_ROUNDS_MAX: usize = 8;

#[derive(Deserialize)]
struct Manifest {
    orders: u64,
}

/// Makes the sample in `data`, unless it is there. Whether it was made; nothing when `stop` came first, and then nothing is left.
pub(super) async fn provide(
    data: &Path,
    orders: u64,
    write: WriteSample,
    stop: impl Future<Output = ()>,
) -> Result<Option<bool>, CommandError> {
    match std::fs::read_to_string(data.join(MANIFEST))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok())
    {
        Some(found) if found.orders == orders => return Ok(Some(false)),
        Some(found) => {
            return Err(CommandError::config(format!(
                "{} holds a sample of {} orders, not {orders}.",
                data.display(),
                found.orders
            ))
            .next(format!("run with `--orders {}`, or with another `--data`", found.orders)));
        }
        None => {}
    }
    let parent = data
        .parent()
        .ok_or_else(|| CommandError::config("The folder of the sample needs a name."))?;
    std::fs::create_dir_all(parent).map_err(|e| cannot("make", parent, &e))?;
    // Beside its place and then renamed: an interrupted run leaves nothing that looks like a sample.
    let scratch = tempfile::Builder::new()
        .prefix(".sample-")
        .tempdir_in(parent)
        .map_err(|e| cannot("write in", parent, &e))?;
    let failed = |why: String| CommandError::unavailable("The sample data could not be made.").because(why);
    tokio::select! {
        written = write_on_a_thread(scratch.path(), orders, write) => written.map_err(failed)?,
        () = stop => {
            discard(scratch);
            return Ok(None);
        }
    }
    let manifest = scratch.path().join(MANIFEST);
    std::fs::write(&manifest, format!("{{\"orders\":{orders}}}\n")).map_err(|e| cannot("write", &manifest, &e))?;
    // Fails when the place holds anything: what somebody else put there is not ours to remove.
    std::fs::rename(scratch.path(), data).map_err(|e| cannot("put the sample into", data, &e))?;
    let _ = scratch.keep();
    Ok(Some(true))
}

/// A thread of its own, left behind when nobody waits for it any more: writing cannot be cancelled, and the runtime would wait
/// for a thread of its own.
async fn write_on_a_thread(dir: &Path, orders: u64, write: WriteSample) -> Result<(), String> {
    let dir = dir.to_owned();
    let (written, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || written.send(write(&dir, orders)).ok());
    end.await.unwrap_or_else(|_| Err("the generator stopped".to_owned()))
}

/// Removes a folder into which somebody may still be writing: a file made between the look and the removal takes another round,
/// and once the folder is gone no more can be made.
fn discard(scratch: TempDir) {
    let dir = scratch.keep();
    for _ in 0..DISCARD_ROUNDS_MAX {
        if std::fs::remove_dir_all(&dir).is_ok() || !dir.exists() {
            return;
        }
    }
    tracing::warn!(dir = %dir.display(), "unfinished sample data could not be removed");
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::future::pending;

    use super::*;

    fn write(dir: &Path, orders: u64) -> Result<(), String> {
        std::fs::write(dir.join("orders.parquet"), orders.to_string()).map_err(|e| e.to_string())
    }

    fn never(_: &Path, _: u64) -> Result<(), String> {
        Err("the generator failed".into())
    }

    /// Writes its first file and then on and on, until its folder is gone.
    fn forever(dir: &Path, _: u64) -> Result<(), String> {
        while dir.exists() {
            std::fs::write(dir.join("orders.parquet"), "x").ok();
        }
        Err("the folder went away".into())
    }

    #[tokio::test]
    async fn a_sample_is_made_once_and_used_again() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("below/data");
        assert_eq!(provide(&data, 5, write, pending()).await.unwrap(), Some(true));
        assert_eq!(provide(&data, 5, never, pending()).await.unwrap(), Some(false));
        let other = provide(&data, 6, never, pending()).await.unwrap_err();
        assert!(other.to_string().contains("--orders 5"), "{other}");
    }

    #[tokio::test]
    async fn a_failed_one_leaves_nothing_and_foreign_files_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        let failed = provide(&data, 5, never, pending()).await.unwrap_err();
        assert!(failed.to_string().contains("the generator failed"), "{failed}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("thesis"), "x").unwrap();
        assert!(provide(&data, 5, write, pending()).await.is_err());
        assert!(data.join("thesis").exists());
    }

    #[tokio::test]
    async fn a_stop_while_it_is_made_does_not_wait_for_it_and_leaves_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = scratch.path().to_owned();
        // The stop comes when the generator is seen at its work.
        let at_work = async {
            loop {
                let begun = std::fs::read_dir(&parent)
                    .unwrap()
                    .filter_map(Result::ok)
                    .any(|entry| entry.path().join("orders.parquet").exists());
                if begun {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(provide(&scratch.path().join("data"), 5, forever, at_work).await.unwrap(), None);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

//! The sample data: made once, whole or not at all, and used again.

use std::path::Path;

use serde::Deserialize;

use super::cannot;
use crate::error::CommandError;

/// Writes `customers.parquet` and `orders.parquet` with this many orders into a folder. Handed in by the program, because
/// only the package that reads Parquet can write it.
pub type WriteSample = fn(&Path, u64) -> Result<(), String>;

/// Written last: a folder without it is no sample.
const MANIFEST: &str = "sample.json";

#[derive(Deserialize)]
struct Manifest {
    orders: u64,
}

/// Makes the sample in `data`, unless it is there. True when it was made.
pub(super) fn provide(data: &Path, orders: u64, write: WriteSample) -> Result<bool, CommandError> {
    match std::fs::read_to_string(data.join(MANIFEST))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok())
    {
        Some(found) if found.orders == orders => return Ok(false),
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
    write(scratch.path(), orders).map_err(|why| CommandError::unavailable("The sample data could not be made.").because(why))?;
    let manifest = scratch.path().join(MANIFEST);
    std::fs::write(&manifest, format!("{{\"orders\":{orders}}}\n")).map_err(|e| cannot("write", &manifest, &e))?;
    // Fails when the place holds anything: what somebody else put there is not ours to remove.
    std::fs::rename(scratch.path(), data).map_err(|e| cannot("put the sample into", data, &e))?;
    let _ = scratch.keep();
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn write(dir: &Path, orders: u64) -> Result<(), String> {
        std::fs::write(dir.join("orders.parquet"), orders.to_string()).map_err(|e| e.to_string())
    }

    fn never(_: &Path, _: u64) -> Result<(), String> {
        Err("the generator failed".into())
    }

    #[test]
    fn a_sample_is_made_once_and_used_again() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("below/data");
        assert!(provide(&data, 5, write).unwrap());
        assert!(!provide(&data, 5, never).unwrap());
        assert!(provide(&data, 6, never).unwrap_err().to_string().contains("--orders 5"));
    }

    #[test]
    fn a_failed_one_leaves_nothing_and_foreign_files_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        assert!(provide(&data, 5, never).unwrap_err().to_string().contains("the generator failed"));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("thesis"), "x").unwrap();
        assert!(provide(&data, 5, write).is_err());
        assert!(data.join("thesis").exists());
    }
}

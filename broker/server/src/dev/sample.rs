//! The sample data: made once, whole or not at all, and used again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DevError;

/// Writes `customers.parquet` and `orders.parquet` with this many orders into a folder. Handed in by the program, because
/// only the package that reads Parquet can write it.
pub type WriteSample = fn(&Path, u64) -> Result<(), String>;

/// Written last: a folder without it is no sample.
const MANIFEST: &str = "sample.json";

#[derive(Serialize, Deserialize)]
struct Manifest {
    orders: u64,
}

/// Makes the sample in `data`, unless it is there. True when it was made.
pub(super) fn provide(data: &Path, orders: u64, write: WriteSample) -> Result<bool, DevError> {
    match std::fs::read_to_string(data.join(MANIFEST))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok())
    {
        Some(found) if found.orders == orders => return Ok(false),
        Some(found) => {
            return Err(DevError::OtherSample {
                data: data.to_owned(),
                found: found.orders,
                wanted: orders,
            });
        }
        None => {}
    }
    let failed = |what: &'static str| {
        move |source: std::io::Error| DevError::File {
            what,
            path: data.to_owned(),
            source,
        }
    };
    let parent = data.parent().ok_or(DevError::NoFolder)?;
    std::fs::create_dir_all(parent).map_err(failed("make the folder of"))?;
    // Beside its place and then renamed: an interrupted run leaves nothing that looks like a sample.
    let scratch = tempfile::Builder::new()
        .prefix(".sample-")
        .tempdir_in(parent)
        .map_err(failed("make the sample in"))?;
    write(scratch.path(), orders).map_err(DevError::Sample)?;
    let manifest = serde_json::to_string(&Manifest { orders }).map_err(|_| DevError::NoFolder)?;
    std::fs::write(scratch.path().join(MANIFEST), manifest).map_err(failed("write the sample in"))?;
    // Fails when the place holds anything: what somebody else put there is not ours to remove.
    let made = scratch.keep();
    std::fs::rename(&made, data)
        .inspect_err(|_| drop(std::fs::remove_dir_all(&made)))
        .map_err(failed("put the sample into"))?;
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
        assert!(matches!(
            provide(&data, 6, never),
            Err(DevError::OtherSample { found: 5, wanted: 6, .. })
        ));
    }

    #[test]
    fn a_failed_one_leaves_nothing_and_foreign_files_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        assert!(matches!(provide(&data, 5, never), Err(DevError::Sample(_))));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("thesis"), "x").unwrap();
        assert!(matches!(provide(&data, 5, write), Err(DevError::File { .. })));
        assert!(data.join("thesis").exists());
    }
}

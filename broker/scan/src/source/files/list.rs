//! Which files a folder holds.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;

/// A file found.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Where it is, as the operator would name it.
    pub(crate) path: PathBuf,
    /// How the engine finds it, and how long it is.
    pub(crate) meta: ObjectMeta,
}

/// The file itself, or the files with one of these extensions in a folder and its subfolders, sorted by path. `root` is a real path.
pub(super) fn files(root: &Path, path: &Path, extensions: &[&str]) -> Result<Vec<Listed>, String> {
    let real = path.canonicalize().map_err(|e| e.to_string())?;
    if !real.starts_with(root) {
        return Err("a link leads out of the connection's root".to_owned());
    }
    let mut found = Vec::new();
    if real.is_file() {
        found.push(real);
    } else {
        walk(&real, extensions, DEPTH_MAX, &mut found)?;
        found.sort();
    }
    if found.is_empty() {
        return Err(format!("no .{} file", extensions.join(" or .")));
    }
    found.into_iter().map(listed).collect()
}

const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 100_000;

fn walk(folder: &Path, extensions: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let entry = entry.map_err(|e| e.to_string())?;
        let name = entry.file_name();
        let hidden = name.to_str().is_none_or(|n| n.starts_with(['.', '_']));
        // `file_type` does not follow links.
        let kind = entry.file_type().map_err(|e| e.to_string())?;
        if hidden || kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        if kind.is_dir() && depth > 0 {
            walk(&path, extensions, depth - 1, found)?;
        } else if kind.is_file()
            && path
                .extension()
                .is_some_and(|e| extensions.iter().any(|x| e.eq_ignore_ascii_case(x)))
        {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(format!("more than {FILES_MAX} files"));
        }
    }
    Ok(())
}

fn listed(path: PathBuf) -> Result<Listed, String> {
    let stat = fs::metadata(&path).map_err(|e| e.to_string())?;
    let location = object_store::path::Path::from_absolute_path(&path).map_err(|e| e.to_string())?;
    let modified = stat.modified().map_err(|e| e.to_string())?;
    let meta = ObjectMeta {
        location,
        last_modified: DateTime::<Utc>::from(modified),
        size: stat.len(),
        e_tag: None,
        version: None,
    };
    Ok(Listed { path, meta })
}

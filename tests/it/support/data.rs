//! What lies in the files of a broker, beside what it says itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::World;

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// What was delivered: a file, or a folder of chunks one after another.
pub(crate) fn delivered(path: &Path) -> Vec<u8> {
    if !path.is_dir() {
        return std::fs::read(path).unwrap();
    }
    let mut parts = files_below(path);
    parts.sort();
    parts.iter().flat_map(|part| std::fs::read(part).unwrap()).collect()
}

/// Whether these bytes stand among those.
pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The first file below the broker's folder that holds these bytes: free pages and journals included.
pub(crate) fn file_that_holds(world: &World, needle: &[u8]) -> Option<PathBuf> {
    files_below(&world.broker_dir())
        .into_iter()
        .find(|file| holds(&std::fs::read(file).unwrap_or_default(), needle))
}

/// What a SELECT over a database in the data folder gives: its columns separated by spaces, bytes in hex (or `-` for none).
pub(crate) fn rows(world: &World, database: &str, select: &str) -> Vec<Vec<String>> {
    let query = "import sqlite3, sys
for row in sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.argv[2]):
    print(*[(c.hex() or '-') if isinstance(c, bytes) else c for c in row])";
    let output = Command::new("python3")
        .args(["-c", query])
        .arg(world.broker_dir().join("data").join(database))
        .arg(select)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').map(ToOwned::to_owned).collect()).collect()
}

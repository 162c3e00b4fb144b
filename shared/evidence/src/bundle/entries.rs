//! The rows of a bundle as JSON lines, for programs that read them.

use super::member::Stored;
use super::tar;
use super::views::ENTRIES;

/// `views/entries.jsonl` of a bundle. Verify the bundle first: only then is the view what its rows give.
///
/// # Errors
/// When the archive is not in its one form or holds no rows (level 0).
pub fn entries_view(bundle: &[u8]) -> Result<Vec<u8>, &'static str> {
    Stored(tar::read(bundle)?).take(ENTRIES)
}

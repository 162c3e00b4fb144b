//! A credential in a file, as orchestrators mount them. One newline at the end is not part of it.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

/// A credential larger than this is another file.
const CREDENTIAL_BYTES_MAX: u64 = 4096;

pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let fail = |what: &str| format!("{}: {what}", path.display());
    let file = std::fs::File::open(path).map_err(|e| fail(&e.kind().to_string()))?;
    // Sized up front: a growing buffer would leave copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(4096 + 1));
    file.take(CREDENTIAL_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|e| fail(&e.kind().to_string()))?;
    if text.len() as u64 > CREDENTIAL_BYTES_MAX {
        return Err(fail("larger than 4096 bytes"));
    }
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    if text.is_empty() {
        return Err(fail("is empty"));
    }
    Ok(text)
}

//! Verdicts that an enrolled SSH key signed as well: what they must be, and where configuration asks for them.

use chunk_evidence::sshsig::{REVIEW_NAMESPACE, SshSignature};
use chunk_wire::problem::Code;

use crate::catalog::{Catalog, Dataset};
use crate::error::Error;
use crate::evidence::entries::SshVerdict;
use crate::state::{Request, Review, State};

/// Checks an SSH signature over the payload of a verdict. Whose key it is is looked up where the verdict is recorded.
pub(super) fn verified(text: &str, signed: &str) -> Result<SshVerdict, Error> {
    let refused = |fault: &dyn std::fmt::Display| Error::new(Code::InvalidSignature, format!("The SSH signature was refused: {fault}."));
    let signature = SshSignature::parse(text).map_err(|fault| refused(&fault))?;
    signature
        .verify(REVIEW_NAMESPACE, signed.as_bytes())
        .map_err(|fault| refused(&fault))?;
    Ok(SshVerdict {
        key: signature.key().fingerprint(),
        signature: signature.to_text(),
        enrolled: 0,
    })
}

/// Whether a dataset of the request asks for it.
pub(super) fn is_demanded(catalog: &Catalog, request: &Request) -> bool {
    let of = |name: &String| catalog.datasets.get(name);
    request.datasets.iter().filter_map(of).any(|dataset| dataset.ssh_verdicts)
}

/// Whether an approval is still signed as a dataset asks for it: by a key that is the reviewer's now.
pub(super) fn counts(state: &State, dataset: &Dataset, review: &Review) -> bool {
    let signed = |key: &str| state.ssh_keys.usable(key, &review.actor).is_some();
    !dataset.ssh_verdicts || review.ssh_key.as_deref().is_some_and(signed)
}

/// The answer to a verdict without the signature that a dataset asks for.
pub(super) fn missing() -> Error {
    Error::new(
        Code::ReviewRefused,
        "A dataset of this request asks for verdicts that an enrolled SSH key has signed as well: name yours with `--ssh-key`.",
    )
    .hint("run `chunkctl keys list`")
}

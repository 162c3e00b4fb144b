//! Who besides the operator says that a key is somebody's: the identity provider, whose token the log may keep, or the auditor.

use super::{Ledger, Report};
use crate::attestation::IdToken;
use crate::body::Group;
use crate::bundle::verdict::SIGNATURES;
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::Holder;
use crate::trust::Vouched;

impl Ledger<'_> {
    /// Checks the token that a `session.open` keeps, and remembers whose key it vouches for.
    pub(super) fn attestation(&mut self, entry: &Disclosed<'_>, number: u32, report: &mut Report<'_>) {
        let (Some(kept), Some(holder)) = (entry.member(Group::Why, "attestation"), self.holder(Some(number))) else {
            return;
        };
        let claimed = entry.member(Group::Who, "key_attested").map(Raw::text) == Some("true");
        let kept = kept.as_str().unwrap_or_default();
        let token = IdToken::parse(&kept)
            .filter(|token| token.names(&holder.issuer, &holder.subject, &holder.key))
            .filter(|token| claimed && entry.says(Group::Out, "id_token", &token.digest()));
        let Some(token) = token else {
            return report.fault(
                SIGNATURES,
                "the identity provider's token on record is not of this sign-in, person and key",
            );
        };
        match self.trust.and_then(|trust| trust.signed(&token)) {
            Some(true) => {
                self.attested.insert(number);
            }
            Some(false) => report.fault(
                SIGNATURES,
                "the token on record is not signed by the key of the identity provider that it names",
            ),
            None => {}
        }
    }

    /// Whether the auditor knows that this key, or the SSH key that signed as well, is the reviewer's.
    pub(super) fn vouch(&self, number: Option<u32>, reviewer: &Holder, ssh: Option<&str>, report: &mut Report<'_>) {
        if number.is_some_and(|number| self.attested.contains(&number)) {
            return;
        }
        match self
            .trust
            .map(|trust| trust.vouches(&reviewer.issuer, &reviewer.subject, &reviewer.key, ssh))
        {
            Some(Vouched::Yes) | None => {}
            Some(Vouched::OtherKey) => report.fault(SIGNATURES, "the trust policy knows other keys of this reviewer"),
            Some(Vouched::ByOperatorOnly) => report.findings.unknown(
                SIGNATURES,
                format!(
                    "only the log itself says that key {} is {}'s ({})",
                    reviewer.key, reviewer.subject, reviewer.issuer
                ),
            ),
        }
    }
}

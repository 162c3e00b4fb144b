//! A delivery under a standing grant: who approved that, and that this was a use of it, by the same person, in time.
//!
//! How much was used of it before, one receipt cannot say; a bundle does.

use std::collections::BTreeSet;

use super::story::{StoryApproval, StoryStanding};
use super::verify::{Asked, Entries, ReceiptError};
use crate::body::Group;
use crate::disclosed::Disclosed;
use crate::leaf::Kind;
use crate::scan::Raw;
use crate::signed::{Shape, SignedRequest, StandingTerms, under};

impl Entries<'_> {
    /// The standing grant that this grant is a use of, with the approvals it rests on; nothing where it rests on its own.
    pub(super) fn standing(
        &self,
        grant: &Disclosed<'_>,
        intent: &Disclosed<'_>,
        asked: &Asked<'_, '_>,
        used: &mut BTreeSet<u64>,
    ) -> Result<Option<(StoryStanding, Vec<StoryApproval>)>, ReceiptError> {
        let no = ReceiptError::Story;
        let names = under(Raw::known(&asked.signed.document));
        let taken = (grant.refs.len() == 2)
            .then(|| self.pointed(grant, 1, Kind::GrantTake).ok())
            .flatten();
        let (take, (named_request, named_digest)) = match (taken, names) {
            (None, None) => return Ok(None),
            (Some(take), Some(names)) => (take, names),
            _ => {
                return Err(no(
                    "the request is a use of a standing grant, and the grant is not, or the other way round",
                ));
            }
        };
        let (take_session, taker) = self.holder(take, 1)?;
        if self.pointed(take, 2, Kind::RequestCreate)?.index != asked.entry.index || !take.says(Group::What, "request", &asked.signed.id) {
            return Err(no("the standing grant was taken for another request"));
        }
        let above = self.pointed(take, 0, Kind::GrantIssue)?;
        let approved_entry = self.pointed(above, 0, Kind::RequestCreate)?;
        let (approved_session, owner) = self.holder(approved_entry, 0)?;
        let approved = SignedRequest::of(approved_entry, &owner).map_err(no)?;
        if !owner.is(asked.holder) || !taker.is(asked.holder) {
            return Err(no("another person used the standing grant"));
        }
        if !above.says(Group::What, "id", &approved.id) || !above.says(Group::What, "digest", &approved.digest) {
            return Err(no("the standing grant is for another request"));
        }
        if named_request != approved.id || named_digest != approved.digest || !take.says(Group::What, "id", &approved.id) {
            return Err(no("the request is a use of another standing grant"));
        }
        let (document, granted) = (Raw::known(&asked.signed.document), Raw::known(&approved.document));
        if granted.get("standing").and_then(StandingTerms::of).is_none() {
            return Err(no("the grant it is a use of is for one delivery"));
        }
        if !Shape::of(document).is_within(&Shape::of(granted)) {
            return Err(no("it is of another shape than the standing grant"));
        }
        if asked.signed.stages() != approved.stages() || asked.signed.escalation() != approved.escalation() {
            return Err(no("it asks for other people's approvals than the standing grant"));
        }
        let expires_ms = above
            .number(Group::Out, "expires_ms")
            .ok_or(no("the standing grant does not say when it ends"))?;
        if [take.t, intent.t].iter().any(|t| t.cast_unsigned() > expires_ms) {
            return Err(no("the standing grant had run out"));
        }
        used.extend([take.index, take_session, above.index, approved_entry.index, approved_session]);
        let was = Asked {
            entry: approved_entry,
            signed: &approved,
            holder: &owner,
        };
        let approvals = self.approvals(above, &was, used)?;
        if (approvals.len() as u64) < approved.quorum {
            return Err(no("there are fewer approvals than the standing grant needed"));
        }
        let reason = granted.get("reason").and_then(Raw::as_str).map(String::from);
        let standing = StoryStanding {
            request: approved.id.clone(),
            digest: approved.digest.clone(),
            reason: reason.unwrap_or_default(),
            requested_ms: approved_entry.t,
            expires_ms,
        };
        Ok(Some((standing, approvals)))
    }
}

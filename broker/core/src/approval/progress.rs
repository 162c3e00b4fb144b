//! How far is a review: which approvals count, and whose turn is it?

use chunk_wire::fetch::RequestState;
use chunk_wire::session::Person;
use chunk_wire::stages::{Stage, StageView, stage_after, stages_after};

use super::approves;
use crate::state::{Request, Review, State};

/// The approvals of a request that count, in log order.
///
/// The nth fills the stage that n says. Where one of those before has ceased to count, the ones after it may stand in another stage
/// than they were given for: there they count only if that stage would have taken them, or somebody else's is needed.
pub(crate) struct Progress<'r> {
    request: &'r Request,
    counted: Vec<&'r Review>,
}

/// Whether somebody counts in a stage of a request: as one of those whose approval it takes, or because it was escalated to them.
pub(super) fn counts_in(stage: &Stage, request: &Request, person: &Person, escalated: bool) -> bool {
    stage.takes(person, &request.requester.person.issuer) || escalated && request.escalates_to(person)
}

impl<'r> Progress<'r> {
    pub(crate) fn of(state: &State, request: &'r Request) -> Self {
        // Whoever was suspended since counts no more; the quorum is other people's to complete.
        let pending = request.state == RequestState::Pending;
        Self::with(request, |review| !(pending && state.is_suspended(&review.actor)))
    }

    /// Of the approvals before this index, whatever has become of those who gave them.
    pub(crate) fn before(request: &'r Request, index: u64) -> Self {
        Self::with(request, |review| review.index < index)
    }

    fn with(request: &'r Request, stands: impl Fn(&Review) -> bool) -> Self {
        let mut progress = Self {
            request,
            counted: Vec::new(),
        };
        for review in &request.reviews {
            let fits = progress
                .turn()
                .is_none_or(|stage| counts_in(stage, request, &review.reviewer.person, review.escalated));
            if approves(review.verdict) && stands(review) && fits {
                progress.counted.push(review);
            }
        }
        progress
    }

    /// The approvals that count.
    pub(crate) fn counted(&self) -> &[&'r Review] {
        &self.counted
    }

    /// The stage that the next approval is for; none where anybody who may review counts.
    pub(crate) fn turn(&self) -> Option<&'r Stage> {
        stage_after(&self.request.stages, self.counted.len())
    }

    /// How far each stage is.
    pub(crate) fn stages(&self) -> Vec<StageView> {
        stages_after(
            &self.request.stages,
            self.counted.len(),
            self.request.state != RequestState::Pending,
        )
    }
}

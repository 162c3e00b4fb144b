//! Which entries a reader asked for.

use chunk_evidence::bundle;
use chunk_log::index::Question;

use crate::evidence::bundle::matches;
use crate::evidence::log::Opened;
use crate::state::State;

/// Which entries a reader asked for.
pub(super) struct Filter(bundle::Filter);

impl Filter {
    pub(super) fn new(state: &State, user: Option<&str>, dataset: Option<&str>, request: Option<&str>, kind: Option<&str>) -> Self {
        let actors = user.map(|user| {
            let mut actors: Vec<String> = state.actors_named(user).iter().map(ToString::to_string).collect();
            // In one order, so that the same question has the same answer.
            actors.sort_unstable();
            actors.dedup();
            actors
        });
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        Self(bundle::Filter {
            actors,
            dataset: own(dataset),
            kind: own(kind),
            request: own(request),
        })
    }

    /// The person asked for as the log may name them: by pseudonym, so that erasing somebody leaves no question with their name.
    pub(super) fn user(&self) -> Option<String> {
        self.0.actors.as_ref().map(|actors| actors.join(","))
    }

    /// What was asked for, as the bundle states it.
    pub(super) fn stated(self) -> bundle::Filter {
        self.0
    }

    pub(super) fn matches(&self, entry: &Opened) -> bool {
        matches(&self.0, entry)
    }

    /// The same for the index.
    pub(super) fn question(&self) -> Question<'_> {
        Question {
            actors: self.0.actors.as_deref(),
            dataset: self.0.dataset.as_deref(),
            kind: self.0.kind.as_deref(),
            request: self.0.request.as_deref(),
        }
    }
}

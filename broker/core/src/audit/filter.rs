//! Which entries a reader asked for.

use chunk_evidence::body::Group;
use serde_json::{Map, Value};

use crate::evidence::log::Opened;
use crate::state::State;

/// Which entries a reader asked for.
pub(super) struct Filter {
    actors: Option<Vec<String>>,
    dataset: Option<String>,
    request: Option<String>,
    kind: Option<String>,
}

impl Filter {
    pub(super) fn new(state: &State, user: Option<&str>, dataset: Option<&str>, request: Option<&str>, kind: Option<&str>) -> Self {
        let actors = user.map(|user| state.actors_named(user).iter().map(ToString::to_string).collect());
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        Self {
            actors,
            dataset: own(dataset),
            request: own(request),
            kind: own(kind),
        }
    }

    /// The person asked for as the log may name them: by pseudonym, so that erasing somebody leaves no question with their name.
    pub(super) fn user(&self) -> Option<String> {
        self.actors.as_ref().map(|actors| actors.join(","))
    }

    /// What was asked for, as the bundle states it; `None` when everything was.
    pub(super) fn described(&self) -> Option<Value> {
        let mut asked = Map::new();
        let members = [("dataset", &self.dataset), ("request", &self.request), ("kind", &self.kind)];
        for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))) {
            asked.insert(name.to_owned(), value.into());
        }
        if let Some(actors) = &self.actors {
            asked.insert("actors".to_owned(), actors.clone().into());
        }
        (!asked.is_empty()).then_some(Value::Object(asked))
    }

    pub(super) fn matches(&self, entry: &Opened) -> bool {
        let header = &entry.leaf.header;
        let actor = self
            .actors
            .as_ref()
            .is_none_or(|a| header.act.as_ref().is_some_and(|act| a.contains(act)));
        let dataset = self
            .dataset
            .as_ref()
            .is_none_or(|d| header.ds.as_deref().is_some_and(|ds| ds.split(',').any(|name| name == d)));
        let kind = self
            .kind
            .as_ref()
            .is_none_or(|k| header.kind.as_str() == k || header.kind.family() == k);
        actor && dataset && kind && self.request.as_ref().is_none_or(|r| names_request(entry, r))
    }
}

fn names_request(entry: &Opened, request: &str) -> bool {
    let Some((_, body)) = &entry.body else { return false };
    ["id", "request"]
        .iter()
        .any(|member| body.text(Group::What, member) == Some(request))
}

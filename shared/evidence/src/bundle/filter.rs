//! Which entries an export was asked for.
//!
//! What can be decided from a header alone is decided again by the verifier: an entry that matches may not be withheld.

use serde_json::{Map, Value, json};

use crate::encode::{EncodeError, canonical};
use crate::leaf::Kind;
use crate::scan::Raw;

/// Which entries an export was asked for: those to which everything applies that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Pseudonyms: it was done by one of these.
    pub actors: Option<Vec<String>>,
    /// It names this dataset.
    pub dataset: Option<String>,
    /// It is of this kind or family.
    pub kind: Option<String>,
    /// It names this request. Bodies say so, headers do not.
    pub request: Option<String>,
}

impl Filter {
    /// Whether every entry matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all but the request applies to a header with these members.
    #[must_use]
    pub fn matches(&self, kind: Kind, act: Option<&str>, ds: Option<&str>) -> bool {
        let actor = |actors: &Vec<String>| act.is_some_and(|act| actors.iter().any(|actor| actor == act));
        let dataset = |name: &String| ds.is_some_and(|ds| ds.split(',').any(|dataset| dataset == name));
        let of_kind = |name: &String| name == kind.as_str() || name == kind.family();
        self.actors.as_ref().is_none_or(actor) && self.dataset.as_ref().is_none_or(dataset) && self.kind.as_ref().is_none_or(of_kind)
    }

    /// Whether a header alone shows that an entry matches.
    pub(super) fn shows(&self, kind: Kind, act: Option<&str>, ds: Option<&str>) -> bool {
        self.request.is_none() && self.matches(kind, act, ds)
    }

    /// Canonical JSON.
    pub(super) fn to_text(&self) -> Result<String, EncodeError> {
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| map.insert(name.to_owned(), value));
        put("actors", self.actors.as_ref().map(|actors| json!(actors)));
        put("dataset", self.dataset.as_ref().map(|dataset| json!(dataset)));
        put("kind", self.kind.as_ref().map(|kind| json!(kind)));
        put("request", self.request.as_ref().map(|request| json!(request)));
        canonical(&Value::Object(map))
    }

    /// Reads a filter that is not empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let raw = Raw::parse(text).ok().filter(|raw| raw.is_object())?;
        let mut filter = Self::default();
        for (name, value) in raw.members() {
            let text = || Some(value.as_str()?.into_owned());
            match &*name {
                "actors" => {
                    filter.actors = Some(
                        value
                            .items()?
                            .map(|actor| Some(actor.as_str()?.into_owned()))
                            .collect::<Option<_>>()?,
                    )
                }
                "dataset" => filter.dataset = Some(text()?),
                "kind" => filter.kind = Some(text()?),
                "request" => filter.request = Some(text()?),
                _ => return None,
            }
        }
        Some(filter).filter(|filter| !filter.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_filter_reads_back_and_has_no_other_members() {
        let filter = Filter {
            actors: Some(vec!["act_1".into(), "act_2".into()]),
            kind: Some("fetch".into()),
            ..Filter::default()
        };
        assert_eq!(filter.to_text().unwrap(), "{\"actors\":[\"act_1\",\"act_2\"],\"kind\":\"fetch\"}");
        assert_eq!(Filter::parse(&filter.to_text().unwrap()), Some(filter));
        for text in [
            "{}",
            "[]",
            "{\"user\":\"ada\"}",
            "{\"actors\":\"a\"}",
            "{\"actors\":[1]}",
            "{\"kind\":null}",
            "{\"kind\": \"a\"}",
        ] {
            assert_eq!(Filter::parse(text), None, "{text}");
        }
    }

    #[test]
    fn everything_that_is_there_must_apply() {
        let filter = Filter {
            actors: Some(vec!["a".into()]),
            dataset: Some("orders".into()),
            kind: Some("fetch".into()),
            request: None,
        };
        assert!(filter.shows(Kind::FetchIntent, Some("a"), Some("customers,orders")));
        assert!(!filter.shows(Kind::FetchIntent, Some("b"), Some("orders")));
        assert!(!filter.shows(Kind::FetchIntent, None, Some("orders")));
        assert!(!filter.shows(Kind::FetchIntent, Some("a"), Some("order")));
        assert!(!filter.shows(Kind::GrantTake, Some("a"), Some("orders")));
        let of_request = Filter {
            request: Some("req_1".into()),
            ..filter
        };
        assert!(!of_request.shows(Kind::FetchIntent, Some("a"), Some("orders")));
        assert!(of_request.matches(Kind::FetchIntent, Some("a"), Some("orders")));
        assert!(Filter::default().matches(Kind::Erase, None, None));
    }
}

//! One request as the reviewer has it: whether its document may be judged, and the words by which it is found.

use std::borrow::Cow;
use std::rc::Rc;

use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::session::Person;
use chunk_wire::stages::Stage;

use crate::commands::query;
use crate::document::Checked;
use crate::text;

/// A request. One whose document is not what its digest says is shown as such, and cannot be judged.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    document: Document,
    /// What is asked for, in one line.
    pub(crate) what: String,
    /// For filters, in lower case.
    datasets: String,
    person: String,
    everything: String,
}

#[derive(Debug, Clone)]
enum Document {
    Checked(Rc<Checked>),
    Refused(Box<RequestView>, String),
}

impl Item {
    pub(crate) fn new(view: RequestView) -> Self {
        let document = match Checked::new(view) {
            Ok(checked) => Document::Checked(Rc::new(checked)),
            Err(refused) => {
                let (view, failure) = *refused;
                let why = failure.why.first().unwrap_or(&failure.what).clone();
                Document::Refused(Box::new(view), why)
            }
        };
        let (what, datasets, why) = match &document {
            Document::Checked(checked) => {
                let document = checked.document();
                let why = format!("{} {}", document.reason, document.ticket.as_deref().unwrap_or_default());
                (query::words(&document.query), document.datasets.join(" "), why)
            }
            Document::Refused(..) => ("(refused: not what was signed)".to_owned(), String::new(), String::new()),
        };
        let view = view_of(&document);
        let requester = &view.requester;
        let person = format!(
            "{} {} {}",
            requester.name,
            requester.subject,
            requester.email.as_deref().unwrap_or_default()
        );
        let state = view.state.as_str();
        let emergency = if view.break_glass { "emergency" } else { "" };
        let everything = format!("{} {person} {what} {datasets} {why} {state} {emergency} {}", view.id, view.host).to_lowercase();
        Self {
            what: text::line(&what).into_owned(),
            datasets: datasets.to_lowercase(),
            person: person.to_lowercase(),
            everything,
            document,
        }
    }

    pub(crate) fn view(&self) -> &RequestView {
        view_of(&self.document)
    }

    /// The document that may be judged.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn checked(&self) -> Result<&Rc<Checked>, &str> {
        match &self.document {
            Document::Checked(checked) => Ok(checked),
            Document::Refused(_, why) => Err(why),
        }
    }

    /// Whether it waits for this person.
    pub(crate) fn waits_for(&self, me: &Person) -> bool {
        let view = self.view();
        let is_me = |person: &Person| person.issuer == me.issuer && person.subject == me.subject;
        let waits = view.state == RequestState::Pending || view.review_due;
        waits && !is_me(&view.requester) && !view.reviews.iter().any(|review| is_me(&review.reviewer))
    }

    /// Whose approval is next, where it is not this person's turn: the stage before theirs is not complete, or theirs is.
    pub(crate) fn turn_of_others(&self, me: &Person) -> Option<&Stage> {
        let turn = self.view().stages.iter().position(|stage| stage.turn)?;
        let document = self.checked().ok()?.document();
        let stage = document.stages.get(turn)?;
        let escalation = document.escalation.as_ref().filter(|_| self.view().escalated_ms.is_some());
        let mine = stage.takes(me, &self.view().requester.issuer) || escalation.is_some_and(|escalation| escalation.takes(me));
        (!mine).then_some(stage)
    }

    /// What is asked for, or was taken in an emergency that nobody has judged yet, and whether others come first.
    pub(crate) fn headline(&self, me: &Person) -> Cow<'_, str> {
        if self.view().review_due {
            format!("emergency: {}", self.what).into()
        } else if self.turn_of_others(me).is_some() {
            format!("others first: {}", self.what).into()
        } else {
            self.what.as_str().into()
        }
    }

    /// Whether the same person asked.
    pub(crate) fn is_by(&self, person: &Person) -> bool {
        let requester = &self.view().requester;
        requester.issuer == person.issuer && requester.subject == person.subject
    }
}

fn view_of(document: &Document) -> &RequestView {
    match document {
        Document::Checked(checked) => checked.view(),
        Document::Refused(view, _) => view,
    }
}

/// What is looked for: words that all have to stand in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Anywhere(String),
    Dataset(String),
    Person(String),
}

impl Filter {
    /// `dataset:orders by:dana invoice`: each word narrows, in any case.
    pub(crate) fn parse(text: &str) -> Self {
        let term = |word: &str| match word.split_once(':') {
            Some(("dataset", rest)) => Term::Dataset(rest.to_owned()),
            Some(("by", rest)) => Term::Person(rest.to_owned()),
            _ => Term::Anywhere(word.to_owned()),
        };
        Self(text.to_lowercase().split_whitespace().map(term).collect())
    }

    pub(crate) fn matches(&self, item: &Item) -> bool {
        self.0.iter().all(|term| match term {
            Term::Anywhere(word) => item.everything.contains(word),
            Term::Dataset(word) => item.datasets.contains(word),
            Term::Person(word) => item.person.contains(word),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::{Sample, me};

    #[test]
    fn each_word_of_a_filter_narrows() {
        let item = Item::new(Sample::new(1).view());
        for (filter, matches) in [
            ("", true),
            ("ORDERS", true),
            ("dataset:orders by:dana churn", true),
            ("dataset:dana", false),
            ("by:orders", false),
            ("by:dana by:zoe", false),
            ("inc-1", true),
            (item.view().id.as_str(), true),
        ] {
            assert_eq!(Filter::parse(filter).matches(&item), matches, "{filter}");
        }
    }

    #[test]
    fn a_document_that_was_swapped_cannot_be_judged() {
        let mut view = Sample::new(1).view();
        view.document = view.document.replace("churn", "fun");
        let item = Item::new(view);
        assert_eq!(item.checked().err(), Some("its digest is another"));
        assert!(item.what.contains("refused"), "{}", item.what);
    }

    #[test]
    fn nobody_reviews_their_own_or_twice() {
        let waits = |sample: Sample| Item::new(sample.view()).waits_for(&me());
        assert!(waits(Sample::new(1)));
        assert!(!waits(Sample::new(1).by(&me())));
        assert!(!waits(Sample::new(1).reviewed_by(&me())));
        assert!(!waits(Sample::new(1).in_state(RequestState::Approved)));
    }

    #[test]
    fn a_stage_of_others_comes_first_and_is_named() {
        let sample = Sample::new(1).in_stages(&[("owners", 1, 1), ("security", 1, 0)]);
        let item = Item::new(sample.view());
        let other = Person {
            groups: vec!["security".into()],
            ..me()
        };
        assert!(
            item.waits_for(&me()),
            "who may review sees it from its beginning, and can reject it"
        );
        assert_eq!(
            item.turn_of_others(&me()).map(|stage| stage.groups.concat()).as_deref(),
            Some("security")
        );
        assert!(item.headline(&me()).starts_with("others first: "));
        assert_eq!(item.turn_of_others(&other), None);
        assert_eq!(item.headline(&other), item.what);
        let decided = sample.in_state(RequestState::Approved);
        assert!(Item::new(decided.view()).turn_of_others(&me()).is_none());
    }

    #[test]
    fn an_emergency_waits_until_somebody_else_has_judged_it() {
        let done = Sample::new(1).in_state(RequestState::Completed);
        let item = Item::new(done.clone().in_an_emergency(true).view());
        assert!(item.waits_for(&me()));
        assert_eq!(item.checked().err(), None);
        assert!(item.headline(&me()).starts_with("emergency: "), "{}", item.headline(&me()));
        assert!(Filter::parse("emergency").matches(&item));
        assert!(!Item::new(done.clone().in_an_emergency(true).by(&me()).view()).waits_for(&me()));
        assert!(!Item::new(done.in_an_emergency(false).view()).waits_for(&me()));
    }
}

use chunk_wire::fetch::RequestState;
use chunk_wire::review::Verdict;

use super::Desk;
use crate::review::plain::Dialogue;
use crate::review::samples::{Sample, me, person};
use crate::review::update::{Effect, Event};

/// A dialogue with two requests waiting; what is typed, what is answered, and the effects.
struct Talk {
    desk: Desk,
    dialogue: Dialogue,
    effects: Vec<Effect>,
    said: String,
}

impl Talk {
    fn begin() -> Self {
        let mut talk = Self {
            desk: Desk::new(80, 24),
            dialogue: Dialogue::default(),
            effects: Vec::new(),
            said: String::new(),
        };
        talk.happens(Event::List);
        for sample in [Sample::new(2).by(&person("eve", "Eve Engineer")), Sample::new(1)] {
            talk.happens(Event::Request(Box::new(sample.view())));
        }
        talk.happens(Event::Listed(0));
        talk
    }

    fn happens(&mut self, event: Event) {
        self.effects.append(&mut self.dialogue.hear(&mut self.desk.model, event));
        let words = self.dialogue.take_words();
        if !words.is_empty() {
            self.said.push_str(&format!("{words}\n"));
        }
    }

    fn types(&mut self, line: &str) -> &mut Self {
        self.said.push_str(&format!("{}{line}\n", self.dialogue.prompt()));
        self.happens(Event::Line(line.to_owned()));
        self
    }
}

#[test]
fn a_verdict_is_given_by_lines() {
    let mut talk = Talk::begin();
    talk.types("approve 2").types("the ticket says so");
    let now_ms = talk.desk.model.now_ms;
    talk.happens(Event::Tick(now_ms + 5_000));
    let sent: Vec<_> = talk.effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).collect();
    assert!(
        matches!(sent.as_slice(), [Effect::Send { on, verdict: Verdict::Approve, reason }] if on.view().index == 1 && &**reason == "the ticket says so")
    );
    let after = Sample::new(1).reviewed_by(&me()).in_state(RequestState::Approved).view();
    talk.happens(Event::Answered {
        id: after.id.clone(),
        verdict: Verdict::Approve,
        answer: Box::new(Ok(after)),
    });
    talk.happens(Event::Request(Box::new(Sample::new(3).because("urgent").view())));
    talk.types("list").types("filter by:eve").types("history");
    insta::assert_snapshot!(talk.said);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_sent() {
    let mut talk = Talk::begin();
    talk.said.clear();
    talk.types("approve 1 2")
        .types("approve")
        .types("approve 9")
        .types("show req_zzzz")
        .types("frobnicate");
    talk.types("reject 1 2")
        .types("")
        .types("reject 1 2")
        .types("no")
        .types("undo")
        .types("more");
    let now_ms = talk.desk.model.now_ms;
    talk.happens(Event::Tick(now_ms + 60_000));
    assert!(talk.effects.is_empty(), "{:?}", talk.effects);
    insta::assert_snapshot!(talk.said);
}

#[test]
fn quitting_drops_what_counts_down() {
    for leave in [Event::Line("quit".into()), Event::End] {
        let mut talk = Talk::begin();
        talk.types("reject 1").types("no");
        talk.happens(leave);
        assert!(matches!(talk.effects.last(), Some(Effect::Quit)), "{:?}", talk.effects);
        assert!(
            talk.desk.model.deeds[0].contains("Nothing was signed."),
            "{:?}",
            talk.desk.model.deeds
        );
    }
}

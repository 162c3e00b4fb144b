//! The same inbox as a dialogue: a line asks, lines answer. For screen readers, simple terminals, and logs of what was said.
//!
//! Pure, as [`update`] is: what is typed and what happens goes in, words and effects come out.

use std::rc::Rc;

use chunk_wire::review::Verdict;

use super::editor::Editor;
use super::item::Item;
use super::keys::Action;
use super::model::{Link, Mode, Model, REASON_BYTES_MAX, Tab, noun};
use super::update::{Effect, Event, act, judge, names, schedule, undo, update};
use crate::commands::{query, request};
use crate::document::Checked;
use crate::{figures, text};

/// Requests that are read out at once.
const LISTED_AT_ONCE: usize = 20;

const COMMANDS: &str = "\
list             what waits for you, numbered
more             the next of the list
history          what was decided
show N           one request whole; N is its number in the list, or its id
approve N        asks why, and approves
reject N [N …]   asks why, and rejects
undo             takes the newest verdict back while it counts down
filter WORDS     lists only what matches: words, dataset:NAME, by:PERSON; without words, everything
quit             ends; a verdict that still counts down is not sent";

/// What was said so far, as far as it matters for what is said next.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    /// What the numbers of the last list mean.
    listed: Vec<u64>,
    /// How many of them were read out.
    read_out: usize,
    /// A verdict that waits for its reason.
    asking: Option<(Verdict, Vec<Rc<Checked>>)>,
    greeted: bool,
    lost: bool,
    notices: u64,
    words: Vec<String>,
}

impl Dialogue {
    /// Takes what happened.
    pub(crate) fn hear(&mut self, model: &mut Model, event: Event) -> Vec<Effect> {
        let effects = match event {
            Event::Line(line) => self.line(model, line.trim()),
            Event::Request(view) => {
                let known = model.by_id(&view.id).is_some();
                let id = view.id.clone();
                let effects = update(model, Event::Request(view));
                let new = model.by_id(&id).filter(|item| !known && item.waits_for(&model.me));
                if let Some(item) = new.filter(|_| self.greeted) {
                    let words = format!("New: {}. Type `show {id}`.", sentence(model, item));
                    self.say(words);
                }
                effects
            }
            Event::Listed(left_out) => {
                let effects = update(model, Event::Listed(left_out));
                if !std::mem::replace(&mut self.greeted, true) {
                    self.list(model, Tab::Inbox);
                    self.say("Type `help` for what can be typed.");
                }
                effects
            }
            event => update(model, event),
        };
        match &model.link {
            Link::Lost(why) if !self.lost => {
                self.lost = true;
                let words = format!("The broker is not heard ({why}); it is asked again.");
                self.say(words);
            }
            Link::Live => self.lost = false,
            _ => {}
        }
        let (said, notices) = model.said_since(self.notices);
        let notices: Vec<String> = notices.map(|notice| notice.words.clone()).collect();
        self.notices = said;
        self.words.extend(notices);
        effects
    }

    /// What is to be said since this was asked last.
    pub(crate) fn take_words(&mut self) -> String {
        std::mem::take(&mut self.words).join("\n")
    }

    /// What stands before what is typed.
    pub(crate) fn prompt(&self) -> &'static str {
        if self.asking.is_some() { "why> " } else { "review> " }
    }

    fn say(&mut self, words: impl Into<String>) {
        self.words.push(words.into());
    }

    fn line(&mut self, model: &mut Model, line: &str) -> Vec<Effect> {
        model.settle();
        let mut effects = Vec::new();
        if let Some((verdict, on)) = self.asking.take() {
            self.reason(model, verdict, on, line, &mut effects);
            return effects;
        }
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "" => {}
            "help" | "?" => self.say(COMMANDS),
            "list" => self.list(model, Tab::Inbox),
            "history" => self.list(model, Tab::History),
            "more" => self.more(model),
            "filter" => self.filter(model, rest),
            "show" => self.show(model, rest),
            "approve" => self.ask(model, Verdict::Approve, rest),
            "reject" => self.ask(model, Verdict::Reject, rest),
            "undo" => undo(model),
            "quit" | "exit" => act(model, Action::Quit, &mut effects),
            _ => self.say(format!("There is no `{}`; type `help`.", text::line(command))),
        }
        if model.leaving.is_some() && model.sending.is_empty() {
            effects.push(Effect::Quit);
        }
        effects
    }

    fn list(&mut self, model: &mut Model, tab: Tab) {
        model.tab = tab;
        model.settle();
        let pane = model.pane(tab);
        self.listed.clone_from(&pane.shown);
        self.read_out = 0;
        let what = match tab {
            Tab::Inbox => "waiting for you",
            Tab::History => "decided",
        };
        let filter = model.filter_text.text();
        let filtered = if filter.is_empty() {
            String::new()
        } else {
            format!(", of {} without the filter `{filter}`", figures::count(pane.all as u64))
        };
        let words = format!("{} {what}{filtered}.", figures::plural(self.listed.len() as u64, "request"));
        self.say(words);
        if !self.listed.is_empty() {
            self.more(model);
        }
    }

    fn more(&mut self, model: &Model) {
        if self.read_out == self.listed.len() {
            return self.say("That is all.");
        }
        let end = (self.read_out + LISTED_AT_ONCE).min(self.listed.len());
        for n in self.read_out..end {
            if let Some(item) = self.listed.get(n).and_then(|index| model.item(*index)) {
                let words = format!("{}. {}.", n + 1, sentence(model, item));
                self.say(words);
            }
        }
        self.read_out = end;
        let left = self.listed.len() - end;
        if left > 0 {
            self.say(format!("{} more; type `more`.", figures::count(left as u64)));
        }
    }

    fn filter(&mut self, model: &mut Model, words: &str) {
        model.filter_text.clear();
        model.filter_text.insert(words);
        model.is_stale();
        let tab = model.tab;
        self.list(model, tab);
    }

    fn show(&mut self, model: &Model, word: &str) {
        let Some(item) = self.named(model, word.trim()).and_then(|index| model.item(index)) else {
            return self.say(unknown(word));
        };
        let words = match item.checked() {
            Ok(checked) => request::show(item.view(), checked.document(), model.now_ms),
            Err(why) => format!(
                "{} cannot be judged, and nothing of it can be believed: {}.",
                item.view().id,
                text::line(why)
            ),
        };
        self.say(words.trim_end());
    }

    fn ask(&mut self, model: &mut Model, verdict: Verdict, words: &str) {
        let mut indices = Vec::new();
        for word in words.split_whitespace() {
            match self.named(model, word) {
                Some(index) => indices.push(index),
                None => return self.say(unknown(word)),
            }
        }
        indices.dedup();
        match (indices.as_slice(), verdict) {
            ([], _) => return self.say("Which? Say its number in the list, or its id."),
            ([_, _, ..], Verdict::Approve) => return self.say("Approve one at a time: each is a document to be read."),
            _ => {}
        }
        judge(model, verdict, &indices);
        if let Mode::Judging(judgement) = std::mem::replace(&mut model.mode, Mode::Listing) {
            self.say(format!(
                "Why? One line; an empty one cancels the {} of {}.",
                noun(verdict),
                names(&judgement.on)
            ));
            self.asking = Some((verdict, judgement.on));
        }
    }

    fn reason(&mut self, model: &mut Model, verdict: Verdict, on: Vec<Rc<Checked>>, line: &str, effects: &mut Vec<Effect>) {
        // What a terminal would not show must not be signed as a reason either.
        let mut reason = Editor::new(REASON_BYTES_MAX);
        reason.insert(line);
        if reason.text().trim().is_empty() {
            return self.say("Cancelled. Nothing was signed.");
        }
        if model.undo_ms > 0 {
            let s = model.undo_ms / 1000;
            self.say(format!(
                "The {} of {} is signed in {s} s; `undo` takes it back.",
                noun(verdict),
                names(&on)
            ));
        }
        schedule(model, verdict, on, reason.text().trim(), effects);
    }

    /// A request by its number in the last list, or its id.
    fn named(&self, model: &Model, word: &str) -> Option<u64> {
        match word.parse::<usize>() {
            Ok(n) => self.listed.get(n.checked_sub(1)?).copied(),
            Err(_) => model.by_id(&word.parse().ok()?).map(|item| item.view().index),
        }
    }
}

fn unknown(word: &str) -> String {
    format!("There is no request `{}` here; type `list`.", text::line(word.trim()))
}

fn sentence(model: &Model, item: &Item) -> String {
    let view = item.view();
    let rows = view.rows_estimated.map_or_else(
        || "rows not known beforehand".to_owned(),
        |rows| format!("about {}", figures::plural(rows, "row")),
    );
    let state = if let Some(stage) = item.turn_of_others(&model.me) {
        format!(", for {} first", text::line(&query::reviewers(stage)))
    } else if item.waits_for(&model.me) {
        String::new()
    } else {
        format!(", {}", view.state.as_str())
    };
    let asks = if view.review_due { "took in an emergency" } else { "asks for" };
    format!(
        "{} {asks} {}, {rows}, {}{state}: {}",
        text::line(&view.requester.name),
        item.what,
        figures::from_now(view.created_ms, model.now_ms),
        item.checked()
            .map_or_else(|_| "(refused)".into(), |checked| text::line(&checked.document().reason)),
    )
}

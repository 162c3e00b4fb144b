//! What happens next? Pure: an event changes the model, and what is to be done outside comes back as effects.

use std::rc::Rc;

use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::id::RequestId;
use chunk_wire::review::Verdict;
use ratatui::crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

use super::item::Item;
use super::keys::{self, Action};
use super::model::{Judgement, Link, Mode, Model, REASON_BYTES_MAX, Scheduled, Tab, Tone, noun};
use super::view;
use crate::commands::query;
use crate::commands::review::told;
use crate::document::Checked;
use crate::error::{Failure, Result};
use crate::review::editor::Editor;
use crate::text;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    Key(KeyEvent),
    Mouse(MouseEvent),
    /// Text that was pasted.
    Paste(String),
    /// A line that was typed, where there is no screen.
    Line(String),
    Resize(u16, u16),
    /// What time it is by the broker's clock, ms since 1970.
    Tick(i64),
    /// The broker begins to tell what is pending.
    List,
    /// A request as it stands now.
    Request(Box<RequestView>),
    /// Everything pending was told, but for this many older ones.
    Listed(usize),
    /// The broker is not heard any more.
    Lost(Failure),
    /// What was asked for as history.
    History(Result<Vec<RequestView>>),
    /// What became of a verdict that was sent.
    Answered {
        id: RequestId,
        verdict: Verdict,
        answer: Box<Result<RequestView>>,
    },
    /// The terminal says no more, or somebody asked the program to end.
    Leave,
    /// There is nothing more to be read.
    End,
    /// Somebody asked the program to stop for a while.
    Stop,
    /// Somebody brought the program back.
    Back,
}

/// Something to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Read what was decided before.
    ReadHistory,
    /// Sign and send a verdict.
    Send {
        on: Rc<Checked>,
        verdict: Verdict,
        reason: Rc<str>,
    },
    /// Stop until somebody brings the program back.
    Suspend,
    /// Draw everything anew.
    Redraw,
    Quit,
}

/// Whoever quits waits no longer for the answer to what is signed.
const ANSWER_WAIT_MS: i64 = 5_000;

/// Takes an event.
pub(crate) fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        Event::Tick(now_ms) => {
            model.now_ms = now_ms;
            send_due(model, &mut effects);
        }
        Event::Key(key) if key.kind != KeyEventKind::Release => on_key(model, &key, &mut effects),
        Event::Key(_) | Event::Line(_) => {}
        Event::Mouse(mouse) => on_mouse(model, mouse),
        Event::Paste(pasted) => on_paste(model, &pasted),
        Event::Resize(columns, rows) => model.size = (columns, rows),
        Event::List => model.begin_list(),
        Event::Request(view) => learn(model, *view),
        Event::Listed(left_out) => {
            if matches!(model.link, Link::Lost(_)) {
                model.say(Tone::Plain, "The broker is heard again.");
            }
            model.end_list(left_out);
        }
        Event::Lost(failure) => {
            let why = failure.why.first().unwrap_or(&failure.what);
            model.link = Link::Lost(text::line(why).into_owned());
        }
        Event::History(Ok(views)) => views.into_iter().for_each(|view| learn(model, view)),
        Event::History(Err(failure)) => model.say(Tone::Bad, format!("The history cannot be read: {}.", text::line(&failure.what))),
        Event::Answered { id, verdict, answer } => answered(model, &id, verdict, *answer),
        Event::Leave | Event::End => quit(model, &mut effects),
        Event::Stop => effects.push(Effect::Suspend),
        Event::Back => effects.push(Effect::Redraw),
    }
    if model.leaving.is_some_and(|at_ms| model.sending.is_empty() || at_ms <= model.now_ms) {
        effects.push(Effect::Quit);
    }
    effects
}

fn on_key(model: &mut Model, key: &KeyEvent, effects: &mut Vec<Effect>) {
    model.settle();
    let Some(action) = keys::action(model.place(), key) else {
        match &mut model.mode {
            Mode::Filtering => {
                if model.filter_text.key(key) {
                    model.is_stale();
                }
            }
            Mode::Judging(judgement) => {
                judgement.fault = None;
                judgement.reason.key(key);
            }
            Mode::Listing | Mode::Reading | Mode::Helping => {}
        }
        return;
    };
    act(model, action, effects);
}

/// Does what a key or a click means.
pub(crate) fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Up => walk(model, -1),
        Action::Down => walk(model, 1),
        Action::PageUp => walk(model, -page(model)),
        Action::PageDown => walk(model, page(model)),
        Action::First => walk(model, i64::MIN / 2),
        Action::Last => walk(model, i64::MAX / 2),
        Action::Open if model.selected().is_some() => model.mode = Mode::Reading,
        Action::Open => {}
        Action::Back => back(model),
        Action::Approve => judge_selected(model, Verdict::Approve),
        Action::Reject => judge_selected(model, Verdict::Reject),
        Action::RejectMarked => reject_marked(model),
        Action::Mark => mark(model),
        Action::MarkAll => mark_all(model),
        Action::Undo => undo(model),
        Action::Filter => model.mode = Mode::Filtering,
        Action::OtherTab => other_tab(model),
        Action::Help => {
            model.help_top = 0;
            model.mode = Mode::Helping;
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Quit => quit(model, effects),
        Action::Submit => submit(model, effects),
        Action::Cancel => cancel(model),
    }
}

/// Moves by rows of the list, or by lines of what is read.
fn walk(model: &mut Model, by: i64) {
    let moved = |from: usize, most: usize| -> usize {
        let to = i64::try_from(from).unwrap_or(i64::MAX / 2).saturating_add(by).max(0);
        usize::try_from(to).unwrap_or(0).min(most)
    };
    match model.mode {
        Mode::Reading => model.detail_top = moved(model.detail_top, view::detail_top_max(model)),
        Mode::Helping => model.help_top = moved(model.help_top, view::help_top_max(model)),
        _ => {
            let rows = view::list_rows(model);
            let pane = model.open_pane();
            let before = pane.selected;
            let row = moved(pane.position().unwrap_or(0), usize::MAX);
            pane.select(row, rows);
            if pane.selected != before {
                model.detail_top = 0;
            }
        }
    }
}

fn page(model: &Model) -> i64 {
    let rows = match model.mode {
        Mode::Reading => view::detail_rows(model),
        _ => view::list_rows(model),
    };
    i64::try_from(rows.saturating_sub(1).max(1)).unwrap_or(1)
}

fn back(model: &mut Model) {
    match model.mode {
        Mode::Listing if !model.filter_text.text().is_empty() => {
            model.filter_text.clear();
            model.is_stale();
        }
        Mode::Listing => model.marked.clear(),
        _ => model.mode = Mode::Listing,
    }
}

fn other_tab(model: &mut Model) {
    model.tab = match model.tab {
        Tab::Inbox => Tab::History,
        Tab::History => Tab::Inbox,
    };
    model.mode = Mode::Listing;
    model.detail_top = 0;
}

fn mark(model: &mut Model) {
    if model.tab != Tab::Inbox {
        return model.say(Tone::Plain, "Only what waits can be marked.");
    }
    if let Some(index) = model.pane(Tab::Inbox).selected {
        if !model.marked.remove(&index) {
            model.marked.insert(index);
        }
        walk(model, 1);
    }
}

fn mark_all(model: &mut Model) {
    if model.tab != Tab::Inbox {
        return model.say(Tone::Plain, "Only what waits can be marked.");
    }
    let shown = model.pane(Tab::Inbox).shown.clone();
    if shown.iter().all(|index| model.marked.contains(index)) {
        for index in &shown {
            model.marked.remove(index);
        }
    } else {
        model.marked.extend(shown);
    }
}

fn judge_selected(model: &mut Model, verdict: Verdict) {
    let Some(index) = model.pane(model.tab).selected else {
        return model.say(Tone::Plain, "There is no request here.");
    };
    judge(model, verdict, &[index]);
}

fn reject_marked(model: &mut Model) {
    let marked: Vec<u64> = model.marked.iter().copied().collect();
    if marked.is_empty() {
        return model.say(Tone::Plain, "Nothing is marked; Space marks.");
    }
    judge(model, Verdict::Reject, &marked);
}

/// Asks for the reason of a verdict over these requests, if all of them can be judged.
pub(crate) fn judge(model: &mut Model, verdict: Verdict, indices: &[u64]) {
    let mut on = Vec::new();
    for item in indices.iter().filter_map(|index| model.item(*index)) {
        let id = &item.view().id;
        let fault = match item.checked() {
            Err(why) => Some(format!("{id} cannot be judged: {}.", text::line(why))),
            Ok(_) if !item.waits_for(&model.me) => Some(format!("{id} does not wait for you: it is {}.", standing(model, item))),
            Ok(_) if verdict == Verdict::Approve && item.turn_of_others(&model.me).is_some() => {
                let others = item.turn_of_others(&model.me).map(query::reviewers).unwrap_or_default();
                Some(format!("{id} waits for {} first; you can reject it.", text::line(&others)))
            }
            Ok(_) if model.begun(id).is_some() => Some(format!("{id} has your verdict already; u takes it back.")),
            Ok(checked) => {
                on.push(Rc::clone(checked));
                None
            }
        };
        if let Some(fault) = fault {
            return model.say(Tone::Bad, fault);
        }
    }
    if on.is_empty() {
        return;
    }
    let was_reading = matches!(model.mode, Mode::Reading);
    model.mode = Mode::Judging(Judgement {
        verdict,
        on,
        reason: Editor::new(REASON_BYTES_MAX),
        fault: None,
        was_reading,
    });
}

/// How a request that waits for nobody here stands.
fn standing(model: &Model, item: &Item) -> &'static str {
    let view = item.view();
    match view.state {
        RequestState::Pending if item.is_by(&model.me) => "your own",
        RequestState::Pending => "reviewed by you already",
        state => state.as_str(),
    }
}

fn submit(model: &mut Model, effects: &mut Vec<Effect>) {
    match std::mem::replace(&mut model.mode, Mode::Listing) {
        Mode::Judging(mut judgement) if judgement.reason.text().trim().is_empty() => {
            judgement.fault = Some("A verdict needs a reason.");
            model.mode = Mode::Judging(judgement);
        }
        Mode::Judging(judgement) => {
            if judgement.was_reading {
                model.mode = Mode::Reading;
            }
            schedule(model, judgement.verdict, judgement.on, judgement.reason.text().trim(), effects);
        }
        _ => {}
    }
}

/// Begins the count-down of a verdict.
pub(crate) fn schedule(model: &mut Model, verdict: Verdict, on: Vec<Rc<Checked>>, reason: &str, effects: &mut Vec<Effect>) {
    for checked in &on {
        model.marked.remove(&checked.view().index);
    }
    model.scheduled.push(Scheduled {
        verdict,
        on,
        reason: reason.into(),
        due_ms: model.now_ms + model.undo_ms,
    });
    send_due(model, effects);
}

fn cancel(model: &mut Model) {
    match std::mem::replace(&mut model.mode, Mode::Listing) {
        Mode::Filtering => {
            model.filter_text.clear();
            model.is_stale();
        }
        Mode::Judging(judgement) if judgement.was_reading => model.mode = Mode::Reading,
        _ => {}
    }
}

/// Takes back the newest verdict that counts down.
pub(crate) fn undo(model: &mut Model) {
    match model.scheduled.pop() {
        Some(scheduled) => {
            let words = format!(
                "The {} of {} is taken back. Nothing was signed.",
                noun(scheduled.verdict),
                names(&scheduled.on)
            );
            model.say(Tone::Plain, words);
        }
        None if model.sending.is_empty() => model.say(Tone::Plain, "There is nothing to take back."),
        None => model.say(Tone::Bad, "Too late: it is signed and on its way."),
    }
}

/// `req_…`, or how many.
pub(crate) fn names(on: &[Rc<Checked>]) -> String {
    match on {
        [one] => one.view().id.to_string(),
        many => format!("{} requests", many.len()),
    }
}

/// Hands over every verdict whose time to be taken back is over.
fn send_due(model: &mut Model, effects: &mut Vec<Effect>) {
    let now_ms = model.now_ms;
    let (due, later) = std::mem::take(&mut model.scheduled)
        .into_iter()
        .partition(|scheduled| scheduled.due_ms <= now_ms);
    model.scheduled = later;
    let due: Vec<Scheduled> = due;
    for Scheduled { verdict, on, reason, .. } in due {
        for on in on {
            model.sending.insert(on.view().id.clone(), verdict);
            effects.push(Effect::Send {
                on,
                verdict,
                reason: Rc::clone(&reason),
            });
        }
    }
}

/// Takes a request as it stands now; a verdict that was begun on it and has become pointless is dropped.
fn learn(model: &mut Model, view: RequestView) {
    let item = Item::new(view);
    let id = item.view().id.clone();
    let index = item.view().index;
    let swapped = model
        .by_id(&id)
        .is_some_and(|known| known.view().index != index || known.view().digest != item.view().digest);
    if swapped {
        return model.say(
            Tone::Bad,
            format!("The broker told of another document for {id} than before; it was not taken."),
        );
    }
    let by = item
        .view()
        .reviews
        .last()
        .map(|review| text::line(&review.reviewer.name).into_owned());
    let (waits, state) = (item.waits_for(&model.me), item.view().state);
    model.learn(item);
    if waits {
        return;
    }
    let mut dropped = None;
    for scheduled in &mut model.scheduled {
        let before = scheduled.on.len();
        scheduled.on.retain(|checked| checked.view().id != id);
        if scheduled.on.len() < before {
            dropped = Some(scheduled.verdict);
        }
    }
    model.scheduled.retain(|scheduled| !scheduled.on.is_empty());
    if let Some(verdict) = dropped {
        let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
        let words = format!("{id} is {}{by} meanwhile; your {} was not signed.", state.as_str(), noun(verdict));
        model.say(Tone::Bad, words.clone());
        model.deeds.push(words);
    }
}

fn answered(model: &mut Model, id: &RequestId, verdict: Verdict, answer: Result<RequestView>) {
    model.sending.remove(id);
    match answer {
        Ok(after) => {
            let words = told(verdict, &after);
            learn(model, after);
            model.say(Tone::Good, words.clone());
            model.deeds.push(words);
        }
        Err(failure) => {
            let because = failure
                .why
                .first()
                .map(|why| format!(": {}", text::line(why).trim_end_matches('.')))
                .unwrap_or_default();
            let words = format!(
                "The {} of {id} did not count: {}{because}.",
                noun(verdict),
                text::line(&failure.what)
            );
            model.say(Tone::Bad, words.clone());
            model.deeds.push(words);
        }
    }
}

fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    model.drop_scheduled();
    if model.leaving.is_some() {
        // Asked twice: what is on its way is not waited for.
        effects.push(Effect::Quit);
    }
    model.leaving = Some(model.now_ms + ANSWER_WAIT_MS);
    if !model.sending.is_empty() {
        model.say(Tone::Plain, "Waiting for the answer to what is signed; q again does not wait.");
    }
}

fn on_paste(model: &mut Model, pasted: &str) {
    match &mut model.mode {
        Mode::Filtering => {
            model.filter_text.insert(pasted);
            model.is_stale();
        }
        Mode::Judging(judgement) => {
            judgement.fault = None;
            judgement.reason.insert(pasted);
        }
        Mode::Listing | Mode::Reading | Mode::Helping => {}
    }
}

fn on_mouse(model: &mut Model, mouse: MouseEvent) {
    model.settle();
    let spot = view::spot(model, mouse.column, mouse.row);
    if matches!(model.mode, Mode::Judging(_) | Mode::Filtering) {
        return; // a click beside the box must not lose what was typed
    }
    match mouse.kind {
        MouseEventKind::ScrollUp => scroll(model, &spot, -3),
        MouseEventKind::ScrollDown => scroll(model, &spot, 3),
        MouseEventKind::Down(MouseButton::Left) => match spot {
            view::Spot::Tab(tab) if tab != model.tab => other_tab(model),
            view::Spot::Row(row) => {
                let rows = view::list_rows(model);
                let pane = model.open_pane();
                let before = pane.selected;
                if row < pane.shown.len() {
                    pane.select(row, rows);
                }
                let again = pane.selected == before;
                // A second click on the same row opens it, as Enter would.
                model.mode = if again { Mode::Reading } else { Mode::Listing };
                if !again {
                    model.detail_top = 0;
                }
            }
            view::Spot::Detail if model.selected().is_some() => model.mode = Mode::Reading,
            _ => {}
        },
        _ => {}
    }
}

fn scroll(model: &mut Model, spot: &view::Spot, by: i64) {
    match (&model.mode, spot) {
        (Mode::Helping, _) => walk(model, by),
        (_, view::Spot::Detail) => {
            let most = view::detail_top_max(model);
            let to = i64::try_from(model.detail_top).unwrap_or(0) + by;
            model.detail_top = usize::try_from(to.max(0)).unwrap_or(0).min(most);
        }
        (_, view::Spot::Row(_)) => {
            let reading = matches!(model.mode, Mode::Reading);
            if reading {
                model.mode = Mode::Listing;
            }
            walk(model, by);
        }
        _ => {}
    }
}

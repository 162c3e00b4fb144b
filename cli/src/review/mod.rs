//! `chunkctl review`: a reviewer's inbox on the terminal.
//!
//! What is shown is a pure function of a model ([`view`]), and what happens a pure function of model and event ([`update`]);
//! only this file, [`screen`] and [`broker`] touch the world. A verdict is signed by the same function that `chunkctl approve`
//! uses, over the document that was checked and shown, and only after it could be taken back for a few seconds.

mod broker;
mod detail;
mod editor;
mod item;
mod keys;
mod model;
mod plain;
mod popup;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod samples;
mod screen;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod theme;
mod update;
mod view;
mod wrap;

use std::io::BufRead as _;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded_channel};

use crate::auth::agent::SshSigner;
use crate::client::session::Session;
use crate::context::Context;
use crate::error::{Failure, Result};
use model::Model;
use plain::Dialogue;
use screen::Screen;
use theme::Theme;
use update::{Effect, Event, update};

/// Events that wait to be taken; whoever brings more waits.
const EVENTS_QUEUED_MAX: usize = 1024;
/// Events that are taken before the screen is drawn again.
const EVENTS_TAKEN_MAX: usize = 512;
/// How often ages are looked at, and how often a count-down is.
const TICK: Duration = Duration::from_secs(1);
const TICK_COUNTING: Duration = Duration::from_millis(200);

/// How the reviewer wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Line by line, without a screen.
    pub(crate) plain: bool,
    /// How long a verdict can be taken back.
    pub(crate) undo_ms: i64,
}

/// Reviews until the reviewer has had enough.
///
/// # Errors
/// When there is no terminal, the session has ended, or the program was asked from outside to end.
pub(crate) fn run(cx: &Context<'_>, terms: Terms, ssh: Option<SshSigner>) -> Result<()> {
    if cx.ui.is_json() {
        return Err(commands_instead(
            "`review` talks with a person, and `--json` is for programs",
            " --json",
        ));
    }
    if !terms.plain && !screen::is_terminal() {
        return Err(commands_instead("`review` needs a terminal for its screen", "")
            .why("`chunkctl review --plain` asks and answers line by line, without a screen"));
    }
    cx.with_session(async |session| {
        let (events, queue) = channel(EVENTS_QUEUED_MAX);
        let (errands, to_do) = unbounded_channel();
        let now_ms = session.broker.now_ms();
        let mut model = Model::new(session.person(), now_ms, (80, 24), terms.undo_ms);
        errands.send(Effect::ReadHistory).ok(); // the receiver is ours
        let outcome = tokio::select! {
            failure = broker::follow(session, &events) => Err(failure),
            failure = broker::run_errands(session, ssh.as_ref(), to_do, &events) => Err(failure),
            failure = screen::hear_signals(&events) => Err(failure),
            outcome = attend(cx, session, terms, &mut model, &events, queue, &errands) => outcome,
        };
        model.drop_scheduled();
        model.drop_sending();
        model.deeds.iter().for_each(|deed| cx.ui.say(deed));
        outcome
    })
}

async fn attend(
    cx: &Context<'_>,
    session: &Session<'_>,
    terms: Terms,
    model: &mut Model,
    events: &Sender<Event>,
    queue: Receiver<Event>,
    errands: &UnboundedSender<Effect>,
) -> Result<()> {
    if terms.plain {
        return converse(cx, session, model, events, queue, errands).await;
    }
    let mut screen = Screen::open(Theme::new(!cx.ui.is_colourless()))?;
    screen.listen(events.clone())?;
    watch(session, model, &mut screen, queue, errands).await
}

/// With a screen.
async fn watch(
    session: &Session<'_>,
    model: &mut Model,
    screen: &mut Screen,
    mut queue: Receiver<Event>,
    errands: &UnboundedSender<Effect>,
) -> Result<()> {
    let mut asked_from_outside = false;
    loop {
        // A new size is known here before it is told.
        model.size = screen.size()?;
        model.settle();
        screen.draw(model)?;
        let first = next(model, &mut queue).await;
        let mut effects = update(model, Event::Tick(session.broker.now_ms()));
        let mut taken = 0;
        let mut event = first;
        while let Some(happened) = event {
            asked_from_outside |= matches!(happened, Event::Leave);
            effects.append(&mut update(model, happened));
            taken += 1;
            event = if taken < EVENTS_TAKEN_MAX { queue.try_recv().ok() } else { None };
        }
        for effect in effects {
            match effect {
                Effect::Quit if asked_from_outside => return Err(interrupted()),
                Effect::Quit => return Ok(()),
                Effect::Suspend => screen.suspend()?,
                Effect::Redraw => screen.enter_again()?,
                errand => drop(errands.send(errand)),
            }
        }
    }
}

/// Line by line.
async fn converse(
    cx: &Context<'_>,
    session: &Session<'_>,
    model: &mut Model,
    events: &Sender<Event>,
    mut queue: Receiver<Event>,
    errands: &UnboundedSender<Effect>,
) -> Result<()> {
    read_lines(events.clone())?;
    let mut dialogue = Dialogue::default();
    let mut asked_from_outside = false;
    loop {
        let event = next(model, &mut queue).await;
        let mut effects = dialogue.hear(model, Event::Tick(session.broker.now_ms()));
        let mut answers_line = false;
        if let Some(event) = event {
            asked_from_outside |= matches!(event, Event::Leave);
            answers_line = matches!(event, Event::Line(_) | Event::Listed(_));
            effects.append(&mut dialogue.hear(model, event));
        }
        let said = dialogue.take_words();
        if !said.is_empty() {
            cx.ui.answer(&said)?;
        }
        for effect in effects {
            match effect {
                Effect::Quit if asked_from_outside => return Err(interrupted()),
                Effect::Quit => return Ok(()),
                Effect::Suspend => screen::stop()?,
                Effect::Redraw => {}
                errand => drop(errands.send(errand)),
            }
        }
        if answers_line {
            cx.ui.verbatim(dialogue.prompt().as_bytes())?;
        }
    }
}

/// The next event, or none when it is time to look at the clock.
async fn next(model: &Model, queue: &mut Receiver<Event>) -> Option<Event> {
    let counting = !model.scheduled.is_empty() || model.leaving.is_some();
    let tick = if counting { TICK_COUNTING } else { TICK };
    tokio::time::timeout(tick, queue.recv()).await.ok().flatten()
}

/// Reads what is typed, on a thread of its own: nothing else waits for it.
fn read_lines(events: Sender<Event>) -> Result<()> {
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if events.blocking_send(Event::Line(line)).is_err() {
                return;
            }
        }
        events.blocking_send(Event::End).ok(); // the other side may have ended first
    };
    let thread = std::thread::Builder::new().name("input".to_owned()).spawn(read);
    thread
        .map(drop)
        .map_err(|error| Failure::cannot_tell("system", "cannot start").why(crate::error::io_words(&error)))
}

fn interrupted() -> Failure {
    Failure::cannot_tell("interrupted", "the review was ended from outside").hint("chunkctl review")
}

/// What does the same without a dialogue.
fn commands_instead(what: &str, option: &str) -> Failure {
    Failure::usage(what)
        .why(format!("`chunkctl requests --pending{option}` lists what waits"))
        .why(format!("`chunkctl request show ID{option}` shows one request whole"))
        .why(format!(
            "`chunkctl approve ID --reason TEXT{option}` and `chunkctl reject ID --reason TEXT{option}` decide"
        ))
        .hint(format!("chunkctl requests --pending{option}"))
}

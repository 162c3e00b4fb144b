//! The terminal: taken over, and always given back: at the end, on errors and panics, and while the program is stopped.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::SIGSTOP;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Sender;

use super::model::Model;
use super::theme::Theme;
use super::update::Event;
use super::view::view;
use crate::commands::approval_wait::interrupted;
use crate::error::{Failure, Result};

/// How long the reading thread waits before it looks whether anybody still listens.
const LOOK_EVERY: Duration = Duration::from_millis(100);

type Hook = dyn Fn(&PanicHookInfo<'_>) + Sync + Send;

/// The screen, while it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<std::io::Stdout>>,
    theme: Theme,
    /// Keys are read; while the program gives the terminal back they are the shell's.
    reading: Arc<AtomicBool>,
    hook_before: Arc<Hook>,
}

/// Whether keys can be read from, and a screen be drawn on, a terminal that can move its cursor.
pub(super) fn is_terminal() -> bool {
    let simple = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !simple
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be set up; it is as before then.
    pub(super) fn open(theme: Theme) -> Result<Self> {
        // A panic is told on a terminal that can be read.
        let hook_before: Arc<Hook> = Arc::from(std::panic::take_hook());
        let tell = Arc::clone(&hook_before);
        std::panic::set_hook(Box::new(move |info| {
            leave();
            tell(info);
        }));
        match enter() {
            Ok(terminal) => Ok(Self {
                terminal,
                theme,
                reading: Arc::new(AtomicBool::new(true)),
                hook_before,
            }),
            Err(error) => {
                leave();
                std::panic::set_hook(Box::new(move |info| hook_before(info)));
                Err(broken(&error))
            }
        }
    }

    pub(super) fn size(&self) -> Result<(u16, u16)> {
        let size = self.terminal.size().map_err(|error| broken(&error))?;
        Ok((size.width, size.height))
    }

    pub(super) fn draw(&mut self, model: &Model) -> Result<()> {
        let theme = self.theme;
        self.terminal
            .draw(|frame| view(model, frame, theme))
            .map(drop)
            .map_err(|error| broken(&error))
    }

    /// Reads keys, clicks and new sizes, on a thread of its own.
    pub(super) fn listen(&self, events: Sender<Event>) -> Result<()> {
        let reading = Arc::clone(&self.reading);
        let read = move || {
            while !events.is_closed() {
                if !reading.load(Ordering::SeqCst) {
                    std::thread::park_timeout(LOOK_EVERY);
                    continue;
                }
                let happened = match event::poll(LOOK_EVERY) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let event = match happened {
                    Ok(event::Event::Key(key)) => Event::Key(key),
                    Ok(event::Event::Mouse(mouse)) => Event::Mouse(mouse),
                    Ok(event::Event::Paste(text)) => Event::Paste(text),
                    Ok(event::Event::Resize(columns, rows)) => Event::Resize(columns, rows),
                    Ok(_) => continue,
                    // A terminal that is gone sends nothing any more.
                    Err(_) => {
                        events.blocking_send(Event::Leave).ok(); // the other side may have ended first
                        return;
                    }
                };
                if events.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("input".to_owned()).spawn(read);
        thread.map(drop).map_err(|error| broken(&error))
    }

    /// Gives the terminal back, stops the program as Ctrl-Z would, and takes the terminal again when it is brought back.
    pub(super) fn suspend(&mut self) -> Result<()> {
        self.reading.store(false, Ordering::SeqCst);
        leave();
        let stopped = stop();
        self.reading.store(true, Ordering::SeqCst);
        stopped?;
        self.enter_again()
    }

    /// Takes the terminal anew and draws everything, whatever a shell or another program left on it.
    pub(super) fn enter_again(&mut self) -> Result<()> {
        leave();
        self.terminal = enter().map_err(|error| broken(&error))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
        if !std::thread::panicking() {
            let before = Arc::clone(&self.hook_before);
            std::panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

/// Stops here, until somebody sends SIGCONT.
pub(super) fn stop() -> Result<()> {
    signal_hook::low_level::raise(SIGSTOP).map_err(|error| broken(&error))
}

/// Takes the terminal, and knows of an empty screen only. `Terminal::clear` would ask the terminal where its cursor is, and not every
/// terminal answers.
fn enter() -> std::io::Result<Terminal<CrosstermBackend<std::io::Stdout>>> {
    enable_raw_mode()?;
    let mut out = std::io::stdout();
    execute!(
        out,
        EnterAlternateScreen,
        Clear(ClearType::All),
        EnableMouseCapture,
        EnableBracketedPaste
    )?;
    Terminal::new(CrosstermBackend::new(out))
}

/// As it was. Each step is tried whatever became of the others.
fn leave() {
    let mut out = std::io::stdout();
    execute!(out, DisableBracketedPaste).ok();
    execute!(out, DisableMouseCapture).ok();
    execute!(out, LeaveAlternateScreen).ok();
    execute!(out, Show).ok();
    disable_raw_mode().ok();
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::cannot_tell("terminal", "the terminal cannot be used")
        .why(crate::error::io_words(error))
        .hint("chunkctl review --plain")
}

/// Tells what the system asks of the program: to end, to stop for a while, or that it was brought back.
pub(super) async fn hear_signals(events: &Sender<Event>) -> Failure {
    const SIGTSTP: i32 = signal_hook::consts::SIGTSTP;
    const SIGCONT: i32 = signal_hook::consts::SIGCONT;
    let listen = |number| signal(SignalKind::from_raw(number));
    let (mut stop, mut back) = match (listen(SIGTSTP), listen(SIGCONT)) {
        (Ok(stop), Ok(back)) => (stop, back),
        (Err(error), _) | (_, Err(error)) => return broken(&error),
    };
    loop {
        let event = tokio::select! {
            () = interrupted() => Event::Leave,
            _ = stop.recv() => Event::Stop,
            _ = back.recv() => Event::Back,
        };
        if events.send(event).await.is_err() {
            return Failure::bug("the review lost its own events");
        }
    }
}

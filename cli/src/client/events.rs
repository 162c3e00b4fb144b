//! Server-sent events: how does a waiting command hear that a reviewer has spoken?
//!
//! The stream is parsed here as the HTML standard describes it (§9.2.6), with a bound on what one event may hold. A stream that
//! breaks is joined again by whoever follows it, after a pause that grows.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::session::Session;
use crate::client::{Call, connection};
use crate::error::{Failure, Result};

/// The broker sends something every 15 s; a stream silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const RETRY_FIRST: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A stream of events under a session.
pub(crate) struct Stream {
    response: reqwest::Response,
    parser: Parser,
    ready: VecDeque<Event>,
}

impl Stream {
    /// # Errors
    /// When the broker cannot be reached or says no.
    pub(crate) async fn open(session: &Session<'_>, call: Call) -> Result<Self> {
        Ok(Self {
            response: session.send(&call.stream("text/event-stream")).await?,
            parser: Parser::default(),
            ready: VecDeque::new(),
        })
    }

    /// The next event; none once the stream has ended or gone silent.
    ///
    /// # Errors
    /// When it is cut, or is no stream of events.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let part = match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Err(_) => return Ok(None),
                Ok(part) => part.map_err(|error| connection::cut(&error))?,
            };
            let Some(part) = part else { return Ok(None) };
            let events = self
                .parser
                .feed(&part)
                .map_err(|_| Failure::cannot_tell("unexpected_answer", "the broker's event is too large to be one"))?;
            self.ready.extend(events);
        }
    }
}

/// The pauses between one try to join a stream and the next.
pub(crate) struct Backoff {
    pause: Duration,
    joined: Instant,
}

impl Backoff {
    /// The first try begins now.
    pub(crate) fn new() -> Self {
        Self {
            pause: RETRY_FIRST,
            joined: Instant::now(),
        }
    }

    /// Waits before the next try; not for long after a stream that held for a while.
    pub(crate) async fn pause(&mut self) {
        if self.joined.elapsed() > RETRY_MAX {
            self.pause = RETRY_FIRST;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY_MAX);
        self.joined = Instant::now();
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name; `message` where it has none.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A parser that is fed bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    after_cr: bool,
    started: bool,
    bytes: usize,
}

/// An event larger than this is no event of ours.
const EVENT_BYTES_MAX: usize = 8 << 20;

/// The stream is not one of events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Parser {
    /// Takes bytes and gives the events they complete.
    ///
    /// # Errors
    /// When one event exceeds the bound.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> std::result::Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => {
                    self.bytes += 1;
                    if self.bytes > EVENT_BYTES_MAX {
                        return Err(TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let line = if self.started {
            &*text
        } else {
            text.trim_start_matches('\u{feff}')
        };
        self.started = true;
        if line.is_empty() {
            self.bytes = 0;
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then(|| Event {
                name: if name.is_empty() { "message".to_owned() } else { name },
                data,
            });
        }
        let (field, value) = match line.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line, ""),
        };
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            _ => {} // comments, ids and retry times mean nothing here
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(stream: &str) -> Vec<Event> {
        Parser::default().feed(stream.as_bytes()).unwrap()
    }

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.into(),
            data: data.into(),
        }
    }

    #[test]
    fn events_are_read_with_every_line_ending() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = [
                ": keep-alive",
                "",
                "event: request",
                "data: {\"a\":1}",
                "",
                "data:x",
                "data: y",
                "id: 7",
                "",
                "",
            ]
            .join(end);
            assert_eq!(parse(&stream), [event("request", "{\"a\":1}"), event("message", "x\ny")], "{end:?}");
        }
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_events() {
        let stream = "\u{feff}event: request\r\ndata: é\r\n\r\n: x\n\ndata\n\n";
        let whole = parse(stream);
        assert_eq!(whole, [event("request", "é"), event("message", "")]);
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            let mut parser = Parser::default();
            let mut events = parser.feed(a).unwrap();
            events.extend(parser.feed(b).unwrap());
            assert_eq!(events, whole, "cut at {at}");
        }
    }

    #[test]
    fn an_unfinished_or_empty_event_is_none() {
        assert_eq!(parse("event: request\ndata: x"), []);
        assert_eq!(parse("event: request\n\n"), []);
    }

    #[test]
    fn one_event_cannot_fill_memory() {
        let mut parser = Parser::default();
        let junk = vec![b'x'; 1 << 20];
        let outcome: Vec<_> = (0..9).map(|_| parser.feed(&junk)).collect();
        assert_eq!(outcome.last().unwrap(), &Err(TooLarge));
    }
}

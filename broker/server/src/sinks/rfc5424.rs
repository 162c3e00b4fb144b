//! Events as syslog messages: RFC 5424, and its framing by octet counts (RFC 6587 3.4.1, RFC 5425 4.3).

use std::fmt::Write as _;

use chunk_core::sinks::{Severity, SinkEvent};
use jiff::Timestamp;

/// "Log audit", RFC 5424 table 1.
const FACILITY: u8 = 13;
const APP_NAME: &str = "chunk-broker";
/// `meta sequenceId` begins again after this (RFC 5424, 7.3.1).
const SEQUENCE_MAX: u32 = 2_147_483_647;
/// A text in UTF-8 begins with it (RFC 5424, 6.4).
const BOM: &str = "\u{feff}";

/// Makes messages of events.
pub(super) struct Formatter {
    host: String,
    process: String,
    bytes_max: usize,
    /// Number of the next message of this run.
    sequence: u32,
}

impl Formatter {
    /// Messages from this host, of so many bytes at most.
    pub(super) fn new(host: &str, bytes_max: usize) -> Self {
        Self {
            host: field(host.trim_start_matches('[').trim_end_matches(']'), 255),
            process: field(&std::process::id().to_string(), 128),
            bytes_max,
            sequence: 1,
        }
    }

    /// The message of an event. One that would be too long is that of the event's stand-in; nothing is ever cut.
    pub(super) fn message(&mut self, event: &SinkEvent) -> Vec<u8> {
        let whole = self.render(event, &event.text);
        if whole.len() > self.bytes_max {
            self.short(event)
        } else {
            self.numbered(whole)
        }
    }

    /// The message of an event's stand-in.
    pub(super) fn short(&mut self, event: &SinkEvent) -> Vec<u8> {
        let short = self.render(event, &event.short);
        self.numbered(short)
    }

    /// Counts the message.
    fn numbered(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.sequence = if self.sequence == SEQUENCE_MAX { 1 } else { self.sequence + 1 };
        message
    }

    fn render(&self, event: &SinkEvent, text: &str) -> Vec<u8> {
        let priority = FACILITY * 8 + severity(event.severity);
        let time = timestamp(event.time_ms);
        let (host, process, kind) = (&self.host, &self.process, field(event.kind.as_str(), 32));
        let origin = element("origin", &[("software", APP_NAME), ("swVersion", env!("CARGO_PKG_VERSION"))]);
        let sequence = self.sequence.to_string();
        let meta = element("meta", &[("sequenceId", sequence.as_str())]);
        format!("<{priority}>1 {time} {host} {APP_NAME} {process} {kind} {origin}{meta} {BOM}{text}").into_bytes()
    }
}

/// A message with its length in front.
pub(super) fn counted(message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(message.len().to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(message);
}

/// RFC 5424 table 2.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 2,
    }
}

/// A header field: printable ASCII of bounded length, or the NILVALUE.
fn field(text: &str, length_max: usize) -> String {
    let field: String = text.chars().filter(char::is_ascii_graphic).take(length_max).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

/// `2026-11-30T12:34:56.789Z`, or the NILVALUE for a time that has no such text.
fn timestamp(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) if (0..=chunk_core::sinks::TIME_MS_MAX).contains(&ms) => time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        _ => "-".to_owned(),
    }
}

/// An element of structured data. In values `"`, `\` and `]` are escaped (RFC 5424, 6.3.3).
fn element(id: &str, parameters: &[(&str, &str)]) -> String {
    let mut element = format!("[{id}");
    for (name, value) in parameters {
        let _ = write!(element, " {name}=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\' | ']') {
                element.push('\\');
            }
            element.push(character);
        }
        element.push('"');
    }
    element.push(']');
    element
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_core::sinks::Kind;

    use super::*;

    /// An event of this index.
    pub(in super::super) fn event(index: u64) -> SinkEvent {
        SinkEvent {
            index,
            time_ms: 1_764_000_000_123,
            kind: Kind::FetchOutcome,
            severity: Severity::Low,
            text: format!("{{\"metadata\":{{\"sequence\":{index}}},\"name\":\"Zoë ]\\\\\\\"\"}}"),
            short: format!("{{\"short\":{index}}}"),
        }
    }

    /// A message as RFC 5424's grammar reads it: PRI, header fields, elements of structured data, the text without its BOM.
    #[derive(Debug)]
    struct Read {
        priority: u32,
        fields: Vec<String>,
        data: Vec<(String, Vec<(String, String)>)>,
        text: String,
    }

    /// Reads by the grammar of RFC 5424, section 6, and nothing else.
    fn read(message: &[u8]) -> Option<Read> {
        let message = std::str::from_utf8(message).ok()?;
        let (priority, rest) = message.strip_prefix('<')?.split_once('>')?;
        let canonical = priority == "0" || !priority.starts_with('0');
        let priority: u32 = priority.parse().ok().filter(|value| canonical && *value <= 191)?;
        let mut rest = rest.strip_prefix("1 ")?;
        let mut fields = Vec::new();
        for length_max in [32, 255, 48, 128, 32] {
            let (field, more) = rest.split_once(' ')?;
            if field.is_empty() || field.len() > length_max || !field.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            fields.push(field.to_owned());
            rest = more;
        }
        let mut data = Vec::new();
        if let Some(more) = rest.strip_prefix('-') {
            rest = more;
        } else {
            while let Some(more) = rest.strip_prefix('[') {
                let (element, more) = read_element(more)?;
                data.push(element);
                rest = more;
            }
        }
        let text = match rest.strip_prefix(' ') {
            Some(text) => text.strip_prefix(BOM)?.to_owned(),
            None if rest.is_empty() => String::new(),
            None => return None,
        };
        Some(Read {
            priority,
            fields,
            data,
            text,
        })
    }

    type Element = (String, Vec<(String, String)>);

    fn read_element(text: &str) -> Option<(Element, &str)> {
        let name = |text: &str| {
            let good = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"=]\"".contains(&byte));
            good.then(|| text.to_owned())
        };
        let end = text.find([' ', ']'])?;
        let (id, mut rest) = text.split_at(end);
        let mut parameters = Vec::new();
        while let Some(more) = rest.strip_prefix(' ') {
            let (parameter, more) = more.split_once("=\"")?;
            let mut value = String::new();
            let mut characters = more.char_indices();
            let after = loop {
                match characters.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(
                        characters
                            .next()
                            .map(|(_, escaped)| escaped)
                            .filter(|escaped| "\"\\]".contains(*escaped))?,
                    ),
                    (_, ']') => return None,
                    (_, other) => value.push(other),
                }
            };
            parameters.push((name(parameter)?, value));
            rest = more.get(after..)?;
        }
        Some(((name(id)?, parameters), rest.strip_prefix(']')?))
    }

    #[test]
    fn a_message_is_what_the_grammar_says() {
        let mut formatter = Formatter::new("broker.acme.example", 8192);
        let found = read(&formatter.message(&event(7))).unwrap();
        assert_eq!(found.priority, 13 * 8 + 5);
        let process = std::process::id().to_string();
        let expected = [
            "2025-11-24T16:00:00.123Z",
            "broker.acme.example",
            "chunk-broker",
            &process,
            "fetch.outcome",
        ];
        assert_eq!(found.fields, expected);
        let value = |element: usize, parameter: usize| found.data.get(element).unwrap().1.get(parameter).unwrap().clone();
        assert_eq!(value(0, 0), ("software".to_owned(), "chunk-broker".to_owned()));
        assert_eq!(value(1, 0), ("sequenceId".to_owned(), "1".to_owned()));
        assert_eq!(found.text, event(7).text);
        let text = String::from_utf8(formatter.message(&event(8))).unwrap();
        assert!(text.contains("[meta sequenceId=\"2\"] \u{feff}{"), "{text}");
    }

    #[test]
    fn what_stands_in_structured_data_reads_back_whatever_it_is() {
        for value in ["", "plain", "a\"b\\c]d[e", "]\"", "\\", "Zoë\u{202e}\n", "a=\"b\"]"] {
            let text = element("x@32473", &[("a", value), ("b", "c")]);
            let (found, rest) = read_element(text.strip_prefix('[').unwrap()).unwrap();
            assert_eq!(found.0, "x@32473");
            let expected = [("a".to_owned(), value.to_owned()), ("b".to_owned(), "c".to_owned())];
            assert_eq!((found.1.as_slice(), rest), (expected.as_slice(), ""), "{value:?}");
        }
    }

    #[test]
    fn fields_that_are_empty_or_no_ascii_are_nil_and_long_ones_have_an_end() {
        assert_eq!(field("", 10), "-");
        assert_eq!(field(" \u{e9}\n", 10), "-");
        assert_eq!(field("a b\u{7f}c", 10), "abc");
        assert_eq!(field(&"x".repeat(300), 255).len(), 255);
        assert_eq!(timestamp(-1), "-");
        assert_eq!(timestamp(i64::MAX), "-");
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        let hostless = Formatter::new("", 8192).message(&event(0));
        assert_eq!(read(&hostless).unwrap().fields.get(1).unwrap(), "-");
        let literal = Formatter::new("[::1]", 8192).message(&event(0));
        assert_eq!(read(&literal).unwrap().fields.get(1).unwrap(), "::1");
    }

    #[test]
    fn every_kind_and_severity_has_a_valid_header() {
        let mut formatter = Formatter::new("h", 8192);
        for kind in Kind::ALL {
            for (severity, priority) in [
                (Severity::Informational, 110),
                (Severity::Low, 109),
                (Severity::Medium, 108),
                (Severity::High, 106),
            ] {
                let event = SinkEvent {
                    kind: *kind,
                    severity,
                    ..event(0)
                };
                let found = read(&formatter.message(&event)).unwrap();
                assert_eq!((found.priority, found.fields.get(4).unwrap().as_str()), (priority, kind.as_str()));
            }
        }
    }

    #[test]
    fn a_message_that_would_be_too_long_is_its_stand_in_and_never_cut() {
        let long = SinkEvent {
            text: "x".repeat(3000),
            ..event(3)
        };
        let mut formatter = Formatter::new("h", 2048);
        assert_eq!(read(&formatter.message(&long)).unwrap().text, long.short);
        assert_eq!(read(&Formatter::new("h", 8192).message(&long)).unwrap().text, long.text);
        let exact = Formatter::new("h", 8192).message(&long).len();
        assert_eq!(Formatter::new("h", exact).message(&long).len(), exact);
        assert!(Formatter::new("h", exact - 1).message(&long).len() < 2048);
    }

    #[test]
    fn numbers_begin_again_where_the_standard_says() {
        let mut formatter = Formatter::new("h", 8192);
        formatter.sequence = SEQUENCE_MAX;
        let text = |message: Vec<u8>| String::from_utf8(message).unwrap();
        assert!(text(formatter.message(&event(0))).contains("sequenceId=\"2147483647\""));
        assert!(text(formatter.message(&event(0))).contains("sequenceId=\"1\""));
    }

    #[test]
    fn a_frame_counts_octets_and_not_characters() {
        let mut frames = Vec::new();
        for text in ["Zoë", "", "a\nb"] {
            counted(text.as_bytes(), &mut frames);
        }
        assert_eq!(frames, "4 Zoë0 3 a\nb".as_bytes());
    }
}

//! An e-mail as it goes over the wire (RFC 5322): headers of our own, and a plain text that is one part in base64.
//!
//! No header holds anything that others wrote but the address it goes to, which is an address and nothing more
//! ([`is_mailbox`]). The text is encoded, so that no line of it can end the message or be taken for a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_core::notify::Notice;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::words::{DECIDES_NOTHING, Speaker};

/// Bytes of text in one encoded word, which may have 75 characters.
const WORD_BYTES: usize = 42;
/// Bytes of text in one line of base64.
const LINE_BYTES: usize = 57;

/// Whether a text is an address that a header and a command can hold as it is: `LOCAL@DOMAIN` in ASCII, without quotes.
pub(crate) fn is_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dotted = |text: &str, good: &dyn Fn(char) -> bool| {
        !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.chars().all(good))
    };
    let host = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.len() <= 254 && local.len() <= 64 && dotted(local, &atom) && dotted(domain, &host)
}

/// The message to one address, with lines that end in CRLF.
pub(super) fn message(speaker: &Speaker, notice: &Notice, from: &str, to: &str, now_ms: i64) -> String {
    let words = speaker.words(notice);
    let mut text = format!("{}.\r\n\r\n", words.title);
    for (name, value) in &words.facts {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("\r\nTo look at it: {}\r\n", words.command));
    if let Some(link) = &words.link {
        text.push_str(&format!("What to type next: {link}\r\n"));
    }
    text.push_str(&format!("\r\n{DECIDES_NOTHING}\r\n"));
    let subject = match &notice.request {
        Some(request) => format!("[{}] {}: {request}", speaker.name, words.title),
        None => format!("[{}] {}", speaker.name, words.title),
    };
    let date = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let date = rfc2822::DateTimePrinter::new().timestamp_to_string(&date).unwrap_or_default();
    let mut message = String::new();
    for (name, value) in [
        ("Date", date.as_str()),
        ("From", from),
        ("To", to),
        ("Subject", &unstructured(&subject)),
        // The same whenever it is sent again.
        ("Message-ID", &format!("<{}@{}>", notice.id, speaker.host())),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "base64"),
    ] {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    for line in text.as_bytes().chunks(LINE_BYTES) {
        message.push_str("\r\n");
        message.push_str(&STANDARD.encode(line));
    }
    message.push_str("\r\n");
    message
}

/// The text of a header: as it is where that is short and printable, else in encoded words (RFC 2047).
fn unstructured(text: &str) -> String {
    let as_it_is = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.len() <= 200 && !text.contains("=?");
    if as_it_is {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    words.collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::words::tests::{hostile, minimal, speaker};
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn decoded(message: &str) -> String {
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
    }

    #[test]
    fn an_address_is_an_address_and_nothing_more() {
        for good in ["rita@example.com", "a.b+c@mail.example.co.uk", "x@localhost"] {
            assert!(is_mailbox(good), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(65));
        for bad in [
            "",
            "rita",
            "@example.com",
            "rita@",
            "rita@@example.com",
            "a..b@example.com",
            "rita@example..com",
            "rita@example.com>",
            "rita@example.com\r\nBcc: eve@example.com",
            "rita@example.com\n",
            "\"rita\"@example.com",
            "rita rita@example.com",
            "Rita <rita@example.com>",
            "rita@[127.0.0.1]",
            "r\u{ef}ta@example.com",
            "rita@example.com, eve@example.com",
            &long,
        ] {
            assert!(!is_mailbox(bad), "{bad}");
        }
    }

    #[test]
    fn a_message_says_what_happened_and_what_to_type() {
        let message = message(&speaker(), &minimal(), "broker@example.com", "rita@example.com", NOW_MS);
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        insta::assert_snapshot!(format!("{}\n\n{}", head.replace('\r', ""), decoded(&message).replace('\r', "")));
    }

    #[test]
    fn nothing_that_others_wrote_stands_in_a_header_or_begins_a_line() {
        let message = message(&speaker(), &hostile(), "broker@example.com", "rita@example.com", NOW_MS);
        assert!(message.bytes().all(|byte| byte.is_ascii_graphic() || b" \r\n".contains(&byte)));
        assert!(message.lines().all(|line| line.len() <= 200));
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().count(), 10, "{head}");
        assert!(!head.contains("Bcc") && !body.contains("\r\n.\r\n"));
        let text = decoded(&message);
        insta::assert_snapshot!(text.replace('\r', ""));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.iter().all(|line| !line.starts_with("Bcc") && !line.starts_with('.')),
            "{text}"
        );
    }

    #[test]
    fn a_subject_in_any_script_is_encoded_in_words_of_bounded_length() {
        assert_eq!(unstructured("A request waits"), "A request waits");
        let encoded = unstructured(&"Datenfreigabe für Zoë · 日本語 ".repeat(5));
        assert!(encoded.is_ascii());
        let mut text = String::new();
        for word in encoded.split("\r\n ") {
            assert!(word.len() <= 75, "{word}");
            let base64 = word.strip_prefix("=?utf-8?B?").unwrap().strip_suffix("?=").unwrap();
            text.push_str(std::str::from_utf8(&STANDARD.decode(base64).unwrap()).unwrap());
        }
        assert_eq!(text, "Datenfreigabe für Zoë · 日本語 ".repeat(5));
        assert!(
            unstructured("=?utf-8?B?eA==?=").starts_with("=?utf-8?B?PT91"),
            "what looks encoded is encoded"
        );
    }
}

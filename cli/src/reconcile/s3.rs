//! The access log of S3 and its like: one line a request, fields separated by spaces, some in quotes or brackets.
//!
//! Fields by position, as "Amazon S3 server access log format" lists them: 3 time, 4 address, 5 requester, 7 operation,
//! 9 request line, 17 user agent. The broker puts the fetch's id into the user agent.

use std::io::BufRead;

use super::Access;
use super::postgres::LogError;

/// Reads a log; every request for an object or a listing, in order.
pub(crate) fn accesses(log: impl BufRead) -> impl Iterator<Item = Result<Access, LogError>> {
    log.lines().zip(1..).filter_map(|(text, line)| match text {
        Err(error) => Some(Err(LogError::Format {
            line,
            what: error.to_string(),
        })),
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(access(&text, line)),
    })
}

fn access(text: &str, line: u64) -> Result<Access, LogError> {
    let wrong = |what: &str| LogError::Format {
        line,
        what: what.to_owned(),
    };
    let fields = fields(text).ok_or_else(|| wrong("a quote or bracket is not closed"))?;
    let field = |n: usize| fields.get(n - 1).copied().ok_or_else(|| wrong("it has too few fields"));
    let time_ms = time(field(3)?).ok_or_else(|| wrong("no time in the third field"))?;
    let operation = field(7)?;
    let agent = field(17)?;
    Ok(Access {
        log: 0,
        line,
        time_ms,
        account: field(5)?.to_owned(),
        tag: fetch_id(agent).to_owned(),
        from: field(4)?.to_owned(),
        what: operation.to_owned(),
        // Heads and listings tell names and sizes; everything else can carry content.
        reads: !(operation.starts_with("REST.HEAD.") || operation == "REST.GET.BUCKET" || operation.starts_with("REST.GET.BUCKET")),
    })
}

/// The first word of the user agent that is a fetch's id.
fn fetch_id(agent: &str) -> &str {
    agent
        .split([' ', '/', '(', ')'])
        .find(|word| word.starts_with("fet_"))
        .unwrap_or_default()
}

/// Splits at spaces outside of `"…"` and `[…]`, which are taken off.
fn fields(text: &str) -> Option<Vec<&str>> {
    let mut fields = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (field, after) = match first {
            '"' => rest.get(1..)?.split_once('"')?,
            '[' => rest.get(1..)?.split_once(']')?,
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        fields.push(field);
        rest = after.trim_start();
    }
    Some(fields)
}

/// `25/Nov/2026:09:46:18 +0000`.
fn time(text: &str) -> Option<i64> {
    jiff::Timestamp::strptime("%d/%b/%Y:%H:%M:%S %z", text)
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn line(requester: &str, operation: &str, agent: &str) -> String {
        format!(
            "79a59df900b949e5 lake [25/Nov/2026:09:46:18 +0000] 192.0.2.3 {requester} 3E57427F33A59F07 {operation} part-0.parquet \
             \"GET /lake/part-0.parquet HTTP/1.1\" 206 - 4096 1048576 12 11 \"-\" \"{agent}\" - x= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader s3.example TLSv1.3"
        )
    }

    #[test]
    fn requests_are_read_with_account_time_and_fetch() {
        let found = access(
            &line("arn:aws:iam::1:user/broker", "REST.GET.OBJECT", "chunk-broker/0.1 (fet_8a)"),
            1,
        )
        .unwrap();
        assert_eq!(
            (found.account.as_str(), found.tag.as_str(), found.reads),
            ("arn:aws:iam::1:user/broker", "fet_8a", true)
        );
        assert_eq!(found.time_ms, 1_795_599_978_000);
        assert!(!access(&line("a", "REST.HEAD.OBJECT", "x"), 1).unwrap().reads);
        assert!(access(&line("a", "REST.COPY.OBJECT", "x"), 1).unwrap().reads);
    }

    #[test]
    fn other_lines_are_refused() {
        for text in ["", "a b c", "a b [25/Nov/2026 x", "a b [yesterday] c d e f g h i j k l m n o p q"] {
            assert!(access(text, 3).is_err(), "{text:?}");
        }
        assert_eq!(accesses(&b"\n\nx y\n"[..]).count(), 1);
    }
}

//! Where are IP addresses?

use std::net::Ipv6Addr;

use super::cursor::{at, before, cut, run_end, run_start};
use super::numbers::Run;
use super::{Hit, Kind};

/// Finds IPv4 addresses: chains of exactly four numbers up to 255 with a full stop between. Five are a version or an OID.
pub(super) fn find_v4(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    let mut k = 0;
    while k < run.groups.len() {
        let mut last = k;
        while last + 1 < run.groups.len() && run.gap(last) == b"." {
            last += 1;
        }
        let prior = before(run.h, run.group(k).start);
        let fits =
            (k..=last).all(|g| run.group(g).len() <= 3 && !run.group(g).taken && octet(cut(run.h, run.group(g).start, run.group(g).end)));
        if last - k == 3 && fits && !matches!(prior, b'v' | b'V' | b'.') {
            run.take(Kind::Ip, k, last, hits);
        }
        k = last + 1;
    }
}

fn octet(digits: &[u8]) -> bool {
    digits.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0')) <= 255
}

/// Finds IPv6 addresses: whatever around colons parses as one, not touched by other letters (`std::vec` is none).
pub(super) fn find_v6(h: &[u8], hits: &mut Vec<Hit>) {
    const LEN_MAX: usize = 45;
    let within = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
    let mut done = 0;
    for colon in memchr::memchr_iter(b':', h) {
        if colon < done {
            continue;
        }
        let reach = colon.saturating_sub(5);
        let start = reach + run_start(cut(h, reach, colon), colon - reach, |b| b.is_ascii_hexdigit());
        let run = run_end(h, colon, within);
        done = run;
        // A sentence may end in a full stop or a colon, an address never ends in one colon.
        let mut end = start + run_start(cut(h, start, run), run - start, |b| b == b'.');
        if before(h, end) == b':' && at(h, end.saturating_sub(2)) != b':' {
            end -= 1;
        }
        let touched = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'@') || b >= 0x80;
        let text = cut(h, start, end);
        if text.len() < 3 || text.len() > LEN_MAX || touched(before(h, start)) || (end == run && touched(at(h, run))) {
            continue;
        }
        if std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()) {
            hits.push(Hit {
                kind: Kind::Ip,
                start,
                end,
            });
        }
    }
}

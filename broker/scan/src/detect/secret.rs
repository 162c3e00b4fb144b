//! Where are keys, tokens and passwords?
//!
//! Most issuers mark what they issue with a prefix, so that scanners can find it: one Aho-Corasick automaton looks for all of
//! them. Passwords have none; they are found where a name says so (`password=…`), and only in text that has a `=` or `:`.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::cursor::{LastRun, at, before, cut, run_end};
use super::prefilter::Seen;
use super::{Hit, Kind};

/// How a secret goes on after its prefix.
#[derive(Clone, Copy)]
enum Tail {
    /// At least so many letters, digits, `_` or `-`, one of them a digit.
    Token(usize),
    /// Exactly so many capital letters and digits.
    Capitals(usize),
    /// Base64url segments with full stops between.
    Jwt,
    /// Up to the matching `-----END`, or to the end of the text.
    Pem,
    /// `user:password@` of a URL.
    UserInfo,
    /// At least sixteen characters of a token, one of them a digit.
    Bearer,
}

/// Prefixes, none of which begins another that must win over it.
const PREFIXES: [(&str, Tail); 44] = [
    ("AKIA", Tail::Capitals(16)),
    ("ASIA", Tail::Capitals(16)),
    ("AROA", Tail::Capitals(16)),
    ("AIDA", Tail::Capitals(16)),
    ("ABIA", Tail::Capitals(16)),
    ("ghp_", Tail::Token(20)),
    ("gho_", Tail::Token(20)),
    ("ghu_", Tail::Token(20)),
    ("ghs_", Tail::Token(20)),
    ("ghr_", Tail::Token(20)),
    ("github_pat_", Tail::Token(20)),
    ("glpat-", Tail::Token(16)),
    ("gldt-", Tail::Token(16)),
    ("glrt-", Tail::Token(16)),
    ("xoxb-", Tail::Token(10)),
    ("xoxp-", Tail::Token(10)),
    ("xoxa-", Tail::Token(10)),
    ("xoxr-", Tail::Token(10)),
    ("xoxs-", Tail::Token(10)),
    ("xapp-", Tail::Token(10)),
    ("sk-", Tail::Token(20)),
    ("sk_live_", Tail::Token(10)),
    ("sk_test_", Tail::Token(10)),
    ("rk_live_", Tail::Token(10)),
    ("rk_test_", Tail::Token(10)),
    ("whsec_", Tail::Token(16)),
    ("AIza", Tail::Token(30)),
    ("ya29.", Tail::Token(20)),
    ("SG.", Tail::Jwt),
    ("npm_", Tail::Token(30)),
    ("pypi-", Tail::Token(40)),
    ("hf_", Tail::Token(25)),
    ("dop_v1_", Tail::Token(40)),
    ("shpat_", Tail::Token(20)),
    ("shpss_", Tail::Token(20)),
    ("lin_api_", Tail::Token(20)),
    ("hvs.", Tail::Token(20)),
    ("AGE-SECRET-KEY-1", Tail::Token(40)),
    ("eyJ", Tail::Jwt),
    ("-----BEGIN", Tail::Pem),
    ("://", Tail::UserInfo),
    ("Bearer", Tail::Bearer),
    ("bearer", Tail::Bearer),
    ("BEARER", Tail::Bearer),
];

/// Names that announce a secret, in any case.
const NAMES: [&str; 15] = [
    "password",
    "passwd",
    "passwort",
    "kennwort",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "accesskey",
    "accountkey",
    "private_key",
];

/// No prefix with the shortest tail is shorter.
const LEN_MIN: usize = 8;

#[expect(clippy::expect_used, reason = "the patterns are constants; the tests build the automaton")]
static PREFIX_AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let patterns = PREFIXES.iter().map(|(prefix, _)| prefix);
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(patterns)
        .expect("constant")
});

#[expect(clippy::expect_used, reason = "the patterns are constants; the tests build the automaton")]
static NAME_AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .ascii_case_insensitive(true)
        .build(NAMES)
        .expect("constant")
});

/// Finds secrets.
pub(super) fn find(h: &[u8], seen: &Seen, hits: &mut Vec<Hit>) {
    if h.len() < LEN_MIN {
        return;
    }
    let mut runs = Runs::default();
    for found in PREFIX_AUTOMATON.find_iter(h) {
        let Some(&(_, tail)) = PREFIXES.get(found.pattern().as_usize()) else {
            continue;
        };
        if let Some((start, end)) = follow(h, found.start(), found.end(), tail, &mut runs) {
            hits.push(Hit {
                kind: Kind::Secret,
                start,
                end,
            });
        }
    }
    if seen.equals || seen.colons > 0 {
        let mut values = LastRun::default();
        hits.extend(
            NAME_AUTOMATON
                .find_iter(h)
                .filter_map(|found| named(h, found.end(), &mut values))
                .map(|(start, end)| Hit {
                    kind: Kind::Secret,
                    start,
                    end,
                }),
        );
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

/// What follows a prefix may hold the same prefix a thousand times: each kind of run is looked at once.
#[derive(Debug, Default)]
struct Runs {
    token: LastRun,
    jwt: LastRun,
    bearer: LastRun,
    /// Where the last private key ends.
    key: usize,
}

/// The secret whose prefix is `start..after`.
fn follow(h: &[u8], start: usize, after: usize, tail: Tail, runs: &mut Runs) -> Option<(usize, usize)> {
    let begins_word = !before(h, start).is_ascii_alphanumeric();
    match tail {
        Tail::Token(min) => {
            let end = runs.token.end(h, after, |b| is_token(b) || b == b'.');
            let end = if before(h, end) == b'.' { end - 1 } else { end };
            let long = end.saturating_sub(after) >= min;
            (begins_word && long && runs.token.has_digit(after)).then_some((start, end))
        }
        Tail::Capitals(count) => {
            let near = cut(h, 0, h.len().min(after + count + 1));
            let end = run_end(near, after, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
            (begins_word && end - after == count && !at(h, end).is_ascii_alphanumeric()).then_some((start, end))
        }
        Tail::Jwt => {
            let end = runs.jwt.end(h, after, |b| is_token(b) || matches!(b, b'.' | b'='));
            let end = if before(h, end) == b'.' && before(h, end - 1) != b'.' && at(h, end) <= b' ' {
                end - 1
            } else {
                end
            };
            let body = cut(h, after, end);
            let is_dotted = || body.len() >= 16 && memchr::memchr(b'.', body).is_some_and(|dot| dot >= 8);
            (body.len() >= 40 || is_dotted()).then_some((start, end))
        }
        // What begins within a key ends with it.
        Tail::Pem if start < runs.key => None,
        Tail::Pem => {
            let head = cut(h, after, h.len().min(after + 64));
            memchr::memmem::find(head, b"PRIVATE KEY")?;
            let rest = h.get(after..)?;
            let end = memchr::memmem::find(rest, b"-----END").map_or(h.len(), |at_end| {
                let words = after + at_end + b"-----END".len();
                memchr::memmem::find(h.get(words..).unwrap_or_default(), b"-----").map_or(h.len(), |dashes| words + dashes + 5)
            });
            runs.key = end;
            Some((start, end))
        }
        Tail::UserInfo => {
            let end = run_end(h, after, |b| b > b' ' && !matches!(b, b'/' | b'"' | b'\'' | b'<' | b'>'));
            let authority = cut(h, after, end);
            let sign = memchr::memrchr(b'@', authority)?;
            memchr::memchr(b':', cut(authority, 0, sign))?;
            Some((after, after + sign))
        }
        Tail::Bearer => bearer(h, after, &mut runs.bearer),
    }
}

/// The value that follows a name which ends at `after`: `api_key_prod: "…"`, `PASSWORD=…`.
fn named(h: &[u8], after: usize, values: &mut LastRun) -> Option<(usize, usize)> {
    const NAME_MAX: usize = 24;
    const VALUE_MIN: usize = 6;
    let mut i = run_end(cut(h, 0, h.len().min(after + NAME_MAX)), after, is_token);
    i = run_end(cut(h, 0, h.len().min(i + 3)), i, |b| {
        matches!(b, b'"' | b'\'' | b' ' | b']' | b'\\')
    });
    if !matches!(at(h, i), b'=' | b':') {
        return None;
    }
    i = run_end(cut(h, 0, h.len().min(i + 3)), i, |b| matches!(b, b'=' | b':' | b'>'));
    i = run_end(cut(h, 0, h.len().min(i + 3)), i, |b| matches!(b, b' ' | b'\t' | b'\\'));
    let quote = at(h, i);
    if matches!(quote, b'"' | b'\'') {
        let end = run_end(h, i + 1, |b| b != quote);
        return (end - i > VALUE_MIN).then_some((i + 1, end));
    }
    let end = values.end(h, i, |b| {
        b > b' ' && !matches!(b, b'"' | b'\'' | b',' | b';' | b'&' | b'<' | b'>' | b'}')
    });
    (end - i >= VALUE_MIN).then_some((i, end))
}

/// The token after `Bearer`.
fn bearer(h: &[u8], after: usize, run: &mut LastRun) -> Option<(usize, usize)> {
    let start = run_end(h, after, |b| matches!(b, b' ' | b':' | b'='));
    if start == after {
        return None;
    }
    let end = run.end(h, start, |b| is_token(b) || matches!(b, b'.' | b'=' | b'+' | b'/' | b'~'));
    (end - start >= 16 && run.has_digit(start)).then_some((start, end))
}

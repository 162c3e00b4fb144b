//! Reads canonical JSON where it stands: one pass that accepts exactly the canonical texts, and values that stay slices of them.
//!
//! A verifier reads every byte of a log. Building a tree of values for each entry, and writing it again to see whether the text
//! was canonical, costs ten times what hashing it does; here a text is walked once, and a value is its own text.

use std::borrow::Cow;

use crate::encode::{DEPTH_MAX, EncodeError, INTEGER_BOUND};

/// The canonical text of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Accepts exactly the canonical text of a value.
    pub(crate) fn parse(text: &'a str) -> Result<Self, EncodeError> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value(DEPTH_MAX)?;
        scanner.end()?;
        Ok(value)
    }

    /// What was found canonical before.
    pub(crate) fn known(text: &'a str) -> Self {
        Self(text)
    }

    /// The text. Two values are equal exactly when their canonical texts are.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The value of a text.
    pub(crate) fn as_str(self) -> Option<Cow<'a, str>> {
        Some(unescape(self.0.strip_prefix('"')?.strip_suffix('"')?))
    }

    /// The value of an integer that is not negative.
    pub(crate) fn as_u64(self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// Whether it is a number or a boolean: its cell is its text.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'-' | b'0'..=b'9' | b't' | b'f'))
    }

    /// A member of an object.
    pub(crate) fn get(self, name: &str) -> Option<Raw<'a>> {
        // Members are in order of their keys.
        let (key, value) = self.members().find(|(key, _)| !is_before(key, name))?;
        (key == name).then_some(value)
    }

    /// The members of an object, in order; nothing for other values.
    pub(crate) fn members(self) -> Members<'a> {
        Members(Walk::into(self.0, b'{'))
    }

    /// The items of a list.
    pub(crate) fn items(self) -> Option<Items<'a>> {
        self.0.starts_with('[').then(|| Items(Walk::into(self.0, b'[')))
    }
}

/// Members of an object.
pub(crate) struct Members<'a>(Walk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next_value()?.as_str()?;
        self.0.at += 1;
        Some((key, self.0.value()?))
    }
}

/// Items of a list.
pub(crate) struct Items<'a>(Walk<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_value()
    }
}

/// Steps over the values of a text that is known to be canonical. On any other text it ends early and never panics.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    fn into(text: &'a str, opening: u8) -> Self {
        let opens = text.as_bytes().first() == Some(&opening);
        Self {
            text: if opens { text } else { "" },
            at: 0,
        }
    }

    /// Steps over a comma, or the bracket that opens, and the value behind it.
    fn next_value(&mut self) -> Option<Raw<'a>> {
        match self.text.as_bytes().get(self.at)? {
            b'{' | b'[' | b',' => self.at += 1,
            _ => return None,
        }
        self.value()
    }

    fn value(&mut self) -> Option<Raw<'a>> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut depth = 0_usize;
        loop {
            match bytes.get(self.at)? {
                b'"' => self.at = string_end(bytes, self.at + 1)?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    // At depth 0 this closes what the value stands in: there is no value here.
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    while bytes.get(self.at).is_some_and(|b| !matches!(b, b',' | b'}' | b']')) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return self.text.get(from..self.at).map(Raw);
            }
        }
    }
}

/// Walks a text and accepts exactly what is canonical.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How much has been passed.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Passes a line break.
    pub(crate) fn line_break(&mut self) -> Result<(), EncodeError> {
        self.byte(b'\n')
    }

    /// There is nothing more.
    pub(crate) fn end(&self) -> Result<(), EncodeError> {
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(EncodeError::NotCanonical)
        }
    }

    /// A value of whatever sort, nested at most `depth` levels.
    pub(crate) fn value(&mut self, depth: usize) -> Result<Raw<'a>, EncodeError> {
        let from = self.at;
        let inner = depth.checked_sub(1).ok_or(EncodeError::Depth)?;
        match self.peek() {
            Some(b'"') => drop(self.string()?),
            Some(b'{') => self.object(depth, |scanner, _| scanner.value(inner).map(drop))?,
            Some(b'[') => self.list(depth, |scanner| scanner.value(inner).map(drop))?,
            Some(b'-' | b'0'..=b'9') => drop(self.integer()?),
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return Err(EncodeError::NotJson),
        }
        self.text.get(from..self.at).map(Raw).ok_or(EncodeError::NotCanonical)
    }

    /// An object; `member` reads the value of each key.
    pub(crate) fn object<E: From<EncodeError>>(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth == 0 {
            return Err(EncodeError::Depth.into());
        }
        self.byte(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        let mut last: Option<Cow<'a, str>> = None;
        loop {
            let (key, escaped) = self.text_and_escapes()?;
            let key = if escaped { unescape(key) } else { Cow::Borrowed(key) };
            if !key.bytes().all(|b| (0x20..0x7f).contains(&b)) || key.starts_with(RESERVED) {
                return Err(EncodeError::Key.into());
            }
            if last.as_ref().is_some_and(|last| !is_before(last, &key)) {
                return Err(EncodeError::NotCanonical.into());
            }
            self.byte(b':')?;
            member(self, &key)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.byte(b',')?;
            last = Some(key);
        }
    }

    /// A list; `item` reads each of its values.
    pub(crate) fn list<E: From<EncodeError>>(&mut self, depth: usize, mut item: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        if depth == 0 {
            return Err(EncodeError::Depth.into());
        }
        self.byte(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.byte(b',')?;
        }
    }

    /// What stands between the quotes of a text, still escaped.
    pub(crate) fn string(&mut self) -> Result<&'a str, EncodeError> {
        Ok(self.text_and_escapes()?.0)
    }

    /// What stands between the quotes of a text, and whether there are escapes in it.
    #[inline]
    fn text_and_escapes(&mut self) -> Result<(&'a str, bool), EncodeError> {
        self.byte(b'"')?;
        let from = self.at;
        let mut escaped = false;
        let bytes = self.text.as_bytes();
        loop {
            self.at += plain_run(bytes.get(self.at..).unwrap_or_default());
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    let text = self.text.get(from..self.at - 1).ok_or(EncodeError::NotCanonical)?;
                    return Ok((text, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) | None => return Err(EncodeError::NotJson),
                Some(_) => self.at += 1,
            }
        }
    }

    /// As [`Scanner::string`], and puts what its escapes stand for in their place. The buffer then holds that and nothing else.
    pub(crate) fn unescaped(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.byte(b'"')?;
        out.clear();
        let bytes = self.text.as_bytes();
        loop {
            // Where escapes are frequent, calling to find and copy what lies between costs more than copying a little too much.
            while let Some(word) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                let run = match not_plain(word) {
                    0 => 8,
                    found => found.trailing_zeros() as usize / 8,
                };
                let length = out.len() + run;
                out.extend_from_slice(word);
                out.truncate(length);
                self.at += run;
                if run < 8 {
                    break;
                }
            }
            let from = self.at;
            match bytes.get(from) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.escape()?;
                    out.push(match bytes.get(from + 1..self.at) {
                        Some(b"b") => 0x08,
                        Some(b"t") => b'\t',
                        Some(b"n") => b'\n',
                        Some(b"f") => 0x0c,
                        Some(b"r") => b'\r',
                        Some([itself]) => *itself,
                        Some([_, _, _, high, low]) => (high & 1) << 4 | if low.is_ascii_digit() { low & 15 } else { (low & 15) + 9 },
                        _ => return Err(EncodeError::NotCanonical),
                    });
                }
                Some(0..=0x1f) | None => return Err(EncodeError::NotJson),
                Some(plain) => {
                    out.push(*plain);
                    self.at += 1;
                }
            }
        }
    }

    /// An integer within bounds.
    pub(crate) fn integer(&mut self) -> Result<i64, EncodeError> {
        let from = self.at;
        self.take(b'-');
        let digits = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        match (self.text.as_bytes().get(digits), self.at - digits) {
            (_, 0) => return Err(EncodeError::NotJson),
            // No leading zero, and no minus before a zero.
            (Some(b'0'), length) if length > 1 || digits > from => return Err(EncodeError::NotCanonical),
            _ => {}
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(EncodeError::Float);
        }
        let value: i64 = self
            .text
            .get(from..self.at)
            .and_then(|text| text.parse().ok())
            .ok_or(EncodeError::Integer)?;
        if value <= -INTEGER_BOUND || value >= INTEGER_BOUND {
            return Err(EncodeError::Integer);
        }
        Ok(value)
    }

    fn literal(&mut self, word: &str) -> Result<(), EncodeError> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(EncodeError::NotJson)
        }
    }

    /// `\"` `\\` `\b` `\t` `\n` `\f` `\r`, and `\u00xx` in lower case for the other characters below U+0020.
    fn escape(&mut self) -> Result<(), EncodeError> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        self.at += match rest {
            [b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => 2,
            [b'u', b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f', ..] => 6,
            [b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => 6,
            _ => return Err(EncodeError::NotCanonical),
        };
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        if self.take(byte) { Ok(()) } else { Err(EncodeError::NotCanonical) }
    }
}

/// Keys that begin so mean something to the JSON library, so they are never written and never read.
pub(crate) const RESERVED: &str = "$serde_json::";

/// Whether a key comes before another. Most differ in their first byte, and calling to compare costs more than that.
#[inline]
fn is_before(a: &str, b: &str) -> bool {
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(first), Some(other)) if first != other => first < other,
        _ => a < b,
    }
}

/// The text behind the escapes of a canonical text.
pub(crate) fn unescape(inner: &str) -> Cow<'_, str> {
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    unescape_into(inner, &mut text);
    Cow::Owned(text)
}

/// Appends the text behind the escapes of a canonical text.
pub(crate) fn unescape_into(inner: &str, text: &mut String) {
    let mut rest = inner;
    while let Some(plain) = until_escape(rest.as_bytes()) {
        text.push_str(rest.get(..plain).unwrap_or_default());
        let mut characters = rest.get(plain + 1..).unwrap_or_default().chars();
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('f') => text.push('\u{c}'),
            Some('r') => text.push('\r'),
            Some('u') => {
                let digits = characters.as_str().get(..4).unwrap_or_default();
                text.extend(u8::from_str_radix(digits, 16).ok().map(char::from));
                characters = characters.as_str().get(4..).unwrap_or_default().chars();
            }
            Some(other) => text.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
}

/// Where the first backslash stands.
#[inline]
fn until_escape(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += plain_run(bytes.get(at..)?);
        match bytes.get(at)? {
            b'\\' => return Some(at),
            _ => at += 1,
        }
    }
}

/// How many of the first bytes stand for themselves in a string.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut run = 0;
    for word in words {
        let found = not_plain(word);
        if found != 0 {
            // The first byte is the lowest; what is subtracted reaches only into those behind it.
            return run + found.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    run + rest
        .iter()
        .take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\')
        .count()
}

/// Marks those of eight bytes that are below 0x20, a quote, or a backslash, and perhaps some behind the first of them.
#[inline]
fn not_plain(word: &[u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(*word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let is = |byte: u64| below(word ^ (ONES * byte), 1);
    (below(word, 0x20) | is(0x22) | is(0x5c)) & (ONES << 7)
}

/// Where a string that began before `at` is over.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain_run(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::encode::canonical;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The definition: a text is canonical when writing its value gives it back.
    fn by_definition(text: &str) -> bool {
        serde_json::from_str::<Value>(text).is_ok_and(|value| canonical(&value).is_ok_and(|written| written == text))
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z\"\\\\\u{0}-\u{1f}\u{7f}é]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,6}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Every value reads back as the library reads it.
    fn assert_same(raw: Raw<'_>, value: &Value) {
        assert_eq!(raw.text(), canonical(value).unwrap());
        assert_eq!(raw.as_str().as_deref(), value.as_str());
        assert_eq!(raw.as_u64(), value.as_u64());
        assert_eq!((raw.is_null(), raw.is_object()), (value.is_null(), value.is_object()));
        assert_eq!(raw.is_plain(), value.is_number() || value.is_boolean());
        match value {
            Value::Object(map) => {
                assert_eq!(raw.members().count(), map.len());
                for (key, inner) in map {
                    assert_same(raw.get(key).unwrap(), inner);
                }
            }
            Value::Array(items) => {
                let found: Vec<_> = raw.items().unwrap().collect();
                assert_eq!(found.len(), items.len());
                found.iter().zip(items).for_each(|(raw, value)| assert_same(*raw, value));
            }
            _ => assert_eq!((raw.members().count(), raw.items().is_none()), (0, true)),
        }
    }

    #[test]
    fn depth_counts_as_the_writer_counts() {
        for levels in DEPTH_MAX - 2..DEPTH_MAX + 2 {
            for innermost in [json!([]), json!({}), json!(0), json!("x")] {
                let deep = (0..levels).fold(innermost, |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({"k": inner}) });
                let text = deep.to_string();
                assert_eq!(Raw::parse(&text).is_ok(), by_definition(&text), "{text}");
            }
        }
        assert!(Raw::parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn odd_texts_are_judged_by_the_definition() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "true ",
            "-",
            "-0",
            "0",
            "00",
            "01",
            "-1",
            "1.0",
            "1e2",
            "1E2",
            "9007199254740991",
            "9007199254740992",
            "-9007199254740991",
            "-9007199254740992",
            "99999999999999999999",
            "\"",
            "\"\\\"",
            "\"\\",
            "\"\\u\"",
            "\"\\u0000\"",
            "\"\\u001f\"",
            "\"\\u001F\"",
            "\"\\u0020\"",
            "\"\\u000a\"",
            "\"\\u0008\"",
            "\"\\u000b\"",
            "\"\\u000c\"",
            "\"\\/\"",
            "\"\u{7f}\"",
            "\"\u{1}\"",
            "{}",
            "{,}",
            "{\"a\":1,}",
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"é\":1}",
            "{\"\":1}",
            "{\"\u{7f}\":1}",
            "{\"\\\"\":1,\"#\":1}",
            "{\"#\":1,\"\\\"\":1}",
            "{\"[\":1,\"\\\\\":1,\"]\":1}",
            "{\"\\n\":1}",
            "{\"$serde_json::x\":1}",
            "[",
            "[]",
            "[,]",
            "[1,]",
            "[1 ,2]",
            "[1,2]]",
            "{\"a\":1}}",
        ] {
            assert_eq!(Raw::parse(text).is_ok(), by_definition(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn exactly_the_canonical_texts_are_accepted(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let text = canonical(&value).unwrap();
            assert_same(Raw::parse(&text).unwrap(), &value);
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            for changed in [
                { let mut b = bytes.clone(); b.remove(at); b },
                { let mut b = bytes.clone(); b.insert(at, byte); b },
                { bytes[at] = byte; bytes },
            ] {
                if let Ok(text) = String::from_utf8(changed) {
                    prop_assert_eq!(Raw::parse(&text).is_ok(), by_definition(&text), "{}", text);
                }
            }
        }

        #[test]
        fn a_text_is_read_alike_with_and_without_its_escapes(inner in "[a-z\"\\\\u0-1\u{0}-\u{1f}\u{7f}é]{0,40}", value in any::<String>()) {
            for text in [format!("\"{inner}"), format!("\"{inner}\"}}"), canonical(&Value::from(value)).unwrap()] {
                let (mut one, mut other, mut out) = (Scanner::new(&text), Scanner::new(&text), b"before".to_vec());
                let read = other.unescaped(&mut out);
                match one.string() {
                    Ok(inner) => prop_assert_eq!((read, one.at, out), (Ok(()), other.at, unescape(inner).into_owned().into_bytes())),
                    Err(fault) => prop_assert_eq!(read, Err(fault)),
                }
            }
        }

        #[test]
        fn walking_over_any_text_ends_and_never_panics(text in any::<String>(), json in "[\\[\\]{}\",:\\\\a0]{0,24}") {
            for text in [text, json] {
                let raw = Raw(&text);
                let _ = (raw.members().count(), raw.items().map(Iterator::count), raw.get("a"), raw.as_str(), raw.as_u64());
                prop_assert_eq!(Raw::parse(&text).is_ok(), by_definition(&text));
            }
        }
    }
}

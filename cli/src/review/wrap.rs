//! Text in a given number of columns. What it is given is clean already; here it is only cut.

use unicode_width::UnicodeWidthChar as _;

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Breaks a text into lines, between words where it can.
pub(crate) fn words(text: &str, columns_max: usize) -> Vec<String> {
    let columns_max = columns_max.max(1);
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.replace('\t', "    ");
        let mut rest = line.trim_end();
        loop {
            let fits = fitting(rest, columns_max).max(first(rest));
            if fits == rest.len() {
                break;
            }
            let (head, tail) = rest.split_at(fits);
            // A space that comes just after what fits is as good a place as one within it.
            let space = if tail.starts_with(' ') || head.ends_with(' ') {
                Some(fits)
            } else {
                head.trim_end().rfind(' ')
            };
            let end = space
                .filter(|end| !head.get(..*end).unwrap_or_default().trim().is_empty())
                .unwrap_or(fits);
            let (head, tail) = rest.split_at(end);
            lines.push(head.trim_end().to_owned());
            rest = tail.trim_start();
        }
        lines.push(rest.to_owned());
    }
    lines
}

/// Breaks a text wherever a line is full, as it is shown while it is typed.
pub(crate) fn hard(text: &str, columns_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(fitting(rest, columns_max).max(first(rest)));
        lines.push(head.to_owned());
        rest = tail;
    }
    lines
}

/// A text in exactly so many columns: cut with a sign that it is, or filled up.
pub(crate) fn cell(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&out))));
    out
}

/// The same, to the right.
pub(crate) fn cell_right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(&text))))
}

/// A text in at most so many columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    // A line in a list never needs more; what is longer is not measured to its end.
    if fitting(text, columns) == text.len() {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let (head, _) = text.split_at(fitting(text, columns - 1));
    format!("{head}…")
}

/// Bytes of the first character.
fn first(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Bytes of the longest beginning that takes at most so many columns.
fn fitting(text: &str, columns_max: usize) -> usize {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += columns(c);
        if taken > columns_max {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(words("select a, b from t", 10), ["select a,", "b from t"]);
        assert_eq!(words("a\n\n  b", 10), ["a", "", "  b"]);
        assert_eq!(words("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(words("ab cdefghij", 4), ["ab", "cdef", "ghij"]);
        assert_eq!(words("日本語日本", 5), ["日本", "語日", "本"]);
        assert_eq!(words("", 5), [""]);
        assert_eq!(words("  abcdef", 4), ["  ab", "cdef"]);
        assert_eq!(words("日", 1), ["日"]);
    }

    #[test]
    fn cells_are_of_one_width() {
        assert_eq!(cell("orders", 8), "orders  ");
        assert_eq!(cell("orders", 4), "ord…");
        assert_eq!(cell("日本語", 4), "日… ");
        assert_eq!(cell_right("12", 4), "  12");
        assert_eq!(cell("x", 0), "");
        assert_eq!(hard("abcde", 2), ["ab", "cd", "e"]);
    }
}

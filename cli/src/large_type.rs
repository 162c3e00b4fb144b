//! A code in letters that are read across a desk: whoever types it into a telephone looks up and down.
//!
//! Drawn only on a terminal with room for it, from shapes of this program's own; a code with anything but capital letters, digits and
//! hyphens is shown as it is.

use crate::output::Ui;
use crate::qr;

/// Rows of a glyph, and columns.
const SIZE: usize = 5;
/// What else has to stay on the screen.
const ROWS_BESIDE: usize = 12;
const INDENT: usize = 4;

/// Shows a code in large type, with the code itself below it to be copied; false where there is no room beside the rows taken.
pub(crate) fn show(ui: &Ui, code: &str, rows_taken: usize) -> bool {
    let drawn = ui.canvas().filter(|_| qr::terminal_draws_blocks());
    let Some(lines) = drawn.and_then(|(columns, rows)| large(code, columns, rows.saturating_sub(rows_taken))) else {
        return false;
    };
    for line in lines {
        ui.say(&line);
    }
    ui.say("");
    ui.say(&format!("    {code}"));
    true
}

/// The lines; none where they do not fit, or a letter has no shape.
fn large(code: &str, columns: usize, rows: usize) -> Option<Vec<String>> {
    let letters: Vec<[u8; SIZE]> = code.chars().map(shape).collect::<Option<_>>()?;
    let width = INDENT + letters.len() * (SIZE + 1);
    if letters.is_empty() || width > columns || rows < SIZE + ROWS_BESIDE {
        return None;
    }
    let line = |row: usize| {
        let mut line = " ".repeat(INDENT);
        for letter in &letters {
            let dots = letter.get(row).copied().unwrap_or_default();
            line.extend((0..SIZE).rev().map(|dot| if dots >> dot & 1 == 1 { '█' } else { ' ' }));
            line.push(' ');
        }
        line.trim_end().to_owned()
    };
    Some((0..SIZE).map(line).collect())
}

fn shape(letter: char) -> Option<[u8; SIZE]> {
    SHAPES.iter().find(|(known, _)| *known == letter).map(|(_, shape)| *shape)
}

#[rustfmt::skip]
const SHAPES: [(char, [u8; SIZE]); 37] = [
    ('A', [0b01110, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('B', [0b11110, 0b10001, 0b11110, 0b10001, 0b11110]),
    ('C', [0b01111, 0b10000, 0b10000, 0b10000, 0b01111]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('E', [0b11111, 0b10000, 0b11110, 0b10000, 0b11111]),
    ('F', [0b11111, 0b10000, 0b11110, 0b10000, 0b10000]),
    ('G', [0b01111, 0b10000, 0b10011, 0b10001, 0b01111]),
    ('H', [0b10001, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('I', [0b11111, 0b00100, 0b00100, 0b00100, 0b11111]),
    ('J', [0b00111, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('K', [0b10010, 0b10100, 0b11000, 0b10100, 0b10010]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('M', [0b10001, 0b11011, 0b10101, 0b10001, 0b10001]),
    ('N', [0b10001, 0b11001, 0b10101, 0b10011, 0b10001]),
    ('O', [0b01110, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('P', [0b11110, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('Q', [0b01110, 0b10001, 0b10101, 0b10010, 0b01101]),
    ('R', [0b11110, 0b10001, 0b11110, 0b10010, 0b10001]),
    ('S', [0b01111, 0b10000, 0b01110, 0b00001, 0b11110]),
    ('T', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('U', [0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('V', [0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
    ('W', [0b10001, 0b10001, 0b10101, 0b11011, 0b10001]),
    ('X', [0b10001, 0b01010, 0b00100, 0b01010, 0b10001]),
    ('Y', [0b10001, 0b01010, 0b00100, 0b00100, 0b00100]),
    ('Z', [0b11111, 0b00010, 0b00100, 0b01000, 0b11111]),
    ('0', [0b01110, 0b10011, 0b10101, 0b11001, 0b01110]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b01110]),
    ('2', [0b11110, 0b00001, 0b01110, 0b10000, 0b11111]),
    ('3', [0b11110, 0b00001, 0b01110, 0b00001, 0b11110]),
    ('4', [0b10010, 0b10010, 0b11111, 0b00010, 0b00010]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b11110]),
    ('6', [0b01110, 0b10000, 0b11110, 0b10001, 0b01110]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100]),
    ('8', [0b01110, 0b10001, 0b01110, 0b10001, 0b01110]),
    ('9', [0b01110, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('-', [0b00000, 0b00000, 0b01110, 0b00000, 0b00000]),
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_code_is_drawn_letter_by_letter() {
        let drawn = [
            "    █   █ ████    ███ ████        █   █ █  █",
            "    █   █ █   █    █  █   █       ██ ██ █  █",
            "    █ █ █ █   █    █  ████   ███  █ █ █ █████",
            "    ██ ██ █   █ █  █  █   █       █   █    █",
            "    █   █ ████   ██   ████        █   █    █",
        ];
        assert_eq!(large("WDJB-M4", 80, 24).unwrap(), drawn);
    }

    #[test]
    fn every_letter_has_a_shape_of_its_own() {
        for (i, (letter, shape)) in SHAPES.iter().enumerate() {
            assert!(shape.iter().all(|row| *row < 32) && *shape != [0; SIZE], "{letter}");
            assert!(
                SHAPES.iter().skip(i + 1).all(|(other, same)| other != letter && same != shape),
                "{letter}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_or_cannot_be_drawn_is_left_to_plain_letters() {
        assert!(large("ABCD-EFGH", 58, 17).is_some());
        assert!(large("ABCD-EFGH", 57, 17).is_none());
        assert!(large("ABCD-EFGH", 58, 16).is_none());
        for odd in ["", "abcd", "AB\u{1b}[2J", "АBC", "A B"] {
            assert!(large(odd, 200, 50).is_none(), "{odd}");
        }
    }
}

//! An address as a picture that a phone's camera reads, for whoever signs in far from a browser.
//!
//! Shown only where it can be read: on a terminal that draws block characters and is large enough. The address stands beside
//! it in letters, so nothing is lost without it.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::output::Ui;

/// What else has to stay on the screen: the address and the code above all.
const ROWS_BESIDE: usize = 12;

/// Shows the picture where there is room for it; gives the rows that it took.
pub(crate) fn show(ui: &Ui, address: &str) -> usize {
    if let Some((columns, rows)) = ui.canvas().filter(|_| terminal_draws_blocks())
        && let Some(lines) = picture(address, columns, rows)
    {
        ui.picture(&lines);
        ui.say("");
        return lines.len() + 1;
    }
    0
}

/// Whether block characters would show as such.
pub(crate) fn terminal_draws_blocks() -> bool {
    speaks_utf8(|name| std::env::var(name).ok())
}

/// The lines of the picture, light modules drawn and dark ones left out; none where it does not fit.
fn picture(address: &str, columns: usize, rows: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    let lines: Vec<String> = drawn.lines().map(str::to_owned).collect();
    let width = lines.iter().map(|line| line.chars().count()).max()?;
    (width <= columns && lines.len() + ROWS_BESIDE <= rows).then_some(lines)
}

/// Whether the terminal is told to expect UTF-8 (POSIX: the first of these that is set decides).
fn speaks_utf8(environment: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| environment(name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_picture_has_a_quiet_zone_and_three_corners() {
        let lines = picture("https://idp.example/device?user_code=BCDF-GHJK", 80, 40).unwrap();
        insta::assert_snapshot!(lines.join("\n"), @r"
        █████████████████████████████████████
        █████████████████████████████████████
        ████ ▄▄▄▄▄ █▀ █▀▀▄ ▀▀▀█▄ █ ▄▄▄▄▄ ████
        ████ █   █ █▀ ▄ █▀▄ ▄▀▄█▄█ █   █ ████
        ████ █▄▄▄█ █▀█ █▄██▀▄▄ ▄▄█ █▄▄▄█ ████
        ████▄▄▄▄▄▄▄█▄█▄█ █▄▀ █▄█ █▄▄▄▄▄▄▄████
        ████  ▄▄ ▀▄   ▄█▄▀▄▄▀▄▀▀▀ ▀ ▀▄█▄▀████
        ████ ▄  ▄█▄ █ ▀ ▄▀▀▄ ▄▄▀ ██▀█▀█▀█████
        ████ ▀▀██▄▄ ▄ ▀▄▀  █▀▄▀ ██▀█▀▄▄█▀████
        ████ ▄▄█ █▄ █ ██▀▄▀▄▄███  ▄█ ▄▄▀█████
        ████▀▀▀ █▄▄▀▄▄██▄▀▄▄▀ ▄▀▀▀▀ ▀▄ █▀████
        ████ █▀▀█▄▄█ ▀█ ▄▄▀▄ ▄██▀▄█▀ █▄▀█████
        ████▄█▄▄██▄█▀▄ ▄ ▀▀▀ ▄█▄ ▄▄▄ ▀   ████
        ████ ▄▄▄▄▄ █▄ ██ █ ▄███  █▄█ ▄▄██████
        ████ █   █ █ ▀▄  █▀▄ ▄██▄▄▄▄▄▀ ▀▀████
        ████ █▄▄▄█ █ █▀█ ▀   ▄▄▀▀▄    ▄ █████
        ████▄▄▄▄▄▄▄█▄██▄▄██▄█▄█▄██████▄██████
        █████████████████████████████████████
        ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀
        ");
    }

    #[test]
    fn a_picture_that_does_not_fit_is_left_out() {
        let address = "https://idp.example/device?user_code=BCDF-GHJK";
        let lines = picture(address, 80, 40).unwrap();
        let (width, height) = (lines.first().unwrap().chars().count(), lines.len());
        assert!(picture(address, width, height + ROWS_BESIDE).is_some());
        assert!(picture(address, width - 1, 40).is_none());
        assert!(picture(address, 80, height + ROWS_BESIDE - 1).is_none());
        assert!(picture(&"x".repeat(5000), 1000, 1000).is_none(), "too much for any picture");
    }

    #[test]
    fn the_locale_says_whether_blocks_can_be_drawn() {
        let speaks =
            |pairs: &[(&str, &str)]| speaks_utf8(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        assert!(speaks(&[("LANG", "en_US.UTF-8")]));
        assert!(speaks(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!speaks(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!speaks(&[]));
    }
}

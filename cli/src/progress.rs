//! What moves while a person waits; nothing off a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ui;
use crate::sink::Target;
use crate::text;

const TICK: Duration = Duration::from_millis(100);

/// A spinner that counts delivered bytes. How many will come is not known: the source decides.
pub(crate) fn delivery(ui: &Ui, target: &Target) -> ProgressBar {
    styled(
        ui.animates() && !target.is_terminal(),
        "{spinner} {binary_bytes:>10}  {binary_bytes_per_sec}  {elapsed}",
    )
}

/// A bar of the chunks that are here.
pub(crate) fn chunks(ui: &Ui, count: u32) -> ProgressBar {
    let bar = styled(ui.animates(), "{spinner} {bar:30} {pos} of {len} chunks  {elapsed}  {eta} left");
    bar.set_length(count.into());
    bar
}

/// A spinner that waits for somebody.
pub(crate) fn waiting(ui: &Ui, words: &str) -> ProgressBar {
    let bar = styled(ui.animates(), "{spinner} {msg}  {elapsed}");
    bar.set_message(text::line(words).into_owned());
    bar
}

fn styled(draw: bool, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        None,
        if draw {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        },
    );
    if draw {
        // The templates are constants; one that were wrong would only look plain.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
    }
    bar
}

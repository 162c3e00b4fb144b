//! The operator's log: one JSON object a line on standard error, with the id of the request it belongs to.
//!
//! Never a body, a token, a query string or a raw value: handlers log codes and templates, and a panic logs where it
//! happened but not its text, which may quote what it choked on.

use tracing_subscriber::EnvFilter;

use crate::config::Env;
use crate::config::env::LOG;

/// What is logged unless the environment says otherwise.
const FILTER_DEFAULT: &str = "info";

/// Starts logging for this process. A second call changes nothing.
pub fn start(env: &Env) {
    let filter = env
        .get(LOG)
        .and_then(|text| EnvFilter::try_new(text.as_str()).ok())
        .unwrap_or_else(|| EnvFilter::new(FILTER_DEFAULT));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    if subscriber.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, "panic");
        }));
    }
}

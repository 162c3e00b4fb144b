//! Whether we live, whether we can serve, and how much was done.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use chunk_core::broker::Metrics;
use chunk_core::sinks::SinkMetrics;
use chunk_core::timestamp::TimestampMetrics;
use chunk_core::witness::WitnessMetrics;
use chunk_wire::problem::Problem;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::Gateway;
use super::problem::Refusal;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
#[utoipa::path(get, operation_id = "healthz", path = "/healthz", tag = "operations", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> Response {
    text("ok\n".to_owned(), "text/plain; charset=utf-8")
}

/// Requests can be served: the log can grow, its witnesses vouch for it, and the broker does not stop.
#[utoipa::path(
    get, operation_id = "readyz", path = "/readyz", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<Response, Refusal> {
    gateway.broker.ready()?;
    Ok(text("ready\n".to_owned(), "text/plain; charset=utf-8"))
}

/// Counters in the Prometheus text format. On the API's own listener only for loopback peers, and not at all where
/// `metrics_listen` is configured.
#[utoipa::path(
    get, operation_id = "metrics", path = "/metrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn metrics_for_loopback(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<Response, Refusal> {
    if gateway.metrics_apart || !peer.ip().to_canonical().is_loopback() {
        return Err(Refusal::not_found("route"));
    }
    Ok(text(render(&gateway), PROMETHEUS))
}

/// The same on a listener of its own.
pub(super) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    text(render(&gateway), PROMETHEUS)
}

fn render(gateway: &Gateway) -> String {
    let mut out = String::new();
    let info = gateway.broker.info();
    let _ = writeln!(
        out,
        "# HELP chunk_broker_info Version of the program.\n# TYPE chunk_broker_info gauge\nchunk_broker_info{{version=\"{}\"}} 1",
        info.version
    );
    let ready = u64::from(gateway.broker.ready().is_ok());
    let Metrics {
        entries,
        commits_total,
        sessions_open,
        requests_pending,
        deliveries_running,
        deliveries_total,
        rows_total,
        bytes_total,
        log_writable,
    } = gateway.broker.metrics();
    for (name, kind, help, value) in [
        ("ready", "gauge", "1 while requests can be served.", ready),
        ("log_writable", "gauge", "1 while the evidence log can grow.", log_writable),
        ("log_entries", "gauge", "Entries in the evidence log.", entries),
        ("log_commits_total", "counter", "Durable commits since start.", commits_total),
        ("sessions_open", "gauge", "Sessions that are open.", sessions_open),
        ("requests_pending", "gauge", "Requests that wait for reviewers.", requests_pending),
        ("deliveries_running", "gauge", "Deliveries under way.", deliveries_running),
        ("deliveries_total", "counter", "Deliveries started since start.", deliveries_total),
        ("delivered_rows_total", "counter", "Rows that left since start.", rows_total),
        ("delivered_bytes_total", "counter", "Bytes that left since start.", bytes_total),
    ] {
        let _ = writeln!(
            out,
            "# HELP chunk_broker_{name} {help}\n# TYPE chunk_broker_{name} {kind}\nchunk_broker_{name} {value}"
        );
    }
    if let Some(witness) = gateway.broker.witness_metrics() {
        write_witnesses(&mut out, &witness);
    }
    write_receivers(&mut out, "sink", &gateway.broker.sink_metrics());
    let notifiers = gateway.broker.notifier_metrics();
    write_receivers(&mut out, "notifier", &notifiers);
    write_given_up(&mut out, &notifiers);
    if let Some(stamps) = gateway.broker.timestamp_metrics() {
        write_timestamps(&mut out, stamps);
    }
    if let Some(mirror) = &gateway.mirror {
        write_mirror(&mut out, entries.saturating_sub(mirror.held()), mirror.contradicts());
    }
    gateway.counters.write(&mut out);
    out
}

fn write_witnesses(out: &mut String, metrics: &WitnessMetrics) {
    let gauges = [
        (
            "age_seconds",
            "Seconds since a quorum of witnesses vouched for the evidence log.",
            metrics.age_s,
        ),
        (
            "cosigned_entries",
            "Entries that a quorum of witnesses vouched for.",
            metrics.cosigned,
        ),
    ];
    write_gauges(out, "witness", &gauges);
    out.push_str(
        "# HELP chunk_broker_witness_up 1 while the witness cosigns what it is asked for.\n# TYPE chunk_broker_witness_up gauge\n",
    );
    for (name, up) in &metrics.witnesses {
        let _ = writeln!(out, "chunk_broker_witness_up{{witness=\"{name}\"}} {}", u64::from(*up));
    }
}

fn write_gauges(out: &mut String, of: &str, gauges: &[(&str, &str, u64)]) {
    for (name, help, value) in gauges {
        let _ = writeln!(
            out,
            "# HELP chunk_broker_{of}_{name} {help}\n# TYPE chunk_broker_{of}_{name} gauge\nchunk_broker_{of}_{name} {value}"
        );
    }
}

fn write_receivers(out: &mut String, role: &str, receivers: &[SinkMetrics]) {
    if receivers.is_empty() {
        return;
    }
    type Value = fn(&SinkMetrics) -> u64;
    let metrics: [(&str, &str, &str, Value); 4] = [
        (
            "accepted_entries",
            "gauge",
            "Entries that it has been given: the index of the next one.",
            |sink| sink.accepted,
        ),
        ("lag_entries", "gauge", "Entries that it has not been given yet.", |sink| sink.lag),
        (
            "behind_seconds",
            "gauge",
            "For how long there has been something that it has not accepted.",
            |sink| sink.behind_s,
        ),
        (
            "failures_total",
            "counter",
            "Tries to send to it that failed since start.",
            |sink| sink.failures_total,
        ),
    ];
    for (name, kind, help, value) in metrics {
        let _ = writeln!(
            out,
            "# HELP chunk_broker_{role}_{name} {help}\n# TYPE chunk_broker_{role}_{name} {kind}"
        );
        for receiver in receivers {
            let labels = format!("{role}=\"{}\",kind=\"{}\"", receiver.name, receiver.kind);
            let _ = writeln!(out, "chunk_broker_{role}_{name}{{{labels}}} {}", value(receiver));
        }
    }
}

fn write_given_up(out: &mut String, notifiers: &[SinkMetrics]) {
    if notifiers.is_empty() {
        return;
    }
    out.push_str(
        "# HELP chunk_broker_notifier_given_up_total Notifications that nobody took in time, since start.\n# TYPE chunk_broker_notifier_given_up_total counter\n",
    );
    for SinkMetrics {
        name,
        kind,
        given_up_total,
        ..
    } in notifiers
    {
        let _ = writeln!(
            out,
            "chunk_broker_notifier_given_up_total{{notifier=\"{name}\",kind=\"{kind}\"}} {given_up_total}"
        );
    }
}

fn write_timestamps(out: &mut String, metrics: TimestampMetrics) {
    let gauges = [
        (
            "age_seconds",
            "Seconds since the time of the newest time stamp over the evidence log.",
            metrics.age_s,
        ),
        ("stamped_entries", "Entries that the newest time stamp covers.", metrics.stamped),
        (
            "up",
            "1 while the time-stamp authority stamps what it is asked to.",
            u64::from(metrics.up),
        ),
    ];
    write_gauges(out, "timestamp", &gauges);
}

fn write_mirror(out: &mut String, lacking: u64, contradicts: bool) {
    let gauges = [
        (
            "lacking_entries",
            "Entries of the evidence log that the mirror does not hold yet.",
            lacking,
        ),
        (
            "contradicts",
            "1 once the mirror was found to hold something else than the evidence log.",
            u64::from(contradicts),
        ),
    ];
    write_gauges(out, "mirror", &gauges);
}

fn text(body: String, media_type: &'static str) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}

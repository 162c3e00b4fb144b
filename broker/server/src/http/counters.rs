//! Counts what was answered, for `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS_S: [f64; 8] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Requests by method, route and status; durations by route. Labels come from closed lists, so the number of series is bounded.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: BTreeMap<(&'static str, String, u16), u64>,
    durations: BTreeMap<String, Histogram>,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS_S.len()],
    count: u64,
    sum_s: f64,
}

impl Counters {
    /// Counts one answer. `route` is a template of the router, never a path as sent.
    pub(super) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner.requests.entry((method, route.to_owned(), status)).or_default() += 1;
        let histogram = inner.durations.entry(route.to_owned()).or_default();
        let took_s = took.as_secs_f64();
        histogram.count += 1;
        histogram.sum_s += took_s;
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BUCKETS_S) {
            *bucket += u64::from(took_s <= bound);
        }
    }

    /// Appends the counters in the Prometheus text format.
    pub(super) fn write(&self, out: &mut String) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        out.push_str("# HELP chunk_broker_http_requests_total Answers by method, route and status.\n# TYPE chunk_broker_http_requests_total counter\n");
        for ((method, route, status), count) in &inner.requests {
            let _ = writeln!(
                out,
                "chunk_broker_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
            );
        }
        out.push_str("# HELP chunk_broker_http_request_duration_seconds Time until the head of the answer.\n# TYPE chunk_broker_http_request_duration_seconds histogram\n");
        for (route, histogram) in &inner.durations {
            for (bucket, bound) in histogram.buckets.iter().zip(BUCKETS_S) {
                let _ = writeln!(
                    out,
                    "chunk_broker_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {bucket}"
                );
            }
            let Histogram { count, sum_s, .. } = histogram;
            let _ = writeln!(
                out,
                "chunk_broker_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"
            );
            let _ = writeln!(out, "chunk_broker_http_request_duration_seconds_sum{{route=\"{route}\"}} {sum_s}");
            let _ = writeln!(out, "chunk_broker_http_request_duration_seconds_count{{route=\"{route}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_every_bucket_above_them() {
        let counters = Counters::default();
        counters.answered("GET", "/v1/info", 200, Duration::from_millis(60));
        let mut text = String::new();
        counters.write(&mut text);
        assert!(
            text.contains("requests_total{method=\"GET\",route=\"/v1/info\",status=\"200\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("le=\"0.05\"} 0\n") && text.contains("le=\"0.1\"} 1\n") && text.contains("le=\"+Inf\"} 1\n"),
            "{text}"
        );
    }
}

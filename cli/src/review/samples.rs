//! Requests for tests.

use chunk_evidence::encode;
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::session::Person;
use serde_json::{Value, json};

/// The reviewer.
pub(crate) fn me() -> Person {
    person("rita", "Rita Reviewer")
}

pub(crate) fn person(subject: &str, name: &str) -> Person {
    Person {
        issuer: "https://id.example.test".into(),
        subject: subject.into(),
        name: name.into(),
        email: Some(format!("{subject}@example.test")),
        groups: vec!["data-eng".into(), "oncall".into()],
        workload: None,
    }
}

/// A request that can be changed before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    index: u64,
    state: RequestState,
    requester: Person,
    reviews: Vec<Value>,
    query: Value,
    reason: String,
    host: String,
    created_ms: i64,
    /// In an emergency; and whether nobody has judged it yet.
    emergency: Option<bool>,
    /// Group, people, and approvals so far.
    stages: Vec<(&'static str, u32, u32)>,
}

/// When the tests play.
pub(crate) const NOW_MS: i64 = 1_795_500_000_000;

impl Sample {
    pub(crate) fn new(index: u64) -> Self {
        Self {
            index,
            state: RequestState::Pending,
            requester: person("dana", "Dana Developer"),
            reviews: Vec::new(),
            query: json!({"kind": "slice", "dataset": "orders", "columns": ["order_id", "email", "total"], "filter": "total > 100", "limit": 500}),
            reason: "churn model, first look".into(),
            host: "dana-laptop".into(),
            created_ms: NOW_MS - 180_000,
            emergency: None,
            stages: Vec::new(),
        }
    }

    pub(crate) fn by(mut self, requester: &Person) -> Self {
        self.requester = requester.clone();
        self
    }

    pub(crate) fn reviewed_by(mut self, reviewer: &Person) -> Self {
        self.reviews.push(json!({"verdict": "approve", "reviewer": reviewer, "reason": "the ticket says so", "time_ms": NOW_MS - 60_000, "index": self.index + 1}));
        self
    }

    pub(crate) fn in_state(mut self, state: RequestState) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn in_an_emergency(mut self, review_due: bool) -> Self {
        self.emergency = Some(review_due);
        self
    }

    pub(crate) fn in_stages(mut self, stages: &[(&'static str, u32, u32)]) -> Self {
        self.stages = stages.to_vec();
        self
    }

    pub(crate) fn because(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    pub(crate) fn at_host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    pub(crate) fn sql(mut self, text: &str) -> Self {
        self.query = json!({"kind": "sql", "text": text});
        self
    }

    /// As the broker would show it.
    pub(crate) fn view(&self) -> RequestView {
        let mut document = json!({
            "budget": {"bytes": 64 << 20, "duration_s": 600, "rows": 50_000},
            "columns": [
                {"dataset": "orders", "mask": "open", "name": "order_id"},
                {"class": "pii.email", "dataset": "orders", "mask": "tokenize", "name": "email"},
                {"dataset": "orders", "mask": "open", "name": "total"},
            ],
            "connections": ["warehouse"], "datasets": ["orders"], "filtered": ["orders"], "format": "parquet", "grant_s": 3600,
            "nonce": format!("{:032x}", self.index), "not_after_ms": NOW_MS + 600_000, "policy": "5f".repeat(32), "query": self.query, "quorum": 1,
            "reason": self.reason, "requester": {"issuer": self.requester.issuer, "key": "8Jb0yqhV9gTfQ4kZ1mXn", "subject": self.requester.subject},
            "row_filters": {}, "ticket": format!("INC-{}", self.index), "v": 1,
        });
        if self.emergency.is_some() {
            document["break_glass"] = true.into();
        }
        let stage = |group: &str, quorum: u32| json!({"groups": [group], "quorum": quorum});
        if !self.stages.is_empty() {
            document["quorum"] = self.stages.iter().map(|(_, quorum, _)| quorum).sum::<u32>().into();
            document["stages"] = self.stages.iter().map(|(group, quorum, _)| stage(group, *quorum)).collect();
        }
        let turn = self.stages.iter().position(|(_, quorum, given)| given < quorum);
        let turn = turn.filter(|_| self.state == RequestState::Pending);
        let each = self.stages.iter().enumerate();
        let stages: Vec<Value> = each
            .map(|(at, (group, quorum, given))| json!({"stage": stage(group, *quorum), "approvals": given, "turn": turn == Some(at)}))
            .collect();
        let document = encode::canonical(&document).unwrap();
        serde_json::from_value(json!({
            "id": format!("req_{:016}", self.index), "state": self.state, "digest": encode::sha256_hex(document.as_bytes()), "document": document,
            "requester": self.requester, "host": self.host, "ip": "192.0.2.7", "created_ms": self.created_ms, "expires_ms": NOW_MS + 86_000_000,
            "index": self.index, "rows_estimated": 1234, "reviews": self.reviews, "approvals_missing": 1, "deliveries": [],
            "break_glass": self.emergency.is_some(), "stages": stages, "review_due": self.emergency == Some(true),
        }))
        .unwrap()
    }
}

//! The questions themselves.

use super::{Check, JQ_MFA, Role, Way};
use crate::body::Group;
use crate::leaf::{Decision, Kind};
use crate::views::known::is_mfa;
use crate::views::row::{MASK_OPEN, Row};

/// Grants that live longer are worth a question.
const GRANT_S_MAX: i64 = 24 * 60 * 60;
/// Deliveries of more rows are worth a look.
const ROWS_MANY: u64 = 100_000;

const fn figure(id: &'static str, title: &'static str, kinds: &'static [Kind], way: Way) -> Check {
    Check {
        id,
        title,
        role: Role::Figure,
        kinds,
        needs: None,
        way,
    }
}

const fn worked(id: &'static str, title: &'static str, kinds: &'static [Kind], way: Way) -> Check {
    Check {
        id,
        title,
        role: Role::Worked,
        kinds,
        needs: None,
        way,
    }
}

const fn ask(id: &'static str, title: &'static str, kinds: &'static [Kind], way: Way) -> Check {
    Check {
        id,
        title,
        role: Role::Ask,
        kinds,
        needs: None,
        way,
    }
}

impl Check {
    const fn needs(mut self, group: Group) -> Self {
        self.needs = Some(group);
        self
    }
}

/// Every question, by short name.
pub(in crate::views) const CHECKS: &[Check] = &[
    // Sign-ins and people.
    figure("sign-ins", "Sign-ins", &[Kind::SessionOpen], Way::All),
    figure("sign-outs", "Sessions ended", &[Kind::SessionClose], Way::All),
    figure(
        "pseudonyms",
        "Pseudonyms that signed in",
        &[Kind::SessionOpen],
        Way::Distinct(|row| row.header.act.iter().cloned().collect(), ".actor // empty"),
    ),
    figure(
        "people",
        "Different people or workloads that signed in (issuer and subject)",
        &[Kind::SessionOpen],
        Way::Distinct(person, "select(.who) | .who.issuer + \" \" + .who.subject"),
    )
    .needs(Group::Who),
    figure(
        "keys",
        "Different keys that people signed with",
        &[Kind::SessionOpen],
        Way::Distinct(|row| own(row, Group::Who, "key"), ".who.key // empty"),
    )
    .needs(Group::Who),
    figure(
        "sign-ins-mfa",
        "Sign-ins with several factors",
        &[Kind::SessionOpen],
        Way::If(several_factors, JQ_MFA),
    )
    .needs(Group::Who),
    ask(
        "sign-ins-weak",
        "Sign-ins for which the identity provider named only one factor, or none",
        &[Kind::SessionOpen],
        Way::Unless(several_factors, JQ_MFA),
    )
    .needs(Group::Who),
    figure(
        "failed-sign-ins",
        "Failed sign-ins",
        &[Kind::SessionFail],
        Way::Sum(|row| row.number(Group::Out, "count").unwrap_or(0), ".out.count // 0"),
    )
    .needs(Group::Out),
    worked(
        "failed-sign-in-entries",
        "Failed sign-ins, each entry counting several of one address and cause",
        &[Kind::SessionFail],
        Way::All,
    ),
    ask(
        "sessions-revoked",
        "Sessions that somebody ended before their time",
        &[Kind::SessionClose],
        Way::If(revoked, r#".why.cause == "revoked""#),
    )
    .needs(Group::Why),
    figure("bindings", "Pseudonyms bound to people", &[Kind::SubjectBind], Way::All),
    worked(
        "suspensions",
        "People whom their directory suspended",
        &[Kind::PersonSuspend],
        Way::All,
    ),
    figure(
        "restorations",
        "People whom their directory restored",
        &[Kind::PersonRestore],
        Way::All,
    ),
    figure("key-enrolments", "SSH keys enrolled", &[Kind::KeyEnroll], Way::All),
    figure("key-revocations", "SSH keys taken back", &[Kind::KeyRevoke], Way::All),
    ask("key-rotations", "Keys replaced", &[Kind::KeyRotate], Way::All),
    // Requests, verdicts, grants.
    figure(
        "requests",
        "Requests that policy allowed to be made",
        &[Kind::RequestCreate],
        Way::All,
    ),
    worked("requests-denied", "Requests denied by policy", &[Kind::RequestDeny], Way::All),
    figure(
        "requests-withdrawn",
        "Requests withdrawn or expired unanswered",
        &[Kind::RequestCancel, Kind::RequestExpire],
        Way::All,
    ),
    ask(
        "requests-unticketed",
        "Requests that name no ticket",
        &[Kind::RequestCreate],
        Way::If(|row| row.text(Group::Why, "ticket").is_none(), ".why and (.why.ticket | not)"),
    )
    .needs(Group::Why),
    figure(
        "approvals",
        "Approvals, each signed by the reviewer",
        &[Kind::ReviewApprove],
        Way::All,
    ),
    worked("rejections", "Requests that a reviewer rejected", &[Kind::ReviewReject], Way::All),
    figure(
        "reviewers",
        "Different reviewers (pseudonyms)",
        &[Kind::ReviewApprove, Kind::ReviewReject],
        Way::Distinct(|row| row.header.act.iter().cloned().collect(), ".actor // empty"),
    ),
    figure("grants", "Grants issued", &[Kind::GrantIssue], Way::All),
    figure(
        "grants-reviewed",
        "Grants that rest on approvals",
        &[Kind::GrantIssue],
        Way::If(|row| row.header.refs.len() > 1, "(.refs | length) > 1"),
    ),
    ask(
        "grants-unreviewed",
        "Grants that policy gave without anybody's approval",
        &[Kind::GrantIssue],
        Way::If(|row| row.header.refs.len() < 2, "(.refs | length) < 2"),
    ),
    figure("grants-taken", "Grants taken into use", &[Kind::GrantTake], Way::All),
    ask(
        "grants-standing",
        "Standing grants: approved once, for many deliveries",
        &[Kind::GrantIssue],
        Way::If(|row| row.number(Group::Out, "uses").is_none(), ".out and (.out.uses | not)"),
    )
    .needs(Group::Out),
    figure(
        "grants-standing-used",
        "Uses of standing grants",
        &[Kind::GrantTake],
        Way::If(|row| row.header.refs.len() > 2, "(.refs | length) > 2"),
    ),
    worked("grants-revoked", "Grants revoked", &[Kind::GrantRevoke], Way::All),
    figure("grants-expired", "Grants that expired", &[Kind::GrantExpire], Way::All),
    ask(
        "grants-long",
        "Grants valid for more than 24 hours",
        &[Kind::GrantIssue],
        Way::If(long_lived, LONG_LIVED),
    )
    .needs(Group::Out),
    ask("break-glass", "Emergency grants", &[Kind::BreakglassOpen], Way::All),
    ask(
        "break-glass-unreviewed",
        "Emergency grants without a review in the range",
        &[Kind::BreakglassOpen],
        Way::Unanswered {
            condition: |_| true,
            jq: "",
            by: &[Kind::BreakglassReview],
        },
    ),
    // Deliveries.
    figure("readings", "Times data was read", &[Kind::FetchIntent], Way::All),
    figure(
        "datasets",
        "Different datasets that were read",
        &[Kind::FetchIntent],
        Way::Distinct(datasets, "(.dataset // empty) | split(\",\")[]"),
    ),
    figure(
        "connections",
        "Different connections that were read through",
        &[Kind::FetchIntent],
        Way::Distinct(
            |row| row.texts(Group::Obj, "connections").map(str::to_owned).collect(),
            ".obj.connections[]?",
        ),
    )
    .needs(Group::Obj),
    figure(
        "deliveries",
        "Deliveries that ended whole",
        &[Kind::FetchOutcome],
        Way::If(|row| row.text(Group::Out, "end") == Some("done"), r#".out.end == "done""#),
    )
    .needs(Group::Out),
    figure(
        "rows",
        "Rows that left",
        &[Kind::FetchOutcome],
        Way::Sum(|row| row.number(Group::Out, "rows").unwrap_or(0), ".out.rows // 0"),
    )
    .needs(Group::Out),
    figure(
        "bytes",
        "Bytes that left",
        &[Kind::FetchOutcome],
        Way::Sum(|row| row.number(Group::Out, "bytes").unwrap_or(0), ".out.bytes // 0"),
    )
    .needs(Group::Out),
    ask(
        "deliveries-interrupted",
        "Deliveries that a crash of the broker interrupted",
        &[Kind::FetchOutcome],
        Way::If(
            |row| row.text(Group::Out, "end") == Some("interrupted"),
            r#".out.end == "interrupted""#,
        ),
    )
    .needs(Group::Out),
    worked(
        "deliveries-stopped",
        "Deliveries stopped by a limit or a revocation",
        &[Kind::FetchOutcome],
        Way::If(stopped, r#".out.end == "limit" or .out.end == "revoked""#),
    )
    .needs(Group::Out),
    ask(
        "deliveries-broken",
        "Deliveries that broke off at the client, the source or the broker",
        &[Kind::FetchOutcome],
        Way::If(broken, r#".out.end | IN("cut", "source_failed", "failed")"#),
    )
    .needs(Group::Out),
    ask(
        "deliveries-large",
        "Deliveries of more than 100,000 rows",
        &[Kind::FetchOutcome],
        Way::If(
            |row| row.number(Group::Out, "rows").is_some_and(|rows| rows > ROWS_MANY),
            "(.out.rows // 0) > 100000",
        ),
    )
    .needs(Group::Out),
    ask(
        "readings-open",
        "Readings without an outcome at the end of the range: under way, or of a broker that has not come back",
        &[Kind::FetchIntent],
        Way::Unanswered {
            condition: |_| true,
            jq: "",
            by: &[Kind::FetchOutcome],
        },
    ),
    figure(
        "deliveries-unconfirmed",
        "Whole deliveries that the client did not confirm",
        &[Kind::FetchOutcome],
        Way::Unanswered {
            condition: |row| row.text(Group::Out, "end") == Some("done"),
            jq: r#".out.end == "done""#,
            by: &[Kind::DeliveryAck],
        },
    )
    .needs(Group::Out),
    // Masks.
    figure(
        "values",
        "Values that went through a mask",
        &[Kind::FetchOutcome],
        Way::Sum(
            |row| row.columns().map(|column| column.values).sum(),
            "[.mask.columns[]?.values // 0] | add // 0",
        ),
    )
    .needs(Group::Mask),
    figure(
        "values-altered",
        "Values that a mask altered",
        &[Kind::FetchOutcome],
        Way::Sum(
            |row| row.columns().map(|column| column.altered).sum(),
            "[.mask.columns[]?.altered // 0] | add // 0",
        ),
    )
    .needs(Group::Mask),
    figure(
        "masks",
        "Different masks applied",
        &[Kind::FetchOutcome],
        Way::Distinct(masks, r#".mask.columns[]?.mask | select(. != "open")"#),
    )
    .needs(Group::Mask),
    figure(
        "deliveries-classified",
        "Deliveries with classified columns",
        &[Kind::FetchOutcome],
        Way::If(
            |row| row.columns().any(|column| column.class.is_some()),
            "any(.mask.columns[]?; .class)",
        ),
    )
    .needs(Group::Mask),
    figure(
        "deliveries-personal",
        "Deliveries with columns of a class pii",
        &[Kind::FetchOutcome],
        Way::If(personal, PERSONAL),
    )
    .needs(Group::Mask),
    ask(
        "deliveries-revealed",
        "Deliveries in which a classified column was not masked",
        &[Kind::FetchOutcome],
        Way::If(
            |row| row.columns().any(|column| column.is_revealed()),
            r#"any(.mask.columns[]?; .class and .mask == "open")"#,
        ),
    )
    .needs(Group::Mask),
    // Those who run it.
    figure("policy-loads", "Times policies took effect", &[Kind::PolicyLoad], Way::All),
    ask(
        "policy-changes",
        "Policy sets that differ from the one before",
        &[Kind::PolicyLoad],
        Way::Changed(Group::What, "digest"),
    )
    .needs(Group::What),
    figure("config-loads", "Times a configuration took effect", &[Kind::ConfigLoad], Way::All),
    ask(
        "config-changes",
        "Configurations that differ from the one before",
        &[Kind::ConfigLoad],
        Way::Changed(Group::What, "digest"),
    )
    .needs(Group::What),
    figure("broker-starts", "Starts of a broker", &[Kind::BrokerStart], Way::All),
    figure("broker-stops", "Stops in good order", &[Kind::BrokerStop], Way::All),
    figure(
        "instances",
        "Different instances of the broker",
        &[Kind::BrokerStart],
        Way::Distinct(|row| own(row, Group::Env, "instance"), ".env.instance // empty"),
    )
    .needs(Group::Env),
    // The log and its readers.
    figure("entries", "Entries", Kind::ALL, Way::All),
    figure(
        "entries-erased",
        "Entries whose body was erased",
        Kind::ALL,
        Way::If(
            |row| matches!(row.shown, crate::views::Shown::Erased(_)),
            r#".disclosed == "erased""#,
        ),
    ),
    ask("erasures", "Erasures of a person's records", &[Kind::Erase], Way::All),
    ask(
        "disposals",
        "Records disposed of at the end of their retention",
        &[Kind::RetentionDispose],
        Way::All,
    ),
    figure("audit-reads", "Times the evidence was read", &[Kind::AuditRead], Way::All),
    figure(
        "audit-readers",
        "Different readers of the evidence (pseudonyms)",
        &[Kind::AuditRead, Kind::AuditExport],
        Way::Distinct(|row| row.header.act.iter().cloned().collect(), ".actor // empty"),
    ),
    worked("audit-exports", "Exports of evidence", &[Kind::AuditExport], Way::All),
    ask(
        "audit-exports-personal",
        "Exports that name people (level 3 or 4)",
        &[Kind::AuditExport],
        Way::If(
            |row| row.number(Group::Out, "level").is_some_and(|level| level >= 3),
            "(.out.level // 0) >= 3",
        ),
    )
    .needs(Group::Out),
    figure("clock-reports", "Reports of the clock's state", &[Kind::ClockStatus], Way::All),
    figure(
        "anchors",
        "Witness signatures and time stamps put back into the log",
        &[Kind::AnchorObserve],
        Way::All,
    ),
    ask("log-sealed", "The log was sealed", &[Kind::LogSeal], Way::All),
    figure(
        "denials",
        "Entries that record a no, by policy or by a reviewer",
        Kind::ALL,
        Way::If(|row| row.header.dec == Some(Decision::Deny), r#".decision == "deny""#),
    ),
];

const LONG_LIVED: &str = r#".out.expires_ms and ((.out.expires_ms / 1000 | floor) - (.time | sub("\\.[0-9]+Z$"; "Z") | fromdate) > 86400)"#;
const PERSONAL: &str = r#"any(.mask.columns[]?; (.class // "") | . == "pii" or startswith("pii."))"#;

fn person(row: &Row) -> Vec<String> {
    match (row.text(Group::Who, "issuer"), row.text(Group::Who, "subject")) {
        (Some(issuer), Some(subject)) => vec![format!("{issuer} {subject}")],
        _ => Vec::new(),
    }
}

fn own(row: &Row, group: Group, member: &str) -> Vec<String> {
    row.text(group, member).map(str::to_owned).into_iter().collect()
}

fn amr(row: &Row) -> Vec<&str> {
    row.texts(Group::Who, "amr").collect()
}

fn several_factors(row: &Row) -> bool {
    is_mfa(amr(row).into_iter())
}

fn revoked(row: &Row) -> bool {
    row.text(Group::Why, "cause") == Some("revoked")
}

fn long_lived(row: &Row) -> bool {
    let expires_s = row.number(Group::Out, "expires_ms").and_then(|ms| i64::try_from(ms / 1000).ok());
    expires_s.is_some_and(|expires_s| expires_s - row.header.t / 1000 > GRANT_S_MAX)
}

fn stopped(row: &Row) -> bool {
    matches!(row.text(Group::Out, "end"), Some("limit" | "revoked"))
}

fn broken(row: &Row) -> bool {
    matches!(row.text(Group::Out, "end"), Some("cut" | "source_failed" | "failed"))
}

fn datasets(row: &Row) -> Vec<String> {
    let datasets = row.header.ds.as_deref().into_iter().flat_map(|ds| ds.split(','));
    datasets.map(str::to_owned).collect()
}

fn masks(row: &Row) -> Vec<String> {
    let masks = row.columns().map(|column| column.mask).filter(|mask| *mask != MASK_OPEN);
    masks.map(str::to_owned).collect()
}

fn personal(row: &Row) -> bool {
    row.columns()
        .any(|column| column.class.is_some_and(|class| class == "pii" || class.starts_with("pii.")))
}

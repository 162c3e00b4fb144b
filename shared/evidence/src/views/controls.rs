//! What each control asks, what this evidence says about it, and what it cannot say.
//!
//! The words are ours: standards bodies own theirs. Nothing here says that a control is met; that is the auditor's to say.

/// One control of ISO/IEC 27001:2022, Annex A.
#[derive(Debug)]
pub(super) struct Control {
    /// `A.5.3`.
    pub(super) number: &'static str,
    pub(super) title: &'static str,
    /// What it asks, paraphrased.
    pub(super) asks: &'static str,
    /// What the log says about it.
    pub(super) answers: &'static str,
    /// What the log cannot say.
    pub(super) silent: &'static str,
    pub(super) reach: Reach,
    /// Claims of the verification that speak for it.
    pub(super) claims: &'static [&'static str],
    /// Questions, by short name.
    pub(super) checks: &'static [&'static str],
}

/// How far this evidence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The log shows the control at work, as far as access through the broker goes.
    Shown,
    /// The log shows a part; other evidence is needed beside it.
    Partly,
    /// The log touches the control only from afar.
    Hardly,
}

impl Reach {
    pub(super) fn word(self) -> &'static str {
        match self {
            Reach::Shown => "shown",
            Reach::Partly => "in part",
            Reach::Hardly => "little",
        }
    }
}

/// The controls, in the standard's order.
pub(super) const CONTROLS: &[Control] = &[
    Control {
        number: "A.5.3",
        title: "Segregation of duties",
        asks: "Duties that conflict are not in one hand: nobody can both ask for something risky and allow it.",
        answers: "Every grant names the request and the approvals it rests on. Approvals are by other people than the requester, each signed with the reviewer's own key; the verification fails otherwise.",
        silent: "Whether two people who approve for each other act independently, and whether the policy asks for enough approvals.",
        reach: Reach::Shown,
        claims: &["closure", "terms", "people", "signatures"],
        checks: &[
            "requests",
            "approvals",
            "rejections",
            "reviewers",
            "grants",
            "grants-reviewed",
            "grants-unreviewed",
            "break-glass",
        ],
    },
    Control {
        number: "A.5.15",
        title: "Access control",
        asks: "There are rules for who may reach which information, drawn from what the business needs, and they are applied.",
        answers: "Each request carries a reason and the decision of a named policy set; without a permit nothing is read. The texts of all policy sets in force stand in the bundle.",
        silent: "Whether the rules are the right ones, and access that does not go through the broker.",
        reach: Reach::Shown,
        claims: &["closure", "order"],
        checks: &[
            "requests",
            "requests-denied",
            "requests-withdrawn",
            "requests-unticketed",
            "policy-loads",
            "policy-changes",
        ],
    },
    Control {
        number: "A.5.16",
        title: "Identity management",
        asks: "Identities are managed from their first to their last day, and each belongs to one person or thing.",
        answers: "Every act stands under a session that the identity provider vouched for; one pseudonym is one issuer and subject. Where the directory tells of leavers, they are suspended, and the verification fails where a suspended person did anything.",
        silent: "Joiners and movers, and leavers of whom no directory told: that is the identity provider's record.",
        reach: Reach::Partly,
        claims: &["people", "closure"],
        checks: &[
            "people",
            "pseudonyms",
            "sign-ins",
            "sign-outs",
            "bindings",
            "suspensions",
            "restorations",
            "sessions-revoked",
        ],
    },
    Control {
        number: "A.5.17",
        title: "Authentication information",
        asks: "Secrets by which people prove who they are are handed out, kept and replaced in a controlled way.",
        answers: "People hold keys of their own; the log has each key's thumbprint with the session it is bound to, failed sign-ins, and replaced keys. Nobody holds a password of a database.",
        silent: "How passwords and devices are managed at the identity provider.",
        reach: Reach::Partly,
        claims: &["people", "signatures"],
        checks: &[
            "keys",
            "key-enrolments",
            "key-revocations",
            "key-rotations",
            "failed-sign-ins",
            "failed-sign-in-entries",
        ],
    },
    Control {
        number: "A.5.18",
        title: "Access rights",
        asks: "Rights are given, looked over, changed and taken away according to the rules.",
        answers: "A right is a grant: for one request, for a limited time, used once; or a standing one, for one person and one slice, within an approved time and volume. Its issue, use, withdrawal and end are entries.",
        silent: "Periodic reviews of who belongs to which group: that is the identity provider's record.",
        reach: Reach::Shown,
        claims: &["closure", "terms"],
        checks: &[
            "grants",
            "grants-taken",
            "grants-standing",
            "grants-standing-used",
            "grants-revoked",
            "grants-expired",
            "grants-long",
            "grants-unreviewed",
        ],
    },
    Control {
        number: "A.5.28",
        title: "Collection of evidence",
        asks: "Evidence of what happened is identified, gathered and kept so that it can be relied upon later.",
        answers: "The bundle proves itself: every entry leads to a signed tree head, and reading or exporting evidence is an entry too.",
        silent: "Evidence of anything outside the broker.",
        reach: Reach::Shown,
        claims: &["format", "head", "complete", "views"],
        checks: &["entries", "audit-reads", "audit-readers", "audit-exports", "anchors"],
    },
    Control {
        number: "A.5.33",
        title: "Protection of records",
        asks: "Records are safe from loss, destruction, forgery and unauthorised access or release.",
        answers: "The log can only grow: removing, changing or inserting an entry would break the signed tree head and whatever an auditor kept of it. Erasing a person's records is itself an entry and leaves the proofs whole.",
        silent: "Backups and their restoration.",
        reach: Reach::Shown,
        claims: &["append_only", "complete", "order"],
        checks: &[
            "entries",
            "entries-erased",
            "erasures",
            "disposals",
            "audit-exports-personal",
            "log-sealed",
        ],
    },
    Control {
        number: "A.5.34",
        title: "Privacy and protection of personal data",
        asks: "Personal data is handled as law and contracts demand.",
        answers: "For every delivery the log has the columns, their classes and the mask on each, with the number of values altered. People who act stand in the open part of the log by pseudonym only.",
        silent: "The legal ground of the processing, and what becomes of a file after its delivery.",
        reach: Reach::Partly,
        claims: &["terms", "people"],
        checks: &[
            "deliveries-personal",
            "deliveries-revealed",
            "values-altered",
            "erasures",
            "entries-erased",
            "audit-exports-personal",
        ],
    },
    Control {
        number: "A.8.2",
        title: "Privileged access rights",
        asks: "Rights beyond the ordinary are few, deliberate and watched.",
        answers: "Emergency grants, erasures, changes of policy and of configuration are entries, whoever makes them.",
        silent: "Who changed the policy or configuration files before the broker loaded them: that is the change record. Administrators of the machine.",
        reach: Reach::Partly,
        claims: &["closure", "append_only"],
        checks: &[
            "break-glass",
            "break-glass-unreviewed",
            "policy-changes",
            "config-loads",
            "config-changes",
            "erasures",
            "sessions-revoked",
        ],
    },
    Control {
        number: "A.8.3",
        title: "Information access restriction",
        asks: "Information can be reached only as the rules on access allow.",
        answers: "What was read, by column, is what was asked for and approved: the verification compares the masks and names of every delivery with those of its request.",
        silent: "Access that does not go through the broker; `chunkctl audit reconcile` compares with the source's own log.",
        reach: Reach::Shown,
        claims: &["closure", "terms"],
        checks: &[
            "readings",
            "datasets",
            "connections",
            "deliveries",
            "deliveries-classified",
            "deliveries-revealed",
            "requests-denied",
        ],
    },
    Control {
        number: "A.8.5",
        title: "Secure authentication",
        asks: "Signing in is as strong as what it protects demands.",
        answers: "The methods that the identity provider named stand in each sign-in; every later call is bound to the session's own key.",
        silent: "Methods that the identity provider does not name.",
        reach: Reach::Shown,
        claims: &["people"],
        checks: &["sign-ins", "sign-ins-mfa", "sign-ins-weak", "failed-sign-ins"],
    },
    Control {
        number: "A.8.10",
        title: "Information deletion",
        asks: "Information that is needed no longer is deleted.",
        answers: "Of the log itself: erasures and disposals name what they destroyed. A body that is missing without such an entry makes the bundle false.",
        silent: "Deletion in the sources, and of files that were delivered.",
        reach: Reach::Partly,
        claims: &["closure", "complete"],
        checks: &["erasures", "disposals", "entries-erased"],
    },
    Control {
        number: "A.8.11",
        title: "Data masking",
        asks: "Data is masked where the rules and the law say so.",
        answers: "Masks are applied before data leaves. Each outcome has, per column, the class, the mask, and how many values went through it and were altered; they are the masks that the reviewers approved.",
        silent: "Whether every column that should have a class has one. Masks such as `partial` and `tokenize` disclose by design what they keep.",
        reach: Reach::Shown,
        claims: &["terms"],
        checks: &["deliveries-classified", "masks", "values", "values-altered", "deliveries-revealed"],
    },
    Control {
        number: "A.8.12",
        title: "Data leakage prevention",
        asks: "Data does not leave where it should not.",
        answers: "How much left, in rows and bytes, for every delivery, however it ended; a digest of exactly the bytes that left.",
        silent: "What people do with a file they were entitled to fetch.",
        reach: Reach::Partly,
        claims: &["terms", "closure"],
        checks: &[
            "rows",
            "bytes",
            "deliveries",
            "deliveries-large",
            "deliveries-stopped",
            "deliveries-broken",
            "deliveries-interrupted",
            "deliveries-unconfirmed",
        ],
    },
    Control {
        number: "A.8.15",
        title: "Logging",
        asks: "Activities, exceptions and faults are logged; the logs are kept, protected and analysed.",
        answers: "Nothing is read without an entry before it, and every reading has one outcome. Indices have no gap, times never go back, and the rows fold into the signed head.",
        silent: "Logs of other systems.",
        reach: Reach::Shown,
        claims: &["complete", "order", "closure", "append_only"],
        checks: &[
            "entries",
            "readings",
            "readings-open",
            "deliveries-interrupted",
            "broker-starts",
            "broker-stops",
            "log-sealed",
        ],
    },
    Control {
        number: "A.8.16",
        title: "Monitoring activities",
        asks: "Systems are watched for what is out of the ordinary, and somebody acts on it.",
        answers: "What there was to see, and how often somebody looked at the evidence.",
        silent: "Alerts and what was done about them: that is the record of the monitoring system, which can be fed from the OCSF events.",
        reach: Reach::Partly,
        claims: &["complete"],
        checks: &[
            "denials",
            "requests-denied",
            "failed-sign-in-entries",
            "deliveries-large",
            "audit-reads",
            "audit-readers",
        ],
    },
    Control {
        number: "A.8.17",
        title: "Clock synchronisation",
        asks: "Clocks follow approved sources of time, so that records can be put in order.",
        answers: "Times never go back within the log. Reports of the clock's state and outside time stamps bracket the times from both sides, where there are any.",
        silent: "How the machine's clock is synchronised, where no such reports are in the range.",
        reach: Reach::Partly,
        claims: &["order"],
        checks: &["clock-reports", "anchors"],
    },
    Control {
        number: "A.8.24",
        title: "Use of cryptography",
        asks: "There are rules for cryptography and the management of keys, and they are followed.",
        answers: "Entries are hashed with SHA-256 into an RFC 6962 tree, whose heads are signed with Ed25519; people sign with Ed25519 keys of their own. The verification checked every one of these signatures.",
        silent: "Where the log's key and the master key are kept, and who can reach them.",
        reach: Reach::Partly,
        claims: &["format", "head", "signatures"],
        checks: &["keys", "key-rotations", "approvals"],
    },
    Control {
        number: "A.8.31",
        title: "Separation of development, test and production",
        asks: "Development, test and production are kept apart and protected.",
        answers: "One log is one deployment: its origin and the connections that were read through are named.",
        silent: "Whether an environment is what its name says, and everything about the networks between them.",
        reach: Reach::Hardly,
        claims: &["head"],
        checks: &["connections", "datasets", "instances"],
    },
    Control {
        number: "A.8.33",
        title: "Test information",
        asks: "Information for tests is chosen, protected and managed; production data is used for tests only under control.",
        answers: "Whoever takes production data for a test leaves request, reason, approval and masks behind like everybody else.",
        silent: "Which deliveries were for tests, unless their reasons say so, and what happened to the files.",
        reach: Reach::Hardly,
        claims: &["terms"],
        checks: &["deliveries-classified", "deliveries-revealed", "requests-unticketed"],
    },
];

/// Requirements of other catalogues, in brief, and the controls above under which their evidence stands.
pub(super) const ELSEWHERE: &[(&str, &str, &str, &[&str])] = &[
    (
        "SOC 2",
        "CC6.1",
        "Logical access is restricted by rules and mechanisms",
        &["A.5.15", "A.8.3", "A.8.5", "A.8.24"],
    ),
    (
        "SOC 2",
        "CC6.2",
        "Users are registered before access, and access ends when it is no longer due",
        &["A.5.16", "A.5.18"],
    ),
    (
        "SOC 2",
        "CC6.3",
        "Access follows roles, least privilege and segregation of duties",
        &["A.5.3", "A.5.18", "A.8.2"],
    ),
    ("SOC 2", "CC6.5", "Data is made unreadable when it is disposed of", &["A.8.10"]),
    (
        "SOC 2",
        "CC6.6",
        "Access from outside the boundary is protected",
        &["A.5.17", "A.8.5"],
    ),
    (
        "SOC 2",
        "CC6.7",
        "Transmission and removal of information is restricted",
        &["A.8.11", "A.8.12"],
    ),
    ("SOC 2", "CC7.2", "The system is monitored for anomalies", &["A.8.15", "A.8.16"]),
    ("SOC 2", "CC7.3", "Security events are evaluated", &["A.5.28", "A.8.16"]),
    (
        "PCI DSS 4",
        "10.2",
        "Logs record who did what to cardholder data, when, from where, and whether it succeeded",
        &["A.8.15", "A.8.3"],
    ),
    ("PCI DSS 4", "10.3", "Logs are protected from destruction and change", &["A.5.33"]),
    ("PCI DSS 4", "10.4", "Logs are looked at", &["A.8.16"]),
    (
        "PCI DSS 4",
        "10.5",
        "The history of logs is kept and available",
        &["A.5.28", "A.5.33"],
    ),
    ("PCI DSS 4", "10.6", "Time is consistent across systems", &["A.8.17"]),
    (
        "PCI DSS 4",
        "10.7",
        "Failures of security controls are noticed and handled",
        &["A.8.15", "A.8.16"],
    ),
    (
        "HIPAA",
        "164.312(a)",
        "Access control: unique users, emergency access, automatic end",
        &["A.5.16", "A.5.18", "A.8.2", "A.8.3"],
    ),
    (
        "HIPAA",
        "164.312(b)",
        "Audit controls: activity is recorded and examined",
        &["A.8.15", "A.8.16"],
    ),
    (
        "HIPAA",
        "164.312(c)",
        "Integrity: records are not altered or destroyed improperly",
        &["A.5.33", "A.5.28"],
    ),
    (
        "HIPAA",
        "164.312(d)",
        "The person or entity is the one claimed",
        &["A.5.16", "A.8.5"],
    ),
    ("HIPAA", "164.312(e)", "Transmission is protected", &["A.8.12", "A.8.24"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::checks::CHECKS;

    /// What a bundle of level 4 claims.
    const CLAIMS: &[&str] = &[
        "format",
        "head",
        "append_only",
        "complete",
        "order",
        "closure",
        "views",
        "terms",
        "people",
        "signatures",
    ];

    #[test]
    fn every_name_that_a_control_uses_exists_and_every_question_is_asked() {
        for control in CONTROLS {
            for id in control.checks {
                assert!(CHECKS.iter().any(|check| check.id == *id), "{}: {id}", control.number);
            }
            for claim in control.claims {
                assert!(CLAIMS.contains(claim), "{}: {claim}", control.number);
            }
        }
        for check in CHECKS {
            assert!(
                CONTROLS.iter().any(|control| control.checks.contains(&check.id)),
                "{} is never asked",
                check.id
            );
        }
        for (_, requirement, _, controls) in ELSEWHERE {
            for number in *controls {
                assert!(CONTROLS.iter().any(|control| control.number == *number), "{requirement}: {number}");
            }
        }
    }
}

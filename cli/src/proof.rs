//! What does a receipt prove, and to whom?
//!
//! The log key comes from this machine's memory of the broker or from the reader's own trust file, never from the receipt.
//! A receipt under an unknown key is not false; nobody here can tell.

use std::path::Path;

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::cosignature::Witnessed;
use chunk_evidence::encode;
use chunk_evidence::note::VerifierKey;
use chunk_evidence::receipt::{self, Receipt, ReceiptStory};
use chunk_evidence::trust::{TrustPolicy, Vouched};

use crate::commands::query;
use crate::config::EarlierKey;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::{Facts, Table};

/// Whom a reader believes.
pub(crate) struct Believed {
    keys: Vec<VerifierKey>,
    /// Those of them that the log has replaced.
    earlier: Vec<EarlierKey>,
    /// The reader's own list of reviewers' keys, where there is a trust file.
    policy: Option<TrustPolicy>,
    /// Where the belief comes from, in words.
    source: String,
}

impl Believed {
    /// The log pinned at sign-in.
    ///
    /// # Errors
    /// With exit code 2 when none is pinned.
    pub(crate) fn pinned(cx: &Context<'_>) -> Result<Self> {
        let url = cx
            .broker_url()
            .map_err(|_| no_key("no broker is configured, so no log key is pinned"))?;
        let log = cx
            .pinned_log()
            .ok_or_else(|| no_key(&format!("no log key is pinned for {}", url.as_str())))?;
        let pinned = std::iter::once(&log.key).chain(log.earlier.iter().map(|earlier| &earlier.key));
        let keys: std::result::Result<Vec<_>, _> = pinned.map(|key| VerifierKey::parse(key)).collect();
        let keys = keys.map_err(|_| {
            Failure::usage("the pinned log key is damaged")
                .why(cx.paths.config.display().to_string())
                .hint("chunkctl config unpin")
        })?;
        Ok(Self {
            keys,
            earlier: log.earlier.clone(),
            policy: None,
            source: format!("the log key pinned for {}", url.as_str()),
        })
    }

    /// A trust file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let policy = read_trust(path)?;
        let keys = policy
            .log_keys
            .iter()
            .map(|key| VerifierKey::parse(key.trim()))
            .collect::<std::result::Result<Vec<_>, _>>();
        let keys =
            keys.map_err(|_| Failure::usage(format!("`{}` is not a trust file", path.display())).why("a log key in it is malformed"))?;
        Ok(Self {
            keys,
            earlier: Vec::new(),
            policy: Some(policy),
            source: format!("the trust file `{}`", path.display()),
        })
    }

    /// Verifies a receipt for a file, approvals included.
    ///
    /// # Errors
    /// Exit 1 when it is false, 2 when this reader cannot tell.
    pub(crate) fn verify(&self, receipt: &Receipt, sha256: &str, bytes: u64) -> Result<ReceiptStory> {
        let story = self.proven(receipt, sha256, bytes)?;
        self.judge_witnesses(receipt)?;
        self.judge_reviewers(&story)?;
        Ok(story)
    }

    /// What a receipt proves by the log's own word, before anybody asks who else has seen the log and who vouches for reviewers.
    ///
    /// # Errors
    /// As [`Believed::verify`].
    pub(crate) fn proven(&self, receipt: &Receipt, sha256: &str, bytes: u64) -> Result<ReceiptStory> {
        let sha256 = encode::from_hex_32(sha256).map_err(|_| Failure::bug("a digest was not one"))?;
        let story = receipt::verify(receipt, &sha256, bytes, &self.keys).map_err(|error| {
            if error.cannot_tell() {
                Failure::cannot_tell("unknown_log_key", "nobody here can tell whether the receipt is genuine")
                    .why(error.to_string())
                    .why(format!("looked for in {}", self.source))
                    .hint("chunkctl verify FILE --trust TRUST-FILE")
            } else {
                Failure::no("evidence_false", "the evidence does not hold")
                    .why(error.to_string())
                    .hint("chunkctl requests --mine")
            }
        })?;
        let replaced = self
            .earlier
            .iter()
            .find(|earlier| earlier.key == story.log_key && earlier.until < story.size);
        match replaced {
            Some(EarlierKey { until, .. }) => Err(Failure::no("evidence_false", "the evidence does not hold").why(format!(
                "it is signed by a key that the log replaced with entry {until}, and is of {} entries",
                story.size
            ))),
            None => Ok(story),
        }
    }

    /// Whoever names witnesses in the trust file believes nothing that they have not seen.
    fn judge_witnesses(&self, receipt: &Receipt) -> Result<()> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let wrong = |why: String| Failure::usage("the witnesses of the trust file are none").why(why);
        let witnesses = policy.witnesses().map_err(|error| wrong(error.to_string()))?;
        let checkpoint = SignedCheckpoint::parse(&receipt.checkpoint).map_err(|_| Failure::bug("a verified receipt has no checkpoint"))?;
        match witnesses.judge(&checkpoint) {
            Witnessed::Yes => Ok(()),
            Witnessed::TooFew { cosigned, quorum } => Err(Failure::cannot_tell(
                "unwitnessed",
                "nobody here can tell whether others have seen this history of the log",
            )
            .why(format!(
                "{cosigned} of the witnesses in the trust file vouch for the receipt's checkpoint, and {quorum} must"
            ))
            .why("a receipt that was made while the witnesses were away can be had anew from the broker")
            .hint("chunkctl verify FILE --renew --trust TRUST-FILE")),
            Witnessed::False { witness } => Err(Failure::no("evidence_false", "the evidence does not hold").why(format!(
                "the cosignature of witness `{witness}` on the receipt's checkpoint does not verify"
            ))),
        }
    }

    /// A verdict counts by the key that signed it; who vouches for that key is the reader's choice.
    fn judge_reviewers(&self, story: &ReceiptStory) -> Result<()> {
        let Some(policy) = &self.policy else { return Ok(()) };
        for approval in &story.approvals {
            let person = &approval.person;
            match policy.vouches(&person.issuer, &person.subject, &person.key, approval.ssh_key.as_deref()) {
                Vouched::Yes => {}
                Vouched::ByOperatorOnly => {
                    return Err(Failure::cannot_tell(
                        "unknown_reviewer_key",
                        format!("only the operator vouches for the key of {}", person.name),
                    )
                    .why("the trust file believes pinned reviewer keys only, and pins none of this person that signed")
                    .why(format!("key: {}", person.key)));
                }
                Vouched::OtherKey => {
                    return Err(Failure::no(
                        "evidence_false",
                        format!(
                            "the approval by {} was signed with another key than the trust file pins",
                            person.name
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Reads an auditor's trust file.
///
/// # Errors
/// When it cannot be read or is none.
pub(crate) fn read_trust(path: &Path) -> Result<TrustPolicy> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let wrong = |why: String| {
        Failure::usage(format!("`{}` is not a trust file", path.display()))
            .why(why)
            .hint("chunkctl audit trust init -o trust.toml")
    };
    // TOML as written by `trust init`; JSON for programs that make their own.
    let policy: TrustPolicy = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    policy.check().map_err(|error| wrong(error.to_string()))?;
    Ok(policy)
}

/// The text of a receipt. Bytes that are none were written by nobody here, so they prove nothing.
///
/// # Errors
/// Exit 1 when they are not UTF-8.
pub(crate) fn receipt_text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Failure::no("evidence_false", "this is not a receipt").why("it is not text"))
}

/// Reads a receipt.
///
/// # Errors
/// Exit 1 when it is no receipt: evidence of another form is no evidence.
pub(crate) fn read_receipt(text: &str) -> Result<Receipt> {
    Receipt::parse(text).map_err(|error| Failure::no("evidence_false", "this is not a receipt").why(error.to_string()))
}

/// Who, what, when, approved by whom and why, masked how.
pub(crate) fn tell(story: &ReceiptStory) -> String {
    let mut facts = Facts::new();
    facts.add(
        "released to",
        format!(
            "{} ({} at {})",
            story.requester.name, story.requester.subject, story.requester.issuer
        ),
    );
    let what = serde_json::from_value(story.query.clone()).map_or_else(|_| story.query.to_string(), |query| query::words(&query));
    facts.add("what", what);
    facts.add(
        "read from",
        format!("{} through {}", story.datasets.join(", "), story.connections.join(", ")),
    );
    facts.add(
        "content",
        format!(
            "{}, {} bytes, {}",
            figures::plural(story.rows, "row"),
            figures::count(story.bytes),
            story.format
        ),
    );
    if let Some(cut) = &story.cut {
        let of = format!(
            "{} of {} (they count from 0), all of one moment of the source",
            story.chunk, cut.chunks
        );
        facts.add("chunk", of);
    }
    facts.add("why", &story.reason);
    if let Some(ticket) = &story.ticket {
        facts.add("ticket", ticket);
    }
    facts.add("asked", format!("{}, request {}", figures::time(story.requested_ms), story.request));
    facts.add(
        "read",
        format!("{}, complete {}", figures::time(story.intent_ms), figures::time(story.outcome_ms)),
    );
    if let Some(standing) = &story.standing {
        let until = i64::try_from(standing.expires_ms).map_or_else(|_| "for ever".to_owned(), figures::time);
        facts.add(
            "under",
            format!(
                "standing grant {}, asked {}, until {until}: {}",
                standing.request,
                figures::time(standing.requested_ms),
                standing.reason.replace('\n', " ")
            ),
        );
    }
    match story.approvals.as_slice() {
        [] if story.break_glass => facts.add("approved by", "nobody beforehand: it was an emergency; ask the log for the review"),
        [] => facts.add("approved by", "nobody: policy asked for no approval"),
        approvals => {
            let lines: Vec<String> = approvals
                .iter()
                .map(|approval| {
                    format!(
                        "{} on {}: {}",
                        approval.person.name,
                        figures::time(approval.time_ms),
                        approval.reason.replace('\n', " ")
                    )
                })
                .collect();
            facts.add("approved by", lines.join("\n"));
        }
    }
    facts.add(
        "recorded in",
        format!(
            "{}, entries #{} (intent) and #{} (outcome)",
            story.origin, story.intent, story.outcome
        ),
    );
    facts.add("sha-256", &story.sha256);
    let mut masks = Table::new(&["column", "class", "mask", "values", "altered"]);
    for column in &story.columns {
        let name = if story.datasets.len() > 1 {
            format!("{}.{}", column.dataset, column.column)
        } else {
            column.column.clone()
        };
        let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), figures::count);
        masks.row([
            &name,
            column.class.as_deref().unwrap_or("-"),
            &column.mask,
            &number(column.values),
            &number(column.altered),
        ]);
    }
    format!("{}\n{}", facts.render(), masks.render())
}

fn no_key(why: &str) -> Failure {
    Failure::cannot_tell("unknown_log_key", "there is no log key to verify with")
        .why(why)
        .hint("chunkctl verify FILE --trust TRUST-FILE")
}

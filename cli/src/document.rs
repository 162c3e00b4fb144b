//! Is the document to be signed what was asked for?
//!
//! The broker writes the request document; the requester's and the reviewers' signatures are what make it binding. So every
//! field that this side knows is compared before anything is signed, and the digest is computed here, never taken over.

use chunk_evidence::encode;
use chunk_wire::fetch::{PlanAnswer, PlanRequest, Query, RequestDocument, RequestView, StandingRequest, StandingTerms};
use chunk_wire::session::Person;

use crate::error::{Failure, Result};

/// Checks a planned document against what was asked and who asked; gives its text and meaning.
///
/// # Errors
/// When anything differs: nothing may then be signed.
pub(crate) fn check_planned<'a>(
    answer: &'a PlanAnswer,
    asked: &PlanRequest,
    me: &Person,
    key: &str,
    now_ms: i64,
) -> Result<(&'a str, RequestDocument)> {
    let text = answer.document.as_deref().ok_or_else(|| mismatch("it gave no document to sign"))?;
    let digest = answer.digest.as_deref().ok_or_else(|| mismatch("it gave no digest"))?;
    let document = read(text, digest)?;
    let same = |same: bool, field: &str| {
        if same {
            Ok(())
        } else {
            Err(mismatch(&format!("its {field} is not what was asked for")))
        }
    };
    same(document.query == asked.query, "query")?;
    same(document.format == asked.format, "format")?;
    same(document.reason == asked.reason, "reason")?;
    same(document.ticket == asked.ticket, "ticket")?;
    same(document.break_glass == asked.break_glass, "word about an emergency")?;
    same(
        asked.standing.is_none_or(|asked| fits(&asked, document.standing)),
        "standing grant's terms",
    )?;
    same(
        asked.standing.is_some() == document.standing.is_some(),
        "word about a standing grant",
    )?;
    same(
        match (&asked.window, &document.window) {
            (Some(asked), Some(window)) => {
                let end_ms = asked.duration_s.map(|duration_s| asked.from_ms + i64::from(duration_s) * 1000);
                window.from_ms == asked.from_ms && end_ms.is_none_or(|end_ms| end_ms == window.until_ms)
            }
            (asked, window) => asked.is_none() && window.is_none(),
        },
        "window of time",
    )?;
    // A use of a standing grant is signed as one only where the broker says so openly, and never in place of what was asked for.
    let told = answer.standing.as_ref().map(|standing| &standing.request);
    let used = document.under.as_ref().map(|under| &under.request);
    same(
        used.is_none() || (used == told && asked.standing.is_none() && !asked.break_glass),
        "standing grant",
    )?;
    same(
        document.requester.issuer == me.issuer && document.requester.subject == me.subject,
        "requester",
    )?;
    same(document.requester.key == key, "requester's key")?;
    same(
        document.quorum == answer.quorum && document.stages == answer.stages && document.escalation == answer.escalation,
        "number of reviewers",
    )?;
    if let Query::Slice { dataset, .. } = &asked.query {
        same(document.datasets == [dataset.clone()], "list of datasets")?;
    }
    if document.not_after_ms <= now_ms - CLOCK_SLACK_MS {
        return Err(mismatch("it has expired already; is this machine's clock right?"));
    }
    Ok((text, document))
}

/// Whether the terms are those asked for, where any were.
fn fits(asked: &StandingRequest, terms: Option<StandingTerms>) -> bool {
    terms.is_some_and(|terms| {
        terms.duration_s == asked.duration_s
            && asked.rows.is_none_or(|rows| rows == terms.rows)
            && asked.bytes.is_none_or(|bytes| bytes == terms.bytes)
    })
}

/// Checks a request that somebody else signed, before it is shown or judged.
///
/// # Errors
/// When what is shown is not what its digest says.
pub(crate) fn check_shown(view: &RequestView) -> Result<RequestDocument> {
    let document = read(&view.document, &view.digest)?;
    if document.requester.issuer != view.requester.issuer || document.requester.subject != view.requester.subject {
        return Err(mismatch("it was signed by another person than the one shown"));
    }
    Ok(document)
}

/// A request whose document is what its digest says. Only such a one is judged.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    view: RequestView,
    document: RequestDocument,
}

impl Checked {
    /// # Errors
    /// As [`check_shown`], with the request that was refused.
    pub(crate) fn new(view: RequestView) -> std::result::Result<Self, Box<(RequestView, Failure)>> {
        match check_shown(&view) {
            Ok(document) => Ok(Self { view, document }),
            Err(failure) => Err(Box::new((view, failure))),
        }
    }

    pub(crate) fn view(&self) -> &RequestView {
        &self.view
    }

    pub(crate) fn document(&self) -> &RequestDocument {
        &self.document
    }
}

fn read(text: &str, digest: &str) -> Result<RequestDocument> {
    if encode::sha256_hex(text.as_bytes()) != digest {
        return Err(mismatch("its digest is another"));
    }
    // Two documents that read alike must not be two texts.
    let value = encode::parse_canonical(text).map_err(|_| mismatch("it is not in canonical form"))?;
    let document: RequestDocument = serde_json::from_value(value).map_err(|_| mismatch("it holds something this version does not know"))?;
    if document.v == 1 {
        Ok(document)
    } else {
        Err(mismatch("it is of another version"))
    }
}

fn mismatch(why: &str) -> Failure {
    Failure::no("document_mismatch", "the broker's document was refused; nothing was signed")
        .why(why)
        .hint("chunkctl doctor")
}

/// Two machines' clocks may differ by this much.
const CLOCK_SLACK_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_wire::fetch::{Budget, Format, Params, Requester, StandingView, Under};

    use super::*;

    fn me() -> Person {
        Person {
            issuer: "https://i".into(),
            subject: "ada".into(),
            name: "Ada".into(),
            email: None,
            groups: vec![],
            workload: None,
        }
    }

    fn asked() -> PlanRequest {
        let query = Query::Slice {
            dataset: "orders".into(),
            columns: None,
            filter: Some("total > 1".into()),
            order_by: None,
            limit: Some(5),
            params: Params::new(),
        };
        PlanRequest {
            query,
            format: Format::Csv,
            reason: "why".into(),
            ticket: Some("T-1".into()),
            break_glass: false,
            standing: None,
            window: None,
        }
    }

    fn document() -> RequestDocument {
        RequestDocument {
            v: 1,
            query: asked().query,
            datasets: vec!["orders".into()],
            connections: vec!["db".into()],
            columns: vec![],
            filtered: vec![],
            row_filters: Default::default(),
            format: Format::Csv,
            reason: "why".into(),
            ticket: Some("T-1".into()),
            break_glass: false,
            standing: None,
            under: None,
            window: None,
            policy: "00".into(),
            budget: Budget {
                rows: 1,
                bytes: 1,
                duration_s: 1,
            },
            grant_s: 1,
            quorum: 1,
            stages: vec![],
            escalation: None,
            requester: Requester {
                issuer: "https://i".into(),
                subject: "ada".into(),
                key: "thumb".into(),
            },
            not_after_ms: 1000,
            nonce: "n".into(),
        }
    }

    fn answer(document: &RequestDocument) -> PlanAnswer {
        let text = encode::canonical_of(document).unwrap();
        PlanAnswer {
            decision: "needs_approval".into(),
            policies: vec![],
            reasons: vec![],
            columns: vec![],
            rows_estimated: None,
            bytes_estimated: None,
            quorum: 1,
            stages: vec![],
            escalation: None,
            explain: vec![],
            digest: Some(encode::sha256_hex(text.as_bytes())),
            document: Some(text),
            standing: None,
        }
    }

    fn check(answer: &PlanAnswer) -> Result<()> {
        check_planned(answer, &asked(), &me(), "thumb", 999).map(|_| ())
    }

    #[test]
    fn the_document_that_was_asked_for_is_signed() {
        check(&answer(&document())).unwrap();
    }

    #[test]
    fn any_other_document_is_not() {
        let changes: [(&str, fn(&mut RequestDocument)); 15] = [
            ("v", |d| d.v = 2),
            ("dataset", |d| {
                d.query = Query::Slice {
                    dataset: "people".into(),
                    columns: None,
                    filter: Some("total > 1".into()),
                    order_by: None,
                    limit: Some(5),
                    params: Params::new(),
                }
            }),
            ("filter", |d| {
                d.query = Query::Slice {
                    dataset: "orders".into(),
                    columns: None,
                    filter: None,
                    order_by: None,
                    limit: Some(5),
                    params: Params::new(),
                }
            }),
            ("sql", |d| {
                d.query = Query::Sql {
                    text: "select 1".into(),
                    params: Params::new(),
                }
            }),
            ("datasets", |d| d.datasets.push("people".into())),
            ("format", |d| d.format = Format::Parquet),
            ("reason", |d| d.reason = "another".into()),
            ("ticket", |d| d.ticket = None),
            ("quorum", |d| d.quorum = 0),
            ("emergency", |d| d.break_glass = true),
            ("standing", |d| {
                d.standing = Some(StandingTerms {
                    bytes: 1,
                    duration_s: 60,
                    rows: 1,
                })
            }),
            ("under", |d| {
                d.under = Some(Under {
                    digest: "00".repeat(32),
                    request: "req_0123456789abcdef".parse().unwrap(),
                })
            }),
            ("issuer", |d| d.requester.issuer = "https://other".into()),
            ("subject", |d| d.requester.subject = "bob".into()),
            ("key", |d| d.requester.key = "other".into()),
        ];
        for (name, change) in changes {
            let mut changed = document();
            change(&mut changed);
            assert!(check(&answer(&changed)).is_err(), "{name}");
        }
        let mut expired = document();
        expired.not_after_ms = 999 - CLOCK_SLACK_MS;
        assert!(check(&answer(&expired)).is_err());
    }

    #[test]
    fn a_standing_grant_is_asked_for_and_used_on_the_terms_that_were_said() {
        let terms = StandingTerms {
            bytes: 10,
            duration_s: 3600,
            rows: 5,
        };
        let asks = |duration_s, rows, bytes| PlanRequest {
            standing: Some(StandingRequest { duration_s, rows, bytes }),
            ..asked()
        };
        let standing = RequestDocument {
            standing: Some(terms),
            ..document()
        };
        let check = |answer: &PlanAnswer, asked: &PlanRequest| check_planned(answer, asked, &me(), "thumb", 999).is_ok();
        for (asked, same) in [
            (asks(3600, None, None), true),
            (asks(3600, Some(5), Some(10)), true),
            (asks(7200, None, None), false),
            (asks(3600, Some(4), None), false),
            (asks(3600, None, Some(11)), false),
        ] {
            assert_eq!(check(&answer(&standing), &asked), same, "{asked:?}");
            assert!(!check(&answer(&document()), &asked), "one delivery is not what was asked for");
        }
        let request: chunk_wire::id::RequestId = "req_0123456789abcdef".parse().unwrap();
        let using = RequestDocument {
            under: Some(Under {
                digest: "00".repeat(32),
                request: request.clone(),
            }),
            ..document()
        };
        let mut told = answer(&using);
        assert!(!check(&told, &asked()), "not told");
        told.standing = Some(StandingView {
            request,
            expires_ms: Some(5000),
            rows_left: 1,
            bytes_left: 1,
            uses: 0,
        });
        assert!(check(&told, &asked()));
        let emergency = RequestDocument {
            break_glass: true,
            ..using
        };
        let mut told_again = answer(&emergency);
        told_again.standing = told.standing;
        let in_emergency = PlanRequest {
            break_glass: true,
            ..asked()
        };
        assert!(!check(&told_again, &in_emergency));
    }

    #[test]
    fn the_digest_is_computed_here_and_the_text_is_canonical() {
        let mut wrong_digest = answer(&document());
        wrong_digest.digest = Some("00".repeat(32));
        assert!(check(&wrong_digest).is_err());
        let mut spaced = answer(&document());
        let text = spaced.document.take().unwrap().replacen(',', ", ", 1);
        spaced.digest = Some(encode::sha256_hex(text.as_bytes()));
        spaced.document = Some(text);
        assert!(check(&spaced).is_err());
        let mut absent = answer(&document());
        absent.document = None;
        assert!(check(&absent).is_err());
    }
}

//! Resolves what a caller asks for into a plan: which datasets and columns it reads, what each looks like to this caller, how
//! much would come. Reads no row and decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use chunk_evidence::encode::sha256_hex;
use chunk_wire::catalog::ColumnView;
use chunk_wire::fetch::{
    Budget, DocumentColumn, PlanRequest, Query, RequestDocument, Requester, StandingRequest, StandingTerms, Under, Window, WindowRequest,
};
use chunk_wire::problem::Code;

use crate::authorize::{self, Asking};
use crate::broker::Broker;
use crate::catalog::{self, Dataset, govern, scan_error, visible_in};
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::limits::{FETCH_DURATION_S_MAX, NUMBER_MAX, PLAN_S, REASON_BYTES_MAX, SQL_BYTES_MAX, STANDING_S_MIN, WINDOW_S_MIN};
use crate::policy::{Circumstances, PolicySet};
use crate::rule::Rule;
use chunk_port::{GovernedTable, Inspection, Look, Mask, ScanErrorKind, ScanOrder, ScanPlan, Table, Treatment};

/// A query resolved for a caller.
///
/// Only [`plan`] makes one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Plan {
    caller: Caller,
    policies: Arc<PolicySet>,
    datasets: Vec<Dataset>,
    request: PlanRequest,
    inspection: Inspection,
    tables: Vec<GovernedTable>,
    scan: ScanPlan,
    /// Its tables, open at their sources.
    look: Looking,
    budget: Budget,
    class_masks: BTreeMap<String, Mask>,
    /// Terms of the standing grant that is asked for.
    standing: Option<StandingTerms>,
    /// When it may be fetched, where not at once.
    window: Option<Window>,
    /// The standing grant of which this is a use.
    under: Option<UseOf>,
}

/// A standing grant, as far as a plan for a use of it needs it.
#[derive(Debug, Clone)]
pub(crate) struct UseOf {
    pub(crate) under: Under,
    pub(crate) terms: StandingTerms,
}

/// A query whose tables are open at their sources.
pub(crate) struct Looking(pub(crate) Box<dyn Look>);

impl std::fmt::Debug for Looking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Looking").field(self.0.inspection()).finish()
    }
}

impl Plan {
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The policies under which it was made, and that decide about it.
    pub(crate) fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The datasets it reads, sorted by name.
    pub(crate) fn datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.datasets.iter()
    }

    pub(crate) fn request(&self) -> &PlanRequest {
        &self.request
    }

    pub(crate) fn scan(&self) -> &ScanPlan {
        &self.scan
    }

    /// Terms of the standing grant that is asked for.
    pub(crate) fn standing(&self) -> Option<&StandingTerms> {
        self.standing.as_ref()
    }

    /// The standing grant of which this is a use.
    pub(crate) fn under(&self) -> Option<&Under> {
        self.under.as_ref().map(|of| &of.under)
    }

    /// The terms of that grant.
    pub(crate) fn terms_of_use(&self) -> Option<StandingTerms> {
        self.under.as_ref().map(|of| of.terms)
    }

    /// Makes it a use of a standing grant, with the masks and row filters that were approved; gives what they were before.
    ///
    /// # Errors
    /// When what this caller may see has become less than what was approved, or the source has changed.
    pub(crate) fn use_under(&mut self, of: UseOf, approved: &RequestDocument) -> Result<Vec<GovernedTable>, Error> {
        let tables = self.pin(approved)?;
        self.under = Some(of);
        Ok(std::mem::replace(&mut self.tables, tables))
    }

    /// Takes [`Plan::use_under`] back.
    pub(crate) fn use_nothing(&mut self, tables: Vec<GovernedTable>) {
        self.under = None;
        self.tables = tables;
    }

    /// What policy may look at.
    pub(crate) fn circumstances(&self, broker: &Broker, cx: &Context) -> Circumstances {
        let unknown_is_most = |n: Option<u64>| n.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        Circumstances {
            reason: self.request.reason.clone(),
            ticket: self.request.ticket.clone().unwrap_or_default(),
            rows_estimated: unknown_is_most(self.scan.rows_estimated),
            bytes_estimated: unknown_is_most(self.scan.bytes_estimated),
            columns: self
                .inspection
                .columns
                .iter()
                .map(|(dataset, column)| format!("{dataset}.{column}"))
                .collect(),
            statement: self.inspection.statement.clone(),
            functions: self.inspection.functions.clone(),
            format: self.request.format.as_str().to_owned(),
            standing_s: self.standing.or(self.terms_of_use()).map_or(0, |terms| i64::from(terms.duration_s)),
            ..authorize::circumstances(broker, cx, &self.caller)
        }
    }

    /// Output columns as the caller would see them. A computed column has no class of its own; its inputs were masked.
    pub(crate) fn output(&self) -> Vec<ColumnView> {
        self.scan
            .columns
            .iter()
            .map(|column| {
                let read: Vec<_> = self
                    .tables
                    .iter()
                    .flat_map(|t| &t.columns)
                    .filter(|c| c.name == column.name)
                    .collect();
                let source = match read.as_slice() {
                    [one] => Some(*one),
                    _ => None,
                };
                ColumnView {
                    name: column.name.clone(),
                    data_type: column.data_type.clone(),
                    nullable: column.nullable,
                    class: source.and_then(|c| c.class.clone()),
                    mask: source.map_or_else(|| "computed".to_owned(), |c| c.treatment.to_string()),
                }
            })
            .collect()
    }

    /// The document that the requester would sign.
    pub(crate) fn document(&self, rule: &Rule, nonce: String, not_after_ms: i64) -> RequestDocument {
        let mut connections: Vec<_> = self.datasets.iter().map(|d| d.connection.clone()).collect();
        connections.sort();
        connections.dedup();
        RequestDocument {
            v: 1,
            query: self.request.query.clone(),
            datasets: self.datasets.iter().map(|d| d.name.clone()).collect(),
            connections,
            columns: self.document_columns(),
            filtered: self
                .tables
                .iter()
                .filter(|t| t.row_filter.is_some())
                .map(|t| t.table.dataset.clone())
                .collect(),
            row_filters: self
                .tables
                .iter()
                .filter_map(|t| Some((t.table.dataset.clone(), sha256_hex(t.row_filter.as_ref()?.as_bytes()))))
                .collect(),
            format: self.request.format,
            reason: self.request.reason.clone(),
            ticket: self.request.ticket.clone(),
            break_glass: self.request.break_glass,
            standing: self.standing,
            under: self.under().cloned(),
            window: self.window,
            policy: self.policies.digest().to_owned(),
            budget: self.budget,
            grant_s: self.standing.map_or_else(|| self.grant_s(), |terms| terms.duration_s),
            quorum: rule.quorum,
            stages: rule.stages.clone(),
            escalation: rule.escalation.clone(),
            requester: Requester {
                issuer: self.caller.person().issuer.clone(),
                subject: self.caller.person().subject.clone(),
                key: self.caller.key().to_owned(),
            },
            not_after_ms,
            nonce,
        }
    }

    /// The order that the scanner gets, with the mask plan of an approved document pinned, and what it is read by.
    ///
    /// # Errors
    /// When what this caller may see has become less than what was approved, or the source has changed.
    pub(crate) fn pinned(
        self,
        approved: &RequestDocument,
        tag: String,
        metadata: Vec<(String, String)>,
    ) -> Result<(Caller, Looking, ScanOrder), Error> {
        let tables = self.pin(approved)?;
        Ok((
            self.caller,
            self.look,
            ScanOrder {
                query: approved.query.clone(),
                tables,
                format: approved.format,
                budget: approved.budget,
                tag,
                metadata,
            },
        ))
    }

    /// The tables with the masks and row filters of an approved document.
    fn pin(&self, approved: &RequestDocument) -> Result<Vec<GovernedTable>, Error> {
        let changed = |what: &str| {
            Error::new(Code::DocumentMismatch, format!("Since the request was signed, {what}; ask again."))
                .hint("run the same `chunkctl fetch` again")
        };
        let now = self.document_columns();
        if now.len() != approved.columns.len()
            || now
                .iter()
                .zip(&approved.columns)
                .any(|(a, b)| a.dataset != b.dataset || a.name != b.name || a.class != b.class)
        {
            return Err(changed("the source's columns or their classes have changed"));
        }
        let mut tables = self.tables.clone();
        for (now, then) in now.iter().zip(&approved.columns) {
            if now.mask == then.mask {
                continue;
            }
            // Looser never widens what was approved: keep the mask that was signed, if it is still the class's mask.
            let column = tables
                .iter_mut()
                .filter(|t| t.table.dataset == now.dataset)
                .flat_map(|t| &mut t.columns)
                .find(|c| c.name == now.name);
            let pinned = column.filter(|c| c.treatment.is_identity()).zip(self.classes_mask(now));
            match pinned {
                Some((column, mask)) if mask.to_string() == then.mask => column.treatment = mask,
                _ => return Err(changed("the mask of a column has changed")),
            }
        }
        for table in &mut tables {
            let Some(then) = approved.row_filters.get(&table.table.dataset) else {
                if table.row_filter.is_some() {
                    return Err(changed("a row filter has come into force"));
                }
                continue;
            };
            // Whoever may skip the filter by now still gets what was approved: the rows of the very filter that was signed.
            let dataset = self.datasets.iter().find(|d| d.name == table.table.dataset);
            let same = dataset
                .and_then(|d| d.row_filter.as_ref())
                .filter(|text| sha256_hex(text.as_bytes()) == *then);
            match same {
                Some(text) => table.row_filter = Some(text.clone()),
                None => return Err(changed("a row filter has changed")),
            }
        }
        Ok(tables)
    }

    /// How long the grant can be used, once given.
    fn grant_s(&self) -> u32 {
        let shortest = self.datasets.iter().map(|d| d.grant_s).min().unwrap_or(0);
        u32::try_from(shortest.max(0)).unwrap_or(u32::MAX)
    }

    fn classes_mask(&self, column: &DocumentColumn) -> Option<Treatment> {
        let mask = self.class_masks.get(column.class.as_ref()?)?;
        let dataset = self.datasets.iter().find(|d| d.name == column.dataset)?;
        Some(Treatment::Mask(mask.of_subjects(dataset.subject.as_deref())))
    }

    fn document_columns(&self) -> Vec<DocumentColumn> {
        self.inspection
            .columns
            .iter()
            .filter_map(|(dataset, name)| {
                let table = self.tables.iter().find(|t| t.table.dataset == *dataset)?;
                let column = table.columns.iter().find(|c| c.name == *name)?;
                Some(DocumentColumn {
                    dataset: dataset.clone(),
                    name: name.clone(),
                    class: column.class.clone(),
                    mask: column.treatment.to_string(),
                })
            })
            .collect()
    }
}

/// Resolves a request for a caller.
///
/// # Errors
/// When the query does not parse, names something this caller may not know of, or the source cannot be asked.
pub(crate) async fn plan(
    broker: &Broker,
    cx: &Context,
    policies: Arc<PolicySet>,
    caller: Caller,
    request: PlanRequest,
) -> Result<Plan, Error> {
    check_bounds(&request)?;
    let asking = Asking::under(Arc::clone(&policies), broker, cx, &caller);
    let known: Vec<&Dataset> = visible_in(&asking, &request.query).collect();
    let opened: Vec<Table> = known.iter().map(|d| d.table()).collect();
    let mut look = match broker
        .scanner
        .look(&request.query, &opened, &format!("plan-{}", cx.request_id))
        .await
    {
        Ok(look) => look,
        Err(fault) if fault.kind == ScanErrorKind::UnknownDataset => {
            return Err(match &request.query {
                Query::Slice { dataset, .. } => catalog::unknown(&asking, dataset),
                Query::Sql { .. } => scan_error(fault).hint("run `chunkctl datasets`"),
            });
        }
        Err(fault) => return Err(scan_error(fault)),
    };
    let inspection = look.inspection().clone();
    let mut datasets = Vec::new();
    let mut tables = Vec::new();
    for name in &inspection.datasets {
        let dataset = known.iter().find(|d| d.name == *name).map(|d| Dataset::clone(d));
        let (dataset, columns) = dataset.zip(look.columns(name)).ok_or_else(|| catalog::unknown(&asking, name))?;
        tables.push(govern(&asking, &dataset, &columns)?);
        datasets.push(dataset);
    }
    if datasets.is_empty() {
        return Err(Error::new(Code::InvalidSql, "The query reads no dataset.").hint("run `chunkctl datasets`"));
    }
    let budget = Budget {
        rows: datasets.iter().map(|d| d.rows_max).min().unwrap_or(0).min(NUMBER_MAX),
        bytes: datasets.iter().map(|d| d.bytes_max).min().unwrap_or(0).min(NUMBER_MAX),
        duration_s: FETCH_DURATION_S_MAX,
    };
    let standing = match &request.standing {
        Some(asked) => Some(standing_terms(asked, &request, &datasets, budget)?),
        None => None,
    };
    let window = match &request.window {
        Some(asked) => Some(window(asked, &request, &datasets, &caller)?),
        None => None,
    };
    let order = ScanOrder {
        query: request.query.clone(),
        tables,
        format: request.format,
        budget,
        tag: String::new(),
        metadata: Vec::new(),
    };
    let mut scan = look.plan(&order).await.map_err(scan_error)?;
    // An estimate beyond all numbers is as good as the largest.
    scan.rows_estimated = scan.rows_estimated.map(|rows| rows.min(NUMBER_MAX));
    scan.bytes_estimated = scan.bytes_estimated.map(|bytes| bytes.min(NUMBER_MAX));
    let class_masks = broker
        .settings
        .catalog
        .classes
        .values()
        .map(|c| (c.name.clone(), c.mask.clone()))
        .collect();
    Ok(Plan {
        caller,
        policies,
        datasets,
        request,
        inspection,
        tables: order.tables,
        scan,
        look: Looking(look),
        budget,
        class_masks,
        standing,
        window,
        under: None,
    })
}

/// When it may be fetched: in a window that is no longer than a grant can be used at all, and under the session that asks, whose key
/// alone may fetch.
fn window(asked: &WindowRequest, request: &PlanRequest, datasets: &[Dataset], caller: &Caller) -> Result<Window, Error> {
    if request.break_glass || request.standing.is_some() {
        return Err(Error::new(
            Code::InvalidRequest,
            "A window of time is for one delivery that is approved beforehand: neither for an emergency nor for a standing grant.",
        ));
    }
    let grant_s = datasets.iter().map(|d| d.grant_s).min().unwrap_or(0);
    let duration_s = asked.duration_s.map_or(grant_s, i64::from);
    if duration_s < i64::from(WINDOW_S_MIN) || duration_s > grant_s {
        let message = format!("A window of time for this lasts {WINDOW_S_MIN} to {grant_s} seconds; {duration_s} were asked for.");
        return Err(Error::new(Code::LimitReached, message).hint("give another `--valid-for`"));
    }
    if asked.from_ms < 0 || asked.from_ms >= caller.expires_ms() {
        return Err(Error::new(
            Code::InvalidRequest,
            "The window begins when your session is over, and only the key of the session that asks may fetch.",
        )
        .hint("sign in again shortly before, or choose an earlier `--not-before`; `chunkctl whoami` says when the session ends"));
    }
    Ok(Window {
        from_ms: asked.from_ms,
        until_ms: asked.from_ms + duration_s * 1000,
    })
}

/// The terms of a standing grant, if every dataset allows them.
fn standing_terms(asked: &StandingRequest, request: &PlanRequest, datasets: &[Dataset], budget: Budget) -> Result<StandingTerms, Error> {
    if request.break_glass {
        return Err(Error::new(
            Code::InvalidRequest,
            "An emergency is for one delivery, and not a standing grant.",
        ));
    }
    if let Some(never) = datasets.iter().find(|d| d.standing_s_max == 0) {
        return Err(
            Error::new(Code::Denied, format!("Dataset `{}` allows no standing grants.", never.name)).hint("leave out `--standing`"),
        );
    }
    let most = |what: fn(&Dataset) -> u64| datasets.iter().map(what).min().unwrap_or(0);
    let rows_max = most(|d| d.standing_rows_max).min(NUMBER_MAX);
    let bytes_max = most(|d| d.standing_bytes_max).min(NUMBER_MAX);
    let terms = StandingTerms {
        bytes: asked.bytes.unwrap_or(budget.bytes.min(bytes_max)),
        duration_s: asked.duration_s,
        rows: asked.rows.unwrap_or(budget.rows.min(rows_max)),
    };
    if terms.duration_s < STANDING_S_MIN || terms.rows == 0 || terms.bytes == 0 {
        return Err(Error::new(
            Code::InvalidRequest,
            format!("A standing grant lasts at least {STANDING_S_MIN} seconds, and is for a row and a byte at least."),
        ));
    }
    let bounds = [
        ("seconds", u64::from(terms.duration_s), most(|d| u64::from(d.standing_s_max))),
        ("rows", terms.rows, rows_max),
        ("bytes", terms.bytes, bytes_max),
    ];
    match bounds.into_iter().find(|(_, asked, most)| asked > most) {
        None => Ok(terms),
        Some((unit, asked, most)) => Err(Error::new(
            Code::LimitReached,
            format!("A standing grant for this may have {most} {unit} at most; {asked} were asked for."),
        )
        .hint("ask for less; `chunkctl describe DATASET` says how much there may be")),
    }
}

/// When a plan made now can no longer be submitted, ms since 1970.
pub(crate) fn not_after_ms(now_ms: i64) -> i64 {
    now_ms + PLAN_S * 1000
}

fn check_bounds(request: &PlanRequest) -> Result<(), Error> {
    if let Query::Slice { limit: Some(limit), .. } = &request.query
        && *limit > NUMBER_MAX
    {
        return Err(
            Error::new(Code::InvalidRequest, format!("The limit is larger than {NUMBER_MAX}.")).hint("leave the limit out to get all rows")
        );
    }
    let sql = match &request.query {
        Query::Slice {
            columns, filter, order_by, ..
        } => {
            let columns: usize = columns.iter().flatten().map(String::len).sum();
            columns + filter.as_ref().map_or(0, String::len) + order_by.as_ref().map_or(0, String::len)
        }
        Query::Sql { text, .. } => text.len(),
    };
    let params = request.query.params();
    let sql = sql
        + params
            .iter()
            .map(|(name, value)| name.len() + value.to_string().len())
            .sum::<usize>();
    if sql > SQL_BYTES_MAX {
        return Err(Error::new(
            Code::LimitReached,
            format!("The query is longer than {SQL_BYTES_MAX} bytes."),
        ));
    }
    if request.reason.len() > REASON_BYTES_MAX || request.ticket.as_ref().is_some_and(|t| t.len() > REASON_BYTES_MAX) {
        return Err(Error::new(
            Code::LimitReached,
            format!("A reason or ticket is longer than {REASON_BYTES_MAX} bytes."),
        ));
    }
    Ok(())
}

//! A query and its opened tables, from the first look at it to the rows.

use std::sync::Arc;

use async_trait::async_trait;
use chunk_port::{Frames, Inspection, Look, ScanError, ScanOrder, ScanPlan, SourceColumn, Table};
use chunk_wire::fetch::Query;
use tokio::runtime::Handle;

use super::{Core, METADATA_S, deliver, fault, in_time, on};
use crate::budget::Meter;
use crate::plan::{self, Extent, Parsed, Prepared};
use crate::source::RawTable;

/// Opened tables, and what the query names of them.
pub(super) struct Looked {
    core: Core,
    /// The engine's own threads.
    threads: Handle,
    query: Query,
    parsed: Arc<Parsed>,
    opened: Vec<Arc<dyn RawTable>>,
    inspection: Inspection,
    /// The newest plan, with its order.
    planned: Option<(ScanOrder, Prepared)>,
}

/// Opens the tables that a query names.
pub(super) async fn look(core: Core, query: Query, tables: &[Table], tag: &str, threads: Handle) -> Result<Looked, ScanError> {
    let known: Vec<&str> = tables.iter().map(|t| t.dataset.as_str()).collect();
    let (parsed, datasets) = plan::parse(&core.template, &query, &known)?;
    let named: Vec<Table> = datasets
        .iter()
        .filter_map(|d| tables.iter().find(|t| t.dataset == *d).cloned())
        .collect();
    let opened = core.open(&named, tag, METADATA_S).await?;
    let schemas: Vec<_> = datasets.into_iter().zip(opened.iter().map(|t| t.schema())).collect();
    let inspection = plan::inspect(&core.template, &query, &parsed, &schemas).await?;
    Ok(Looked {
        core,
        threads,
        query,
        parsed: Arc::new(parsed),
        opened,
        inspection,
        planned: None,
    })
}

#[async_trait]
impl Look for Looked {
    fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    fn columns(&self, dataset: &str) -> Option<Vec<SourceColumn>> {
        let place = self.inspection.datasets.iter().position(|d| d == dataset)?;
        Some(plan::source_columns(&self.opened.get(place)?.schema()))
    }

    async fn plan(&mut self, order: &ScanOrder) -> Result<ScanPlan, ScanError> {
        let named = order.tables.iter().map(|t| &t.table.dataset);
        if order.query != self.query || !named.eq(&self.inspection.datasets) {
            return Err(fault::internal("a plan of another query than was looked at"));
        }
        let (core, order, parsed, opened) = (self.core.clone(), order.clone(), Arc::clone(&self.parsed), self.opened.clone());
        let work = in_time(async move {
            let prepared = plan::prepare(&core.template, &order, &parsed, opened, core.readers, Extent::WHOLE).await?;
            let described = prepared.describe().await;
            Ok((order, prepared, described))
        });
        let (order, prepared, described) = on(&self.threads, work).await?;
        self.planned = Some((order, prepared));
        Ok(described)
    }

    async fn read(self: Box<Self>, order: ScanOrder) -> Result<Frames, ScanError> {
        let Self {
            core,
            threads,
            opened,
            planned,
            ..
        } = *self;
        let same = |planned: &ScanOrder| planned.query == order.query && planned.tables == order.tables;
        let planned = planned.filter(|(planned, _)| same(planned)).map(|(_, prepared)| prepared);
        let work = async move {
            let meter = Meter::start(order.budget);
            let (tag, limit_s) = (order.tag.clone(), order.budget.duration_s);
            let prepared = async {
                match planned {
                    Some(prepared) if renew(&opened, &tag, limit_s).await? => Ok(prepared),
                    planned => {
                        // What is held of the source is let go first: whoever waits for a place there may hold none.
                        drop((planned, opened));
                        core.prepare(&order, limit_s).await
                    }
                }
            };
            let prepared = tokio::time::timeout_at(meter.deadline, prepared)
                .await
                .map_err(|_| meter.late())??;
            deliver::start(prepared, &order, meter)
        };
        on(&threads, work).await
    }
}

/// Whether all of them can be read as they are.
async fn renew(opened: &[Arc<dyn RawTable>], tag: &str, limit_s: u32) -> Result<bool, ScanError> {
    for table in opened {
        if !table.renew(tag, limit_s).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

//! Names in a statement → datasets.
//!
//! A dataset's name may have dots (`sales.orders`), which SQL reads as schema and table. Whatever way a statement writes the
//! name, its parts joined by dots must be a dataset that the caller may know of; nothing else is in the catalog at all.

use std::collections::HashMap;
use std::sync::Arc;

use chunk_port::{ScanError, ScanErrorKind};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider, Session,
    TableProvider,
};
use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::Statement;

use crate::engine::fault;
use crate::masked::MaskedTable;

/// The catalog of bare names.
pub(crate) const CATALOG: &str = "chunk";
/// The schema of bare names.
pub(crate) const SCHEMA: &str = "datasets";

/// A table named by a statement.
#[derive(Debug)]
pub(crate) struct Reference {
    name: TableReference,
    /// The dataset it is.
    pub(crate) dataset: String,
}

/// Every table a statement names, common table expressions aside.
pub(super) fn references(state: &SessionState, statement: &Statement, known: &[&str]) -> Result<Vec<Reference>, ScanError> {
    let statement = EngineStatement::Statement(Box::new(statement.clone()));
    let names = state.resolve_table_references(&statement).map_err(|e| fault::from_plan(&e))?;
    names
        .into_iter()
        .map(|name| {
            let parts: Vec<&str> = [name.catalog(), name.schema(), Some(name.table())].into_iter().flatten().collect();
            let dataset = parts.join(".");
            if known.contains(&dataset.as_str()) {
                Ok(Reference { name, dataset })
            } else {
                Err(unknown(&dataset))
            }
        })
        .collect()
}

/// The same words whether a dataset does not exist or may not be known of.
pub(crate) fn unknown(dataset: &str) -> ScanError {
    ScanError {
        kind: ScanErrorKind::UnknownDataset,
        public: format!("there is no dataset `{dataset}`, or it is not yours to see; run `chunkctl datasets`"),
        operator: None,
    }
}

/// A catalog of exactly the tables named.
pub(super) fn catalog(
    references: &[Reference],
    tables: &[(String, Arc<dyn TableProvider>)],
) -> Result<Arc<dyn CatalogProviderList>, DataFusionError> {
    let list = MemoryCatalogProviderList::new();
    let mut schemas: HashMap<(Arc<str>, Arc<str>), Arc<MemorySchemaProvider>> = HashMap::new();
    for reference in references {
        let (_, table) = tables
            .iter()
            .find(|(d, _)| *d == reference.dataset)
            .ok_or_else(|| fault::carry(unknown(&reference.dataset)))?;
        let ResolvedTableReference {
            catalog,
            schema,
            table: name,
        } = reference.name.clone().resolve(CATALOG, SCHEMA);
        let schema = schemas.entry((catalog, schema)).or_default();
        schema.register_table(name.to_string(), Arc::clone(table))?;
    }
    for ((catalog, schema), tables) in schemas {
        let catalog = match list.catalog(&catalog) {
            Some(found) => found,
            None => {
                let new: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
                list.register_catalog(catalog.to_string(), Arc::clone(&new));
                new
            }
        };
        catalog.register_schema(&schema, tables)?;
    }
    Ok(Arc::new(list))
}

/// Which dataset a node of a plan scans.
pub(super) fn dataset_of(node: &LogicalPlan) -> Option<String> {
    let LogicalPlan::TableScan(scan) = node else { return None };
    let provider = source_as_provider(&scan.source).ok()?;
    let masked = provider.downcast_ref::<MaskedTable>().map(|t| t.dataset().to_owned());
    masked.or_else(|| provider.downcast_ref::<Outline>().map(|t| t.dataset.clone()))
}

/// A table of which only the schema is known: enough to see what a query names, and never to read.
#[derive(Debug)]
pub(super) struct Outline {
    dataset: String,
    schema: SchemaRef,
}

impl Outline {
    pub(super) fn new(dataset: &str, schema: SchemaRef) -> Self {
        Self {
            dataset: dataset.to_owned(),
            schema,
        }
    }
}

#[async_trait::async_trait]
impl TableProvider for Outline {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Err(fault::carry(fault::internal("an outline was scanned")))
    }
}

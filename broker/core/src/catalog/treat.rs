//! Decides what each column of a dataset looks like to a caller, before anything is planned over it.

use chunk_wire::problem::Code;

use super::{Dataset, Unclassified};
use crate::authorize::Asking;
use crate::error::Error;
use crate::policy::{Action, Resource};
use chunk_port::{GovernedColumn, GovernedTable, Mask, SourceColumn, Treatment};

/// The dataset with every column's treatment for this caller, and the row filter unless policy lets them skip it.
///
/// # Errors
/// When configuration classifies a column that the source does not have: the real column could be one that was renamed, so
/// nothing is served until the operator has looked.
pub(crate) fn govern(asking: &Asking<'_>, dataset: &Dataset, schema: &[SourceColumn]) -> Result<GovernedTable, Error> {
    let named = dataset.classes.keys().chain(&dataset.subject);
    if let Some(lost) = named.into_iter().find(|name| schema.iter().all(|c| c.name != **name)) {
        return Err(Error::new(
            Code::SourceFailed,
            format!("Dataset `{}` does not have the columns its configuration names.", dataset.name),
        )
        .operator(format!("datasets.{}: the source has no column `{lost}`", dataset.name)));
    }
    let columns = schema
        .iter()
        .map(|column| {
            let class = dataset.classes.get(&column.name);
            let treatment = match class {
                Some(class) => treat_class(asking, dataset, class)?,
                None => match dataset.unclassified {
                    Unclassified::Scan => Treatment::Mask(Mask::Scan),
                    Unclassified::Redact => Treatment::Mask(Mask::Redact),
                    Unclassified::Open => Treatment::Open,
                },
            };
            Ok(GovernedColumn {
                name: column.name.clone(),
                class: class.cloned(),
                treatment,
            })
        })
        .collect::<Result<_, Error>>()?;
    let filtered = dataset.row_filter.is_some() && !asking.may(Action::Unfiltered, &dataset.resource());
    Ok(GovernedTable {
        table: dataset.table(),
        columns,
        row_filter: dataset.row_filter.clone().filter(|_| filtered),
    })
}

fn treat_class(asking: &Asking<'_>, dataset: &Dataset, class: &str) -> Result<Treatment, Error> {
    let resource = Resource::Class {
        name: class,
        dataset: &dataset.name,
    };
    if asking.may(Action::Reveal, &resource) {
        return Ok(Treatment::Reveal);
    }
    match asking.broker.settings.catalog.classes.get(class) {
        Some(class) => Ok(Treatment::Mask(class.mask.of_subjects(dataset.subject.as_deref()))),
        None => Err(Error::new(Code::Internal, format!("Class `{class}` has no mask."))),
    }
}

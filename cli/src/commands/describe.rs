//! `chunkctl describe DATASET`: what would its columns look like to me?

use chunk_wire::catalog::{ColumnView, DatasetDetail};
use clap::Args;

use crate::commands::query;
use crate::context::Context;
use crate::error::Result;
use crate::figures;
use crate::output::{Facts, Table};

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Dataset, as `chunkctl datasets` lists it.
    dataset: String,
}

pub(crate) fn run(cx: &Context<'_>, args: &DescribeArgs) -> Result<()> {
    cx.with_session(async |session| {
        let detail: DatasetDetail = session
            .get(&["v1", "datasets", &args.dataset])
            .await
            .map_err(|failure| failure.hint("chunkctl datasets"))?;
        if cx.ui.is_json() {
            return cx.ui.event("dataset.detail", &detail);
        }
        let mut facts = Facts::new();
        facts.add("dataset", &detail.summary.name);
        if !detail.summary.description.is_empty() {
            facts.add("description", &detail.summary.description);
        }
        facts.add("read through", format!("{} ({})", detail.summary.connection, detail.summary.kind));
        facts.add("approval", super::datasets::approval(detail.summary.approvals));
        facts.add("rows you see", if detail.filtered { "those a row filter leaves" } else { "all" });
        if detail.recorded {
            facts.add("recorded", "what you are given is kept, sealed, for auditors");
        }
        facts.add(
            "one fetch",
            format!(
                "{} and {} at most",
                figures::plural(detail.rows_max, "row"),
                figures::bytes(detail.bytes_max)
            ),
        );
        let rows = detail.rows_per_day.map(|rows| figures::plural(rows, "row"));
        let bytes = detail.bytes_per_day.map(figures::bytes);
        let daily: Vec<String> = rows.into_iter().chain(bytes).collect();
        if !daily.is_empty() {
            facts.add("one day (UTC)", format!("{} at most, for each person", daily.join(" and ")));
        }
        facts.add(
            "standing grant",
            match &detail.standing {
                Some(most) => format!("{} at most", query::terms(most)),
                None => "none".to_owned(),
            },
        );
        cx.ui.answer(&format!("{}\n{}", facts.render(), columns(&detail.columns)))?;
        cx.ui.next(&format!("chunkctl plan {}", detail.summary.name));
        Ok(())
    })
}

/// Columns as the caller would get them.
pub(crate) fn columns(columns: &[ColumnView]) -> String {
    let mut table = Table::new(&["column", "type", "class", "you see"]);
    for column in columns {
        let data_type = if column.nullable {
            format!("{}?", column.data_type)
        } else {
            column.data_type.clone()
        };
        table.row([
            &column.name,
            &data_type,
            column.class.as_deref().unwrap_or("-"),
            &seen(&column.mask),
        ]);
    }
    table.render()
}

/// What a mask means to the one who looks.
pub(crate) fn seen(mask: &str) -> String {
    match mask {
        "open" => "as it is".into(),
        "reveal" => "as it is (revealed to you)".into(),
        "drop" => "nothing: it is left out".into(),
        mask => mask.to_owned(),
    }
}

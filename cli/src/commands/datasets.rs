//! `chunkctl datasets`: what may I ask for?

use chunk_wire::catalog::DatasetSummary;

use crate::context::Context;
use crate::error::Result;
use crate::output::Table;

pub(crate) fn run(cx: &Context<'_>) -> Result<()> {
    cx.with_session(async |session| {
        let datasets: Vec<DatasetSummary> = session.get(&["v1", "datasets"]).await?;
        if cx.ui.is_json() {
            return datasets.iter().try_for_each(|dataset| cx.ui.event("dataset", dataset));
        }
        if datasets.is_empty() {
            cx.ui.say("There is no dataset that you may ask for.");
            return Ok(());
        }
        let mut table = Table::new(&["dataset", "kind", "approval", "description"]);
        for dataset in &datasets {
            table.row([&dataset.name, &dataset.kind, &approval(dataset.approvals), &dataset.description]);
        }
        cx.ui.answer(&table.render())?;
        cx.ui.next("chunkctl describe DATASET");
        Ok(())
    })
}

/// How many people must agree, in words.
pub(crate) fn approval(people: Option<u32>) -> String {
    match people {
        None => "not yours to fetch".into(),
        Some(0) => "none needed".into(),
        Some(1) => "1 person".into(),
        Some(n) => format!("{n} people"),
    }
}

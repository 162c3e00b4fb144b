//! Searching entries, and one entry opened.

use chunk_wire::audit::{EntryPage, EntryQuery, EntryView};
use serde_json::{Map, Value};

use super::filter::Filter;
use super::{READ_PAGE, first_at_or_after, query_value, record_read, summary};
use crate::authorize::demand;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::log::Opened;
use crate::identity::Caller;
use crate::policy::Action;

/// Searches entries, newest first.
///
/// # Errors
/// When policy does not let the caller read the evidence, or the log cannot be read or written.
pub async fn search(broker: &Broker, cx: &Context, caller: &Caller, query: EntryQuery) -> Result<EntryPage, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let published = broker.log.published();
    let limit = usize::try_from(query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)).unwrap_or(1);
    let filter = Filter::new(
        &published.state,
        query.user.as_deref(),
        query.dataset.as_deref(),
        query.request.as_deref(),
        query.kind.as_deref(),
    );
    let size = published.state.size;
    let start = match query.from_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => 0,
    };
    let mut end = match query.to_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => size,
    };
    end = end.min(query.before.unwrap_or(size));
    let mut found: Vec<EntryView> = Vec::new();
    let mut next_before = None;
    // One more than a page tells whether there is another.
    'pages: while start < end {
        let wanted = (limit + 1 - found.len()).min(READ_PAGE);
        let indices = broker.log.with_index(|index| index.find(&filter.question(), start..end, wanted));
        let Some(oldest) = indices.last() else { break };
        end = *oldest;
        for entry in broker.log.read_at(indices).await? {
            // The index knows what an entry said before it was erased.
            if !filter.matches(&entry) {
                continue;
            }
            if found.len() == limit {
                next_before = found.last().map(|e: &EntryView| e.index);
                break 'pages;
            }
            found.push(entry_view(&entry));
        }
    }
    let asked = EntryQuery {
        user: filter.user(),
        ..query
    };
    record_read(broker, caller, query_value(&asked)?, found.len()).await?;
    Ok(EntryPage {
        entries: found,
        next_before,
    })
}

/// One entry, opened.
///
/// # Errors
/// As [`search`], and `not_found`.
pub async fn entry(broker: &Broker, cx: &Context, caller: &Caller, index: u64) -> Result<EntryView, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let opened = broker.log.read_one(index).await?;
    record_read(broker, caller, serde_json::json!({ "index": index }), 1).await?;
    Ok(entry_view(&opened))
}

fn entry_view(entry: &Opened) -> EntryView {
    let header = entry.leaf.header_text.parse().unwrap_or(Value::Null);
    let mut body = Map::new();
    if let Some((_, opened)) = &entry.body {
        body = opened.present();
    }
    EntryView {
        index: entry.index,
        header,
        body: Value::Object(body),
        summary: summary(entry),
    }
}

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;

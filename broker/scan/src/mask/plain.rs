//! Which layout do masked values have?
//!
//! Views, dictionaries and runs keep values in places that several rows share, or no row refers to. Masked arrays have none of
//! them, at any depth; and every nested field may be null, because redaction makes nulls.

use std::sync::Arc;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

/// The same type in plain layout. A union, which cannot be null, becomes `Null`.
pub(super) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(nullable(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(nullable(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(nullable(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nullable).collect()),
        DataType::Map(entries, sorted) => DataType::Map(map_entries(entries), *sorted),
        DataType::Union(..) => DataType::Null,
        other => other.clone(),
    }
}

/// Whether arrays of one type can be cast to the other without a failure that depends on values.
pub(super) fn can_become(from: &DataType, to: &DataType) -> bool {
    !holds_union(from) && can_cast_types(from, to)
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain(field.data_type()), true))
}

/// Entries and keys of a map are never null.
fn map_entries(entries: &FieldRef) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else {
        return nullable(entries);
    };
    let fields: Fields = fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            if place == 0 {
                Arc::new(Field::new(field.name(), plain(field.data_type()), false))
            } else {
                nullable(field)
            }
        })
        .collect();
    Arc::new(Field::new(entries.name(), DataType::Struct(fields), false))
}

fn holds_union(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(..) => true,
        DataType::Dictionary(_, value) => holds_union(value),
        DataType::List(f)
        | DataType::ListView(f)
        | DataType::LargeList(f)
        | DataType::LargeListView(f)
        | DataType::FixedSizeList(f, _)
        | DataType::Map(f, _) => holds_union(f.data_type()),
        DataType::RunEndEncoded(_, f) => holds_union(f.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| holds_union(f.data_type())),
        _ => false,
    }
}

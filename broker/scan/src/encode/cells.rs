//! How is one cell written in a line of CSV or JSON?

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, Schema};
use chunk_wire::fetch::Format;

use super::EncodeError;
use super::scalar::{self, Style};

/// Writes the value in a row, null or not.
pub(super) type Cell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// How values are set apart from what surrounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// Quoted if needed; lists, structs and maps as JSON.
    Csv,
    /// JSON.
    Json,
}

/// Checks that every column can be written.
pub(super) fn check(schema: &Schema, format: Format) -> Result<(), EncodeError> {
    match schema.fields().iter().find(|field| !is_writable(field.data_type())) {
        None => Ok(()),
        Some(field) => Err(EncodeError::Unsupported {
            column: field.name().clone(),
            data_type: field.data_type().to_string(),
            format: format.as_str(),
        }),
    }
}

fn is_writable(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => is_writable(f.data_type()),
        DataType::Map(entries, _) => is_writable(entries.data_type()),
        DataType::Struct(fields) => fields.iter().all(|f| is_writable(f.data_type())),
        DataType::Dictionary(_, value) => is_writable(value),
        DataType::Union(..) | DataType::RunEndEncoded(..) | DataType::ListView(_) | DataType::LargeListView(_) | DataType::BinaryView => {
            false
        }
        _ => true,
    }
}

/// A writer of an array's cells; `None` for a type that [`check`] refuses.
pub(super) fn cell(array: &dyn Array, notation: Notation) -> Option<Cell<'_>> {
    let write = value(array, notation)?;
    let null: &[u8] = match notation {
        Notation::Csv => b"",
        Notation::Json => b"null",
    };
    Some(match array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        None => write,
        Some(nulls) => Box::new(move |row, out| {
            if nulls.is_null(row) {
                out.extend_from_slice(null)
            } else {
                write(row, out)
            }
        }),
    })
}

fn value(array: &dyn Array, notation: Notation) -> Option<Cell<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            text(notation, move |row| array.value(row))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            text(notation, move |row| array.value(row))
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            text(notation, move |row| array.value(row))
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Some(Box::new(|_, _| {}));
            }
            let keys = dictionary.normalized_keys();
            let values = cell(dictionary.values().as_ref(), notation)?;
            Box::new(move |row, out| values(keys.get(row).copied().unwrap_or(0), out))
        }
        other if other.is_nested() => {
            let json = nested(array)?;
            match notation {
                Notation::Json => json,
                Notation::Csv => Box::new(move |row, out| {
                    let mut text = Vec::new();
                    json(row, &mut text);
                    csv_bytes(out, &text);
                }),
            }
        }
        // Neither CSV readers nor JSON need a text around these.
        DataType::Boolean => scalar::writer(array, Style::AsStored)?,
        DataType::Null => Box::new(move |_, out| {
            if notation == Notation::Json {
                out.extend_from_slice(b"null")
            }
        }),
        DataType::Float16 | DataType::Float32 | DataType::Float64 if notation == Notation::Json => finite(array)?,
        other if other.is_numeric() || notation == Notation::Csv => scalar::writer(array, Style::AsStored)?,
        // Dates, times and binary values hold nothing that JSON escapes.
        _ => {
            let write = scalar::writer(array, Style::AsStored)?;
            Box::new(move |row, out| {
                out.push(b'"');
                write(row, out);
                out.push(b'"');
            })
        }
    })
}

fn text<'a>(notation: Notation, value: impl Fn(usize) -> &'a str + 'a) -> Cell<'a> {
    match notation {
        Notation::Csv => Box::new(move |row, out| csv_text(out, value(row))),
        Notation::Json => Box::new(move |row, out| json_text(out, value(row))),
    }
}

/// JSON has no word for what is not a number; null is what every reader takes.
fn finite(array: &dyn Array) -> Option<Cell<'_>> {
    let write = scalar::writer(array, Style::AsStored)?;
    let is_finite: Box<dyn Fn(usize) -> bool + '_> = match array.data_type() {
        DataType::Float16 => Box::new(|row| array.as_primitive::<Float16Type>().value(row).is_finite()),
        DataType::Float32 => Box::new(|row| array.as_primitive::<Float32Type>().value(row).is_finite()),
        _ => Box::new(|row| array.as_primitive::<Float64Type>().value(row).is_finite()),
    };
    Some(Box::new(move |row, out| {
        if is_finite(row) {
            write(row, out)
        } else {
            out.extend_from_slice(b"null")
        }
    }))
}

/// Lists, structs and maps as JSON.
fn nested(array: &dyn Array) -> Option<Cell<'_>> {
    Some(match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let item = cell(list.values().as_ref(), Notation::Json)?;
            let offsets = list.value_offsets();
            items(item, move |row| span(offsets, row))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let item = cell(list.values().as_ref(), Notation::Json)?;
            let offsets = list.value_offsets();
            items(item, move |row| span(offsets, row))
        }
        DataType::FixedSizeList(_, size) => {
            let item = cell(array.as_fixed_size_list().values().as_ref(), Notation::Json)?;
            let size = usize::try_from(*size).unwrap_or(0);
            items(item, move |row| row * size..(row + 1) * size)
        }
        DataType::Struct(_) => {
            let whole = array.as_struct();
            let mut fields = Vec::new();
            for (name, column) in whole.column_names().into_iter().zip(whole.columns()) {
                let mut key = Vec::new();
                json_text(&mut key, name);
                key.push(b':');
                fields.push((key, cell(column.as_ref(), Notation::Json)?));
            }
            Box::new(move |row, out| {
                out.push(b'{');
                for (place, (key, field)) in fields.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    field(row, out);
                }
                out.push(b'}');
            })
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let key = cell(map.keys().as_ref(), Notation::Json)?;
            let value = cell(map.values().as_ref(), Notation::Json)?;
            let offsets = map.value_offsets();
            Box::new(move |row, out| {
                out.push(b'{');
                for (place, entry) in span(offsets, row).enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    let from = out.len();
                    key(entry, out);
                    // Names are text in JSON, whatever the key is.
                    if out.get(from) != Some(&b'"') {
                        out.insert(from, b'"');
                        out.push(b'"');
                    }
                    out.push(b':');
                    value(entry, out);
                }
                out.push(b'}');
            })
        }
        _ => return None,
    })
}

fn items<'a>(item: Cell<'a>, span: impl Fn(usize) -> std::ops::Range<usize> + 'a) -> Cell<'a> {
    Box::new(move |row, out| {
        out.push(b'[');
        for (place, index) in span(row).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            item(index, out);
        }
        out.push(b']');
    })
}

fn span<O: Copy + TryInto<usize>>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    let offset = |row: usize| offsets.get(row).and_then(|&offset| offset.try_into().ok()).unwrap_or(0);
    offset(row)..offset(row + 1)
}

/// Writes a text as a CSV field.
pub(super) fn csv_text(out: &mut Vec<u8>, text: &str) {
    csv_bytes(out, text.as_bytes());
}

fn csv_bytes(out: &mut Vec<u8>, text: &[u8]) {
    if !text.is_empty() && !text.iter().any(|b| matches!(b, b'"' | b',' | b'\n' | b'\r')) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    let mut from = 0;
    for quote in memchr::memchr_iter(b'"', text) {
        out.extend_from_slice(text.get(from..=quote).unwrap_or_default());
        out.push(b'"');
        from = quote + 1;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out.push(b'"');
}

/// Writes a text as a JSON string.
pub(super) fn json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &b) in bytes.iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        from = at + 1;
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(if other < 0x10 { b'0' } else { b'1' });
                out.push(DIGITS.get(usize::from(other & 15)).copied().unwrap_or(b'0'));
            }
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out.push(b'"');
}

//! Lines of JSON: one object a line, its fields the columns.
//!
//! As with CSV, a column has a type only if each value of the sample comes back as it was, and a later value that does not
//! fit ends the read by its file and line. A field that the sample does not have is not skipped either: it may be what its
//! column is masked for under another name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayBuilder, ArrayRef, Float64Builder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::list::Listed;
use super::place::Place;
use super::wanted::Wanted;
use crate::encode::number;
use crate::source::cells::{self, Guess};

/// The columns' names in the order in which they first appear, their types from what the first lines have in common.
pub(super) fn metadata(place: &Place, listed: &[Listed]) -> Result<SchemaRef, String> {
    let mut columns = Columns::default();
    let mut guesses: Vec<Seen> = Vec::new();
    let mut left = SAMPLE_ROWS;
    for entry in listed {
        if left == 0 {
            break;
        }
        let failed = |e: String| format!("{}: {e}", entry.path.display());
        let file = place.open(entry).map_err(|e| failed(e.to_string()))?;
        let mut lines = Lines::new(file);
        while left > 0
            && let Some((number, line)) = lines.next().map_err(failed)?
        {
            left -= 1;
            read(line, |name, value| {
                let n = columns.find(name).or_else(|| columns.add(name)).ok_or(Fault::TooMany)?;
                if n == guesses.len() {
                    guesses.push(Seen::new());
                }
                if let Some(seen) = guesses.get_mut(n) {
                    seen.see(&value);
                }
                Ok(n)
            })
            .map_err(|fault| failed(format!("line {number}: {fault}")))?;
        }
    }
    if columns.names.is_empty() {
        return Err("no line has a field".to_owned());
    }
    let fields = columns.names.iter().zip(&guesses).map(|(n, g)| Field::new(n, g.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

const SAMPLE_ROWS: usize = 10_000;
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Objects whose fields are named by what they are about are no table.
const COLUMNS_MAX: usize = 2_000;

impl Wanted {
    /// Reads the file, handing each batch to `send` for as long as it returns true. Errors hold no value.
    pub(super) fn read_ndjson(self, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), String> {
        let failed = |e: String| format!("{}: {e}", self.file.path.display());
        let file = self.place.open(&self.file).map_err(|e| failed(e.to_string()))?;
        let mut names = Columns::default();
        for field in self.described.fields() {
            names.add(field.name()).ok_or("more columns than are read")?;
        }
        let wanted = Arc::new(self.described.project(&self.columns).map_err(|e| e.to_string())?);
        // Where a column of the file stands among those wanted.
        let mut places = vec![None; names.names.len()];
        for (place, column) in self.columns.iter().enumerate() {
            if let Some(slot) = places.get_mut(*column) {
                *slot = Some(place);
            }
        }
        let mut building: Vec<Building> = wanted.fields().iter().map(|f| Building::new(f.data_type())).collect();
        let (mut lines, mut rows, mut bytes, mut total) = (Lines::new(file), 0, 0, 0);
        loop {
            let full = rows >= BATCH_ROWS || bytes >= BATCH_BYTES || self.limit.is_some_and(|l| total >= l);
            let line = if full { None } else { lines.next().map_err(failed)? };
            let Some((number, line)) = line else {
                if rows > 0 {
                    let columns = building
                        .iter_mut()
                        .map(Building::finish)
                        .collect::<Result<Vec<_>, _>>()
                        .map_err(failed)?;
                    let options = RecordBatchOptions::new().with_row_count(Some(rows));
                    let batch = RecordBatch::try_new_with_options(Arc::clone(&wanted), columns, &options).map_err(|e| e.to_string())?;
                    if !send(batch) {
                        return Ok(());
                    }
                }
                if !full || self.limit.is_some_and(|l| total >= l) {
                    return Ok(());
                }
                (rows, bytes) = (0, 0);
                continue;
            };
            bytes += line.len();
            let mut place_of = |name: &str, value: Value<'_>| {
                let column = names.find(name).ok_or(Fault::Unknown)?;
                if let Some(place) = places.get(column).copied().flatten()
                    && let Some(builder) = building.get_mut(place)
                {
                    builder.put(rows, value).map_err(|()| Fault::Misfit(column))?;
                }
                Ok(column)
            };
            read(line, &mut place_of).map_err(|fault| {
                let column = match fault {
                    Fault::Misfit(n) => self.described.fields().get(n),
                    _ => None,
                };
                failed(match column {
                    Some(field) => format!(
                        "line {number}: column `{}` is not written as {}, which the first lines are",
                        field.name(),
                        field.data_type()
                    ),
                    None => format!("line {number}: {fault}"),
                })
            })?;
            rows += 1;
            total += 1;
            building.iter_mut().for_each(|b| b.pad(rows));
        }
    }
}

/// Lines, counted from 1. Blank ones are passed over.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(file: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            line: Vec::new(),
            number: 0,
        }
    }

    fn next(&mut self) -> Result<Option<(u64, &[u8])>, String> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            let length = (&mut self.reader)
                .take(limit)
                .read_until(b'\n', &mut self.line)
                .map_err(|e| e.to_string())?;
            if length == 0 {
                return Ok(None);
            }
            if length == LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
                return Err(format!("line {} is longer than {LINE_BYTES_MAX} bytes", self.number));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, &self.line)));
            }
        }
    }
}

/// Columns by name, in order.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Columns {
    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The new column's place, if there is room.
    fn add(&mut self, name: &str) -> Option<usize> {
        let place = self.names.len();
        if place == COLUMNS_MAX {
            return None;
        }
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        Some(place)
    }
}

/// A field's value.
enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or array, as it is written.
    Nested(&'a str),
}

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'"' if text.contains('\\') => Value::Text(serde_json::from_str::<String>(text).ok()?.into()),
            b'"' => Value::Text(text.get(1..text.len() - 1)?.into()),
            b'{' | b'[' => Value::Nested(text),
            _ => Value::Number(text),
        })
    }
}

/// Why a line cannot be read; holds nothing of it.
#[derive(Debug, Clone, Copy)]
enum Fault {
    NoObject,
    Twice,
    Unknown,
    TooMany,
    Misfit(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoObject => f.write_str("it is not one JSON object"),
            Fault::Twice => f.write_str("a field is there twice"),
            Fault::Unknown => f.write_str("it has a field that the first lines do not have"),
            Fault::TooMany => write!(f, "there are more than {COLUMNS_MAX} fields"),
            Fault::Misfit(_) => f.write_str("a value is not of its column's type"),
        }
    }
}

/// Reads an object, handing each field to `take`, which says which column it is.
fn read(line: &[u8], take: impl FnMut(&str, Value<'_>) -> Result<usize, Fault>) -> Result<(), Fault> {
    let mut fault = Fault::NoObject;
    let fields = Fields { take, fault: &mut fault };
    let mut parser = serde_json::Deserializer::from_slice(line);
    let done = fields.deserialize(&mut parser).and_then(|()| parser.end());
    done.map_err(|_| fault)
}

struct Fields<'f, F> {
    take: F,
    fault: &'f mut Fault,
}

impl<'de, F: FnMut(&str, Value<'_>) -> Result<usize, Fault>> DeserializeSeed<'de> for Fields<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, Value<'_>) -> Result<usize, Fault>> Visitor<'de> for Fields<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Vec::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let raw: &RawValue = map.next_value()?;
            let done = Value::of(raw).ok_or(Fault::NoObject).and_then(|value| (self.take)(&name, value));
            let done = done.and_then(|column| {
                let first = seen.iter().all(|c| *c != column);
                seen.push(column);
                first.then_some(()).ok_or(Fault::Twice)
            });
            if let Err(fault) = done {
                *self.fault = fault;
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// What the values of a column have in common so far.
struct Seen {
    bools: bool,
    numbers: bool,
    texts: bool,
    nested: bool,
    number: Guess,
    text: Guess,
    floats: bool,
}

impl Seen {
    fn new() -> Self {
        Self {
            bools: false,
            numbers: false,
            texts: false,
            nested: false,
            number: Guess::new(),
            text: Guess::new(),
            floats: true,
        }
    }

    fn see(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.bools = true,
            Value::Number(text) => {
                self.numbers = true;
                self.floats &= float(text).is_some();
                self.number.see(text);
            }
            Value::Text(text) => {
                self.texts = true;
                self.text.see(text);
            }
            Value::Nested(_) => self.nested = true,
        }
    }

    fn data_type(&self) -> DataType {
        match (self.bools, self.numbers, self.texts, self.nested) {
            (true, false, false, false) => DataType::Boolean,
            (false, true, false, false) => match self.number.data_type() {
                number @ (DataType::Int64 | DataType::Decimal128(..)) => number,
                _ if self.floats => DataType::Float64,
                _ => DataType::Utf8,
            },
            (false, false, true, false) => match self.text.data_type() {
                time @ (DataType::Date32 | DataType::Timestamp(..)) => time,
                _ => DataType::Utf8,
            },
            _ => DataType::Utf8,
        }
    }
}

/// The number as a double, if that has all of its digits. `1` and `1.0` are the same number.
fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let digits = text
        .split(['e', 'E'])
        .next()?
        .trim_start_matches(['-', '0', '.'])
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    let mut written = Vec::new();
    number::float(&mut written, value, false);
    (value.is_finite() && (digits <= 15 && (value != 0.0 || digits == 0) || written == text.as_bytes())).then_some(value)
}

/// A column in the making: texts that become values at the end of a batch, or numbers.
enum Building {
    Texts(DataType, StringBuilder),
    Floats(Float64Builder),
}

impl Building {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Float64 => Building::Floats(Float64Builder::new()),
            other => Building::Texts(other.clone(), StringBuilder::new()),
        }
    }

    /// Puts the value of this row.
    fn put(&mut self, row: usize, value: Value<'_>) -> Result<(), ()> {
        self.pad(row);
        match (self, value) {
            (_, Value::Null) => {}
            (Building::Floats(b), Value::Number(text)) => b.append_value(float(text).ok_or(())?),
            (Building::Floats(_), _) => return Err(()),
            (Building::Texts(data_type, b), value) => {
                let text = match (&*data_type, value) {
                    (DataType::Utf8, Value::Text(text)) => text,
                    (DataType::Utf8, Value::Number(text) | Value::Nested(text)) => text.into(),
                    (DataType::Utf8 | DataType::Boolean, Value::Bool(value)) => if value { "true" } else { "false" }.into(),
                    (DataType::Int64 | DataType::Decimal128(..), Value::Number(text)) => text.into(),
                    (DataType::Date32 | DataType::Timestamp(..), Value::Text(text)) => text,
                    _ => return Err(()),
                };
                // Known now, that the line can be named.
                if *data_type != DataType::Utf8 && !cells::fits(data_type, &text) {
                    return Err(());
                }
                b.append_value(text);
            }
        }
        Ok(())
    }

    /// Puts nulls for what was not there, up to this many rows.
    fn pad(&mut self, rows: usize) {
        match self {
            Building::Floats(b) => b.append_nulls(rows.saturating_sub(b.len())),
            Building::Texts(_, b) => b.append_nulls(rows.saturating_sub(b.len())),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, String> {
        match self {
            Building::Floats(b) => Ok(Arc::new(b.finish())),
            Building::Texts(data_type, b) => cells::convert(&b.finish(), data_type).map_err(|_| "a value that fitted does not".to_owned()),
        }
    }
}

//! What data can chunkctl be tried on?
//!
//! A shop's customers and orders, made up: the same seed gives the same bytes, so that a demonstration, a benchmark and a
//! test can name what they expect. Nobody is real: addresses end in `.test`, security numbers lie in ranges that are never
//! issued, phone numbers in those reserved for fiction, card and account numbers carry valid check digits and no account.

mod people;
mod random;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use random::Random;

/// Where the data set was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFiles {
    /// `customers.parquet`.
    pub customers: PathBuf,
    /// `orders.parquet`.
    pub orders: PathBuf,
}

/// Why the data set cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The folder or a file cannot be created.
    #[error("create `{path}`")]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write the sample as Parquet")]
    Write(#[from] ParquetError),
    /// A batch cannot be put together.
    #[error("put a batch of the sample together")]
    Batch(#[from] ArrowError),
}

/// Writes `customers.parquet` and `orders.parquet` into `dir`, which is created if it is not there.
///
/// # Errors
/// When a file cannot be created or written.
pub fn write(dir: &Path, customers: u64, orders: u64, seed: u64) -> Result<SampleFiles, SampleError> {
    std::fs::create_dir_all(dir).map_err(|source| SampleError::Create {
        path: dir.to_owned(),
        source,
    })?;
    let files = SampleFiles {
        customers: dir.join("customers.parquet"),
        orders: dir.join("orders.parquet"),
    };
    table(
        &files.customers,
        &customers_schema(),
        customers,
        &["customer_id", "full_name", "email", "phone", "ssn", "created_at"],
        |from, to| customers_batch(from, to, seed),
    )?;
    table(
        &files.orders,
        &orders_schema(),
        orders,
        &["order_id", "placed_at", "card_number"],
        |from, to| orders_batch(from, to, customers, seed),
    )?;
    Ok(files)
}

/// Rows made at a time.
const BATCH_ROWS: u64 = 16_384;

/// Rows of a row group: small enough that a scan of a million rows has several to read in parallel.
const GROUP_ROWS: usize = 262_144;

/// 2021-01-01T00:00:00Z, when the shop opened.
const OPENED_US: i64 = 1_609_459_200_000_000;

const SECOND_US: i64 = 1_000_000;

fn table(
    path: &Path,
    schema: &SchemaRef,
    rows: u64,
    unique: &[&str],
    mut batch: impl FnMut(u64, u64) -> Result<RecordBatch, ArrowError>,
) -> Result<(), SampleError> {
    let file = File::create(path).map_err(|source| SampleError::Create {
        path: path.to_owned(),
        source,
    })?;
    let mut properties = WriterProperties::builder()
        .set_created_by("chunkctl sample".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for column in unique {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(*column), false);
    }
    let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties.build()))?;
    let mut from = 0;
    while from < rows {
        let to = rows.min(from + BATCH_ROWS);
        writer.write(&batch(from, to)?)?;
        from = to;
    }
    writer.close()?;
    Ok(())
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn customers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Int64, false),
        Field::new("full_name", DataType::Utf8, false),
        Field::new("email", DataType::Utf8, false),
        Field::new("phone", DataType::Utf8, true),
        Field::new("ssn", DataType::Utf8, true),
        Field::new("birth_date", DataType::Date32, false),
        Field::new("city", DataType::Utf8, false),
        Field::new("postcode", DataType::Utf8, false),
        Field::new("segment", DataType::Utf8, false),
        Field::new("created_at", timestamp(), false),
    ]))
}

fn orders_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("order_id", DataType::Int64, false),
        Field::new("customer_id", DataType::Int64, false),
        Field::new("placed_at", timestamp(), false),
        Field::new("status", DataType::Utf8, false),
        Field::new("amount", DataType::Decimal128(12, 2), false),
        Field::new("card_number", DataType::Utf8, true),
        Field::new("note", DataType::Utf8, true),
        Field::new("shipping_city", DataType::Utf8, false),
    ]))
}

fn customers_batch(from: u64, to: u64, seed: u64) -> Result<RecordBatch, ArrowError> {
    let rows = usize::try_from(to - from).unwrap_or(0);
    let mut ids = Vec::with_capacity(rows);
    let (mut names, mut emails, mut phones, mut ssns) = (text(rows, 16), text(rows, 32), text(rows, 16), text(rows, 11));
    let (mut born, mut cities, mut postcodes) = (Vec::with_capacity(rows), text(rows, 12), text(rows, 5));
    let (mut segments, mut created) = (text(rows, 8), Vec::with_capacity(rows));
    for row in from..to {
        let id = row + 1;
        let mut random = Random::of(seed, CUSTOMERS, row);
        let person = people::person(&mut random);
        ids.push(signed(id));
        names.append_value(person.full_name());
        emails.append_value(person.email(id));
        phones.append_option((!random.one_in(20)).then(|| people::phone(&mut random)));
        ssns.append_option((!random.one_in(33)).then(|| people::ssn(&mut random)));
        born.push(i32::try_from(random.between(-10_957, 13_149)).unwrap_or(0)); // 1940-01-01 to 2006-01-01
        let place = people::place(&mut random);
        cities.append_value(place.city);
        postcodes.append_value(place.postcode(&mut random));
        segments.append_value(random.pick(&people::SEGMENTS));
        created.push(OPENED_US + random.between(0, 157_680_000) * SECOND_US + random.between(0, 999_999)); // five years
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(names.finish()),
        Arc::new(emails.finish()),
        Arc::new(phones.finish()),
        Arc::new(ssns.finish()),
        Arc::new(Date32Array::from(born)),
        Arc::new(cities.finish()),
        Arc::new(postcodes.finish()),
        Arc::new(segments.finish()),
        Arc::new(TimestampMicrosecondArray::from(created).with_timezone("UTC")),
    ];
    RecordBatch::try_new(customers_schema(), columns)
}

fn orders_batch(from: u64, to: u64, customers: u64, seed: u64) -> Result<RecordBatch, ArrowError> {
    let rows = usize::try_from(to - from).unwrap_or(0);
    let (mut ids, mut buyers, mut placed) = (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
    let (mut statuses, mut amounts, mut cards) = (text(rows, 8), Vec::with_capacity(rows), text(rows, 16));
    let (mut notes, mut cities) = (text(rows, 48), text(rows, 12));
    for row in from..to {
        let mut random = Random::of(seed, ORDERS, row);
        ids.push(signed(row + 1));
        buyers.push(signed(random.below(customers.max(1)) + 1));
        // Orders come in in the order of their ids, about one every half minute.
        placed.push(OPENED_US + signed(row) * 30 * SECOND_US + random.between(0, 30 * SECOND_US - 1));
        statuses.append_value(random.pick(&people::STATUSES));
        amounts.push(i128::from(random.between(199, 4_999) * random.between(1, 40)));
        cards.append_option((!random.one_in(8)).then(|| people::card(&mut random)));
        notes.append_option((!random.one_in(4)).then(|| people::note(&mut random)));
        cities.append_value(people::place(&mut random).city);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(Int64Array::from(buyers)),
        Arc::new(TimestampMicrosecondArray::from(placed).with_timezone("UTC")),
        Arc::new(statuses.finish()),
        Arc::new(Decimal128Array::from(amounts).with_precision_and_scale(12, 2)?),
        Arc::new(cards.finish()),
        Arc::new(notes.finish()),
        Arc::new(cities.finish()),
    ];
    RecordBatch::try_new(orders_schema(), columns)
}

/// Streams of random numbers, one for each table.
const CUSTOMERS: u64 = 1;
const ORDERS: u64 = 2;

fn text(rows: usize, bytes: usize) -> StringBuilder {
    StringBuilder::with_capacity(rows, rows * bytes)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

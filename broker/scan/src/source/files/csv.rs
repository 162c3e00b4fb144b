//! CSV files: their columns and types, and their rows.
//!
//! The columns of a file stand in its own order under its own header, and rows hold no names. A folder whose files differ in
//! order would put one column's values under another's name, and so past its mask; so each file's header must be the first
//! one's, word by word, when the folder is opened and again when the file is read.

use std::io::{BufReader, Read, Seek};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::list::Listed;
use super::place::Place;
use super::wanted::Wanted;
use crate::source::cells::{self, Guess};

/// The columns' names from the header, their types from what the first lines have in common.
pub(super) fn metadata(place: &Place, listed: &[Listed]) -> Result<SchemaRef, String> {
    let mut names: Option<Vec<String>> = None;
    let mut guesses = Vec::new();
    let mut left = SAMPLE_ROWS;
    for entry in listed {
        let failed = |e: String| format!("{}: {e}", entry.path.display());
        let mut file = place.open(entry).map_err(|e| failed(e.to_string()))?;
        if entry.meta.size == 0 {
            continue;
        }
        let found = header(&mut file).map_err(failed)?;
        match &names {
            None => {
                guesses = vec![Guess::new(); found.len()];
                names = Some(found);
            }
            Some(first) if *first == found => {}
            Some(_) => return Err(failed("its header is not that of the first file".to_owned())),
        }
        if left > 0 {
            left -= sample(file, names.as_deref().unwrap_or_default(), &mut guesses, left).map_err(failed)?;
        }
    }
    let names = names.ok_or("every file is empty")?;
    let fields = names.iter().zip(&guesses).map(|(n, g)| Field::new(n, g.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

const SAMPLE_ROWS: usize = 10_000;
const BATCH_ROWS: usize = 8192;

/// The names in the first line. The file is left at its beginning.
fn header<R: Read + Seek>(file: &mut R) -> Result<Vec<String>, String> {
    // The parser's own texts may quote what it read.
    let (schema, _) = Format::default()
        .with_header(true)
        .infer_schema(BufReader::new(&mut *file), Some(0))
        .map_err(|_| "its header cannot be read".to_owned())?;
    file.rewind().map_err(|e| e.to_string())?;
    Ok(schema.fields().iter().map(|f| f.name().clone()).collect())
}

fn sample(file: impl Read, names: &[String], guesses: &mut [Guess], rows: usize) -> Result<usize, String> {
    let reader = ReaderBuilder::new(texts(names))
        .with_header(true)
        .with_batch_size(rows.min(BATCH_ROWS))
        .build_buffered(BufReader::new(file))
        .map_err(|_| "its rows cannot be read".to_owned())?;
    let mut seen = 0;
    for batch in reader {
        let batch = batch.map_err(|_| format!("the rows from {} on cannot be read", seen + 1))?;
        let taken = batch.num_rows().min(rows - seen);
        for (column, guess) in batch.columns().iter().zip(guesses.iter_mut()) {
            column
                .as_string::<i32>()
                .iter()
                .take(taken)
                .flatten()
                .for_each(|text| guess.see(text));
        }
        seen += taken;
        if seen == rows {
            break;
        }
    }
    Ok(seen)
}

fn texts(names: &[String]) -> SchemaRef {
    let fields = names.iter().map(|n| Field::new(n, DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl Wanted {
    /// Reads the file, handing each batch to `send` for as long as it returns true. Errors hold no value.
    pub(super) fn read_csv(self, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), String> {
        let failed = |e: String| format!("{}: {e}", self.file.path.display());
        let mut file = self.place.open(&self.file).map_err(|e| failed(e.to_string()))?;
        let names: Vec<String> = self.described.fields().iter().map(|f| f.name().clone()).collect();
        if header(&mut file).map_err(failed)? != names {
            return Err(failed("its header is no longer what was described".to_owned()));
        }
        // The parser takes an empty selection for all columns.
        let mut read = self.columns.clone();
        if read.is_empty() {
            read.push(0);
        }
        let wanted = Arc::new(self.described.project(&self.columns).map_err(|e| e.to_string())?);
        let reader = ReaderBuilder::new(texts(&names))
            .with_header(true)
            .with_projection(read)
            .with_batch_size(BATCH_ROWS)
            .build_buffered(BufReader::with_capacity(BUFFER_BYTES, file))
            .map_err(|_| failed("its rows cannot be read".to_owned()))?;
        let mut before = 0;
        for batch in reader {
            let batch = batch.map_err(|_| failed(format!("the rows from {} on cannot be read", before + 1)))?;
            let rows = self.limit.map_or(batch.num_rows(), |l| (l - before).min(batch.num_rows()));
            let batch = batch.slice(0, rows);
            let columns = batch
                .columns()
                .iter()
                .zip(wanted.fields())
                .map(|(column, field)| {
                    cells::convert(column.as_string::<i32>(), field.data_type()).map_err(|row| {
                        failed(format!(
                            "row {} of column `{}` is not written as {}, which the first rows are",
                            before + row + 1,
                            field.name(),
                            field.data_type()
                        ))
                    })
                })
                .collect::<Result<Vec<ArrayRef>, String>>()?;
            before += rows;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&wanted), columns, &options).map_err(|e| e.to_string())?;
            if !send(batch) || self.limit == Some(before) {
                break;
            }
        }
        Ok(())
    }
}

const BUFFER_BYTES: usize = 256 * 1024;

//! The sample is the same for the same seed, and its secrets are where the detectors find them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use arrow::array::{Array, AsArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::detect::{self, Kind};

fn read(path: &Path) -> Vec<RecordBatch> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let dirs = [
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    ];
    let files: Vec<_> = [7, 7, 8]
        .iter()
        .zip(&dirs)
        .map(|(&seed, dir)| write(dir.path(), 100, 20_000, seed).unwrap())
        .collect();
    let bytes: Vec<_> = files
        .iter()
        .map(|f| (std::fs::read(&f.customers).unwrap(), std::fs::read(&f.orders).unwrap()))
        .collect();
    assert_eq!(bytes[0], bytes[1]);
    assert_ne!(bytes[0], bytes[2]);
}

#[test]
fn tables_have_their_rows_and_nothing_points_outside() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), 500, 20_000, 1).unwrap();
    let customers: usize = read(&files.customers).iter().map(RecordBatch::num_rows).sum();
    assert_eq!(customers, 500);
    let orders = read(&files.orders);
    assert_eq!(orders.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    for batch in orders {
        let buyers = batch
            .column_by_name("customer_id")
            .unwrap()
            .as_primitive::<arrow::datatypes::Int64Type>()
            .clone();
        assert!(buyers.values().iter().all(|id| (1..=500).contains(id)));
    }
}

#[test]
fn every_secret_of_the_sample_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), 2_000, 5_000, 3).unwrap();
    let expect = |batches: &[RecordBatch], column: &str, kind: Kind| {
        for batch in batches {
            for value in batch.column_by_name(column).unwrap().as_string::<i32>().iter().flatten() {
                let hits = detect::find(value);
                assert!(
                    hits.len() == 1 && hits[0].kind == kind && hits[0].end - hits[0].start == value.len(),
                    "{column}: {value}: {hits:?}"
                );
            }
        }
    };
    let customers = read(&files.customers);
    expect(&customers, "email", Kind::Email);
    expect(&customers, "phone", Kind::Phone);
    expect(&customers, "ssn", Kind::Ssn);
    let orders = read(&files.orders);
    expect(&orders, "card_number", Kind::Card);
    let mut kinds = std::collections::BTreeSet::new();
    for batch in &orders {
        for note in batch.column_by_name("note").unwrap().as_string::<i32>().iter().flatten() {
            kinds.extend(detect::find(note).iter().map(|hit| hit.kind));
            let masked = detect::replace(note).into_owned();
            assert!(!masked.contains('@') && !detect::contains(&masked), "{note} → {masked}");
        }
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [Kind::Phone, Kind::Email, Kind::Card, Kind::Iban]
    );
}

#[test]
fn nothing_is_written_as_an_empty_table() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), 0, 0, 1).unwrap();
    assert!(read(&files.customers).is_empty() && read(&files.orders).is_empty());
    assert!(files.orders.metadata().unwrap().len() > 0);
    assert_eq!(read(&files.orders).iter().map(|b| b.column(0).len()).sum::<usize>(), 0);
}

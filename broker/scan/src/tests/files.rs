//! Files that change, files that differ, and values that must come back as they were.

use chunk_port::ScanErrorKind;
use datafusion::execution::TaskContext;
use futures::TryStreamExt;

use super::*;
use crate::engine::fault;
use crate::source::files::{FileFormat, FileTable};
use crate::source::{RawTable, Want, WantColumn};

fn csv_table(house: &House, name: &str) -> Table {
    Table {
        dataset: "d".to_owned(),
        connection: "files".to_owned(),
        source: Source::Csv {
            root: house.folder.path().to_owned(),
            path: house.path(name),
        },
    }
}

async fn governed(house: &House, table: Table, treatments: &[(&str, Treatment)]) -> Result<GovernedTable, ScanError> {
    govern(&house.engine, table, treatments).await
}

/// The second file's `ssn` stands where the first one has `name`: read by place, it would leave unmasked.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_header_are_refused() {
    let house = house();
    let folder = house.path("mixed");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("1.csv"), "name,ssn\nAda,078-05-1120\n").unwrap();
    let table = governed(&house, csv_table(&house, "mixed"), &[("ssn", token())]).await.unwrap();
    for other in [
        "ssn,name\n219-09-9999,Bob\n",
        "name\nBob\n",
        "name,ssn,x\nBob,1,2\n",
        "Name,ssn\nBob,1\n",
    ] {
        std::fs::write(folder.join("2.csv"), other).unwrap();
        let error = house
            .csv(slice("d", None, None, None, None), vec![table.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{other}: {error:?}");
        assert!(error.operator.unwrap().contains("header"), "{other}");
    }
    std::fs::write(folder.join("2.csv"), "\"name\",ssn\nBob,219-09-9999\n").unwrap();
    std::fs::write(folder.join("3.csv"), "").unwrap();
    let shown = house.csv(slice("d", Some(&["name"]), None, None, None), vec![table]).await.unwrap();
    assert_eq!(shown, "name\nAda\nBob\n");
}

fn open(house: &House, name: &str, format: FileFormat) -> impl Future<Output = Result<FileTable, ScanError>> {
    let (root, path) = (house.folder.path().to_owned(), house.path(name));
    async move { FileTable::open("files", &root, &path, format).await }
}

async fn read(table: &FileTable) -> Result<usize, ScanError> {
    let columns = (0..table.schema().fields().len()).map(|index| WantColumn { index, blank: false });
    let scan = table
        .read(Want {
            columns: columns.collect(),
            ..Want::default()
        })
        .unwrap();
    let mut rows = 0;
    for unit in 0..scan.units() {
        let batches: Vec<RecordBatch> = Arc::clone(&scan)
            .open(unit, Arc::new(TaskContext::default()))
            .try_collect()
            .await
            .map_err(|e| fault::own(&e).unwrap())?;
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_checked_again_when_the_file_is_read() {
    let house = house();
    std::fs::write(house.path("a.csv"), "name,ssn\nAda,078-05-1120\n").unwrap();
    let table = open(&house, "a.csv", FileFormat::Csv).await.unwrap();
    assert_eq!(read(&table).await.unwrap(), 1);
    std::fs::write(house.path("a.csv"), "ssn,name\n078-05-1120,Ada\n").unwrap();
    let error = read(&table).await.unwrap_err();
    assert!(error.operator.unwrap().contains("header"));
}

/// Planned, then swapped for a link to somewhere else before it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_put_in_a_files_place_is_not_followed_out_of_the_root() {
    let house = house();
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, format) in [("people.parquet", FileFormat::Parquet), ("towns.csv", FileFormat::Csv)] {
        std::fs::copy(house.path(name), elsewhere.path().join(name)).unwrap();
        let table = open(&house, name, format).await.unwrap();
        assert!(read(&table).await.unwrap() > 0);
        std::fs::remove_file(house.path(name)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(name), house.path(name)).unwrap();
        let error = read(&table).await.unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{error:?}");
        assert!(open(&house, name, format).await.is_err());
    }
    // The same for a folder on the way.
    std::fs::create_dir(house.path("in")).unwrap();
    std::fs::write(house.path("in/a.csv"), "n\n1\n").unwrap();
    std::fs::write(elsewhere.path().join("a.csv"), "n\n1\n").unwrap();
    let table = open(&house, "in", FileFormat::Csv).await.unwrap();
    std::fs::remove_dir_all(house.path("in")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), house.path("in")).unwrap();
    assert!(read(&table).await.is_err());
    assert!(open(&house, "in", FileFormat::Csv).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_of_a_csv_comes_back_as_it_was() {
    let house = house();
    let rows = "account,amount,version,at,n,f,ok\n\
        1,12.50,1.10,2024-01-02T03:04:05.600000,7,0.1,true\n\
        2,3.00,1.9,2024-01-02T03:04:06.000000,,1.0,false\n\
        007,-0.25,2.0,2024-01-02T03:04:07.000000,-1,1e300,\n";
    std::fs::write(house.path("values.csv"), rows).unwrap();
    let table = governed(&house, csv_table(&house, "values.csv"), &[]).await.unwrap();
    let types: Vec<String> = house
        .engine
        .describe(&table.table)
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.data_type)
        .collect();
    assert_eq!(
        types,
        ["Utf8", "Decimal128(38, 2)", "Utf8", "Timestamp(µs)", "Int64", "Float64", "Boolean"]
    );
    let shown = house.csv(slice("d", None, None, None, None), vec![table]).await.unwrap();
    assert_eq!(shown, rows);
}

/// The first ten thousand rows are numbers, and then comes one that would change.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_would_change_ends_the_read_by_its_row() {
    let house = house();
    for late in ["007", "078051120x", "1.0", "x 1"] {
        let mut text = String::from("id,n\n");
        (0..10_000).for_each(|i| text.push_str(&format!("{i},{i}\n")));
        text.push_str(&format!("10000,{late}\n"));
        std::fs::write(house.path("late.csv"), text).unwrap();
        let table = governed(&house, csv_table(&house, "late.csv"), &[]).await.unwrap();
        let error = house
            .csv(slice("d", None, None, None, None), vec![table.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{error:?}");
        let operator = error.operator.unwrap();
        assert!(operator.contains("row 10001 of column `n`"), "{operator}");
        assert!(!operator.contains(late) && !error.public.contains(late), "{operator}");
        let others = house.csv(slice("d", Some(&["id"]), None, None, None), vec![table]).await.unwrap();
        assert_eq!(others.lines().count(), 10_002);
    }
}

/// Neither caller nor operator reads a raw value in the text of an error from below the mask.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_below_the_mask_quotes_nothing() {
    let house = house();
    let mut people = house.governed("people", &[("ssn", token())]).await;
    for filter in [
        "CAST(ssn AS bigint) = 1",
        "CAST(email AS date) > DATE '2024-01-01'",
        "to_timestamp(ssn) < now()",
    ] {
        people.row_filter = Some(filter.to_owned());
        let error = house
            .csv(slice("people", None, None, None, None), vec![people.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{filter}: {error:?}");
        let said = format!("{error:?}");
        assert!(SSNS.iter().chain(&EMAILS).all(|v| !said.contains(v)), "{filter}: {said}");
    }
    std::fs::write(house.path("bad.csv"), "name,ssn\nAda,078-05-1120\nBob,219-09-9999,x\n").unwrap();
    let said = format!("{:?}", governed(&house, csv_table(&house, "bad.csv"), &[]).await.unwrap_err());
    assert!(!said.contains("219-09"), "{said}");
    let text: String = (0..20_000).map(|i| format!("{i},{i}\n")).collect();
    std::fs::write(house.path("bad.csv"), format!("name,ssn\n{text}Bob,219-09-9999,x\n")).unwrap();
    let table = governed(&house, csv_table(&house, "bad.csv"), &[]).await.unwrap();
    let said = format!(
        "{:?}",
        house.csv(slice("d", None, None, None, None), vec![table]).await.unwrap_err()
    );
    assert!(!said.contains("219-09"), "{said}");
}

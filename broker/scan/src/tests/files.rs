//! Files that change, files that differ, and values that must come back as they were.

use chunk_port::ScanErrorKind;
use datafusion::execution::TaskContext;
use futures::TryStreamExt;

use super::*;
use crate::engine::fault;
use crate::source::files::FileTable;
use crate::source::{RawTable, Want, WantColumn};

fn csv_table(house: &House, name: &str) -> Table {
    Table {
        dataset: "d".to_owned(),
        connection: "files".to_owned(),
        source: Source::Files {
            root: house.folder.path().to_owned(),
            path: house.path(name),
            format: FileFormat::Csv,
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
    let written = std::fs::metadata(house.path("a.csv")).unwrap().modified().unwrap();
    std::fs::write(house.path("a.csv"), "ssn,name\n078-05-1120,Ada\n").unwrap();
    let error = read(&table).await.unwrap_err();
    assert!(error.public.contains("has changed since"), "{error:?}");
    // As long as before, and dated back.
    let file = std::fs::File::options().write(true).open(house.path("a.csv")).unwrap();
    file.set_modified(written).unwrap();
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

fn typed(house: &House, name: &str, format: FileFormat) -> Table {
    Table {
        dataset: "d".to_owned(),
        connection: "files".to_owned(),
        source: Source::Files {
            root: house.folder.path().to_owned(),
            path: house.path(name),
            format,
        },
    }
}

/// What the broker delivers it reads again, and the attacks are those on Parquet.
#[tokio::test(flavor = "multi_thread")]
async fn no_attack_shows_a_raw_value_of_any_format() {
    let house = house();
    for (name, delivered, format) in [
        ("people.csv", Format::Csv, FileFormat::Csv),
        ("people.jsonl", Format::Ndjson, FileFormat::Ndjson),
        ("people.arrow", Format::Arrow, FileFormat::Arrow),
    ] {
        let people = house.governed("people", &[]).await;
        let (bytes, _, _) = house
            .fetch(order(slice("people", None, None, None, None), vec![people], delivered))
            .await
            .unwrap();
        std::fs::write(house.path(name), bytes).unwrap();
        let mut table = typed(&house, name, format);
        table.dataset = "people".to_owned();
        attacks::withstands(&house.engine, table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_ndjson_comes_back() {
    let house = house();
    let lines = concat!(
        "{\"i\": 1, \"m\": 12.50, \"f\": 1, \"s\": \"a\\u00e9\\n\\\"b\", \"b\": true, \"d\": \"2024-02-29\", \"t\": \"2024-02-29 01:02:03.5\", \"n\": {\"a\": [1, 2]}, \"x\": 1, \"big\": 12345678901234567890}\n",
        "\n",
        "{\"s\": \"\", \"i\": -9223372036854775808, \"f\": 0.25, \"m\": -0.05, \"late\": null}\r\n",
        "{\"i\": null, \"f\": 1e300, \"n\": [], \"x\": \"1\", \"b\": false, \"late\": \"007\"}",
    );
    std::fs::write(house.path("a.ndjson"), lines).unwrap();
    let table = governed(&house, typed(&house, "a.ndjson", FileFormat::Ndjson), &[]).await.unwrap();
    assert_eq!(
        types(&house.engine, &table.table).await,
        "Int64 Decimal128(38, 2) Float64 Utf8 Boolean Date32 Timestamp(µs) Utf8 Utf8 Utf8 Utf8"
    );
    let shown = house.csv(slice("d", None, None, None, None), vec![table.clone()]).await.unwrap();
    assert_eq!(
        shown,
        "i,m,f,s,b,d,t,n,x,big,late\n\
         1,12.50,1.0,\"aé\n\"\"b\",true,2024-02-29,2024-02-29T01:02:03.500000,\"{\"\"a\"\": [1, 2]}\",1,12345678901234567890,\n\
         -9223372036854775808,-0.05,0.25,\"\",,,,,,,\n\
         ,,1e300,,false,,,[],1,,007\n"
    );
    let counted = house.csv(sql("SELECT count(*) AS n FROM d"), vec![table.clone()]).await.unwrap();
    assert_eq!(counted, "n\n3\n");
    let first = house
        .csv(slice("d", Some(&["late", "i"]), None, None, Some(1)), vec![table])
        .await
        .unwrap();
    assert_eq!(first, "late,i\n,1\n");
}

/// Ten thousand lines are alike, and then comes one that is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_does_not_fit_ends_the_read_by_file_and_line() {
    let house = house();
    for (late, why) in [
        ("{\"id\": 7, \"n\": \"078-05-1120\"}", "column `n` is not written as Int64"),
        ("{\"id\": 7, \"n\": 78051120.5}", "column `n` is not written as Int64"),
        ("{\"id\": 7, \"ssn\": \"078-05-1120\"}", "a field that the first lines do not have"),
        ("{\"id\": 7, \"id\": 78051120}", "a field is there twice"),
        ("{\"id\": 7, \"n\": 78051120", "not one JSON object"),
        ("[78051120]", "not one JSON object"),
        ("{\"id\": 7} {\"n\": 78051120}", "not one JSON object"),
        ("{\"id\": 7, \"n\": \"\\ud800 078\"}", "not one JSON object"),
    ] {
        let mut text: String = (0..10_000).map(|i| format!("{{\"id\": {i}, \"n\": {i}}}\n")).collect();
        text.push('\n');
        text.push_str(late);
        std::fs::write(house.path("late.ndjson"), text).unwrap();
        let table = governed(&house, typed(&house, "late.ndjson", FileFormat::Ndjson), &[])
            .await
            .unwrap();
        let error = house
            .csv(slice("d", None, None, None, None), vec![table.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{late}");
        let operator = error.operator.unwrap();
        assert!(
            operator.contains("late.ndjson: line 10002: ") && operator.contains(why),
            "{late}: {operator}"
        );
        assert!(
            !operator.contains("078") && !operator.contains("7805") && !error.public.contains("78"),
            "{operator}"
        );
        let early = house
            .csv(slice("d", Some(&["id"]), None, None, Some(9000)), vec![table])
            .await
            .unwrap();
        assert_eq!(early.lines().count(), 9001);
    }
    std::fs::write(house.path("bad.ndjson"), "{\"id\": 1}\n{\"id\": 078051120}\n").unwrap();
    let error = governed(&house, typed(&house, "bad.ndjson", FileFormat::Ndjson), &[])
        .await
        .unwrap_err();
    assert!(error.operator.as_ref().unwrap().contains("line 2"), "{error:?}");
    assert!(!format!("{error:?}").contains("07805"), "{error:?}");
}

/// Fields are found by their names, whatever their order in a line or file.
#[tokio::test(flavor = "multi_thread")]
async fn fields_of_ndjson_are_masked_by_name() {
    let house = house();
    std::fs::create_dir(house.path("many")).unwrap();
    std::fs::write(house.path("many/1.ndjson"), "{\"name\": \"Ada\", \"ssn\": \"078-05-1120\"}\n").unwrap();
    std::fs::write(house.path("many/2.jsonl"), "{\"ssn\": \"219-09-9999\", \"name\": \"Bob\"}\n").unwrap();
    std::fs::write(house.path("many/3.csv"), "ssn\n457-55-5462\n").unwrap();
    let table = governed(&house, typed(&house, "many", FileFormat::Ndjson), &[("ssn", last4())])
        .await
        .unwrap();
    let shown = house.csv(slice("d", None, None, None, None), vec![table]).await.unwrap();
    assert_eq!(shown, "name,ssn\nAda,*******1120\nBob,*******9999\n");
}

fn arrow_file(path: &std::path::Path, batches: &[RecordBatch]) {
    use datafusion::arrow::ipc::writer::FileWriter;
    let mut writer = FileWriter::try_new(std::fs::File::create(path).unwrap(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_files_are_read_by_their_batches_and_never_past_their_end() {
    use datafusion::arrow::array::{DictionaryArray, StringViewArray};
    use datafusion::arrow::datatypes::Int32Type;
    let house = house();
    let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for n in 0..4 {
        lists.values().append_value(format!("t{n}"));
        lists.append(n != 1);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef, true),
        ("word", Arc::new(words), true),
        (
            "view",
            Arc::new(StringViewArray::from(vec![
                Some("x"),
                None,
                Some("a text that is longer than twelve"),
                Some(""),
            ])),
            true,
        ),
        ("tags", Arc::new(lists.finish()), true),
    ])
    .unwrap();
    arrow_file(&house.path("a.arrow"), &[batch.slice(0, 2), batch.slice(2, 2)]);
    let table = governed(&house, typed(&house, "a.arrow", FileFormat::Arrow), &[]).await.unwrap();
    assert_eq!(types(&house.engine, &table.table).await, "Int64 Utf8 Utf8 Utf8");
    let query = || slice("d", Some(&["tags", "id", "word", "view"]), None, None, None);
    let expected = "tags,id,word,view\n[t0],1,a,x\n,2,,\n[t2],3,b,a text that is longer than twelve\n[t3],4,a,\"\"\n";
    assert_eq!(house.csv(query(), vec![table.clone()]).await.unwrap(), expected);
    let planned = house.plan(query(), vec![table.clone()]).await.unwrap();
    assert_eq!(planned.rows_estimated, Some(4));
    assert_eq!(
        house.csv(sql("SELECT count(*) AS n FROM d"), vec![table.clone()]).await.unwrap(),
        "n\n4\n"
    );
    // Cut anywhere, or with a footer that asks for more than there is, it is not read as if it were whole.
    let whole = std::fs::read(house.path("a.arrow")).unwrap();
    for length in [0, 5, 6, 19, 40, whole.len() / 2, whole.len() - 1] {
        std::fs::write(house.path("a.arrow"), &whole[..length]).unwrap();
        let error = house.csv(query(), vec![table.clone()]).await.unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{length}: {error:?}");
    }
    for at in (whole.len() - 300..whole.len() - 10).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 0x7f;
        std::fs::write(house.path("a.arrow"), changed).unwrap();
        // Refused, or by luck the same: no other rows, no crash of the broker.
        match house.csv(query(), vec![table.clone()]).await {
            Ok(shown) => assert_eq!(shown, expected, "{at}"),
            Err(error) => assert!(!error.public.contains("t0"), "{error:?}"),
        }
    }
    // A file of other columns than the first.
    std::fs::create_dir(house.path("two")).unwrap();
    arrow_file(&house.path("two/1.arrow"), &[batch.project(&[0, 1]).unwrap()]);
    arrow_file(&house.path("two/2.arrow"), &[batch.project(&[1, 0]).unwrap()]);
    let error = governed(&house, typed(&house, "two", FileFormat::Arrow), &[]).await.unwrap_err();
    assert!(error.operator.unwrap().contains("other columns"));
}

/// A stream that ends early is told from one that is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_short_is_no_table() {
    let house = house();
    let people = house.governed("people", &[]).await;
    let (bytes, _, _) = house
        .fetch(order(slice("people", None, None, None, None), vec![people], Format::Arrow))
        .await
        .unwrap();
    std::fs::write(house.path("p.arrow"), &bytes).unwrap();
    let table = governed(&house, typed(&house, "p.arrow", FileFormat::Arrow), &[]).await.unwrap();
    let query = || slice("d", Some(&["id"]), None, None, None);
    assert_eq!(house.csv(query(), vec![table.clone()]).await.unwrap(), "id\n1\n2\n3\n4\n5\n6\n");
    let limited = house
        .csv(slice("d", Some(&["id"]), None, None, Some(2)), vec![table.clone()])
        .await
        .unwrap();
    assert_eq!(limited, "id\n1\n2\n");
    for length in [4, 100, bytes.len() - 9] {
        std::fs::write(house.path("p.arrow"), &bytes[..length]).unwrap();
        assert!(house.csv(query(), vec![table.clone()]).await.is_err(), "{length}");
    }
}

/// Chunks one after another are what comes in one piece. A cut made again is the same cut while the files and what the query gives for
/// them are the same.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_cut_the_same_again_until_they_change() {
    let house = house();
    std::fs::create_dir(house.path("days")).unwrap();
    for day in 0..3 {
        let rows: String = (0..20)
            .map(|n| format!("{},Name {n},2020-01-0{}\n", day * 20 + n, day + 1))
            .collect();
        std::fs::write(house.path(&format!("days/{day}.csv")), format!("id,name,at\n{rows}")).unwrap();
    }
    let table = governed(&house, csv_table(&house, "days"), &[("name", redact())]).await.unwrap();
    let asked = |filter: Option<&str>, row_filter: Option<&str>| {
        let table = GovernedTable {
            row_filter: row_filter.map(str::to_owned),
            ..table.clone()
        };
        order(slice("d", None, filter, None, None), vec![table], Format::Csv)
    };
    let cut = house.engine.cut(asked(None, None), 1).await.unwrap();
    assert_eq!(cut.count(), 3);
    let (whole, _, _) = house.fetch(asked(None, None)).await.unwrap();
    let whole = String::from_utf8(whole).unwrap();
    let mut rows = String::new();
    for chunk in 0..3 {
        let mut frames = cut.open(chunk, asked(None, None)).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(frame) = frames.stream.next().await {
            bytes.extend_from_slice(&frame.unwrap().bytes);
        }
        let text = String::from_utf8(bytes).unwrap();
        rows.push_str(text.split_once('\n').unwrap().1);
    }
    assert_eq!(rows, whole.split_once('\n').unwrap().1);
    assert!(rows.contains("[redacted]") && !rows.contains("Name"));

    let state = async |filter, row_filter| {
        let cut = house.engine.cut(asked(filter, row_filter), 1).await.unwrap();
        assert_eq!(cut.count(), 3, "{filter:?} {row_filter:?}");
        cut.state()
    };
    assert!(cut.state().is_some());
    assert_eq!(state(None, None).await, cut.state());
    assert!(state(Some("name LIKE '[%' AND abs(id) > 3"), Some("id < 50")).await.is_some());
    // What looks at the clock is another result at another time.
    assert_eq!(state(Some("at < now()"), None).await, None);
    assert_eq!(state(None, Some("at < current_date")).await, None);
    std::fs::write(house.path("days/1.csv"), "id,name,at\n7,Eve,2020-01-02\n").unwrap();
    assert_ne!(state(None, None).await, cut.state());
    let mut frames = cut.open(1, asked(None, None)).await.unwrap();
    let changed = frames.stream.next().await.unwrap().unwrap_err();
    assert!(
        changed.kind == ScanErrorKind::Source && changed.public.contains("has changed since"),
        "{changed:?}"
    );
}

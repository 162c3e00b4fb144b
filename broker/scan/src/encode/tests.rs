//! Each format read back by a reader that is not ours, and the exact text of lines.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::*;
use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;

fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Schema::new(fields).with_metadata([("source".to_owned(), "its own".to_owned())].into());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn every_kind() -> RecordBatch {
    let mut list = ListBuilder::new(Int64Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    list.append_value([None::<i64>; 0]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None, Some("")]));
    let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_value("seven");
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("plain"), None, Some("")]));
    batch_of(vec![
        ("id", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("big", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
        ("text", Arc::clone(&texts)),
        ("odd", Arc::new(StringArray::from(vec!["a,b", "say \"hi\"", "zwei\nZeilen äöü 😀"]))),
        (
            "word",
            cast(&texts, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))).unwrap(),
        ),
        (
            "amount",
            Arc::new(
                Decimal128Array::from(vec![Some(-1_250), None, Some(5)])
                    .with_precision_and_scale(12, 2)
                    .unwrap(),
            ),
        ),
        ("rate", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), Some(1e300)]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_724), None, Some(-1)]))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_704_164_645_120_000), None, Some(0)]).with_timezone("+02:00")),
        ),
        (
            "local",
            Arc::new(TimestampSecondArray::from(vec![Some(1_704_164_645), None, Some(0)])),
        ),
        (
            "hour",
            Arc::new(Time64MicrosecondArray::from(vec![Some(3_600_000_001), None, Some(0)])),
        ),
        (
            "raw",
            Arc::new(BinaryArray::from(vec![Some(b"\x00\xFF".as_slice()), None, Some(b"")])),
        ),
        ("list", Arc::new(list.finish())),
        (
            "row",
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("v", DataType::Utf8, true)), inner)])),
        ),
        ("map", Arc::new(map.finish())),
        ("none", Arc::new(NullArray::new(3))),
    ])
}

fn metadata() -> Vec<(String, String)> {
    vec![
        ("origin".to_owned(), "log.example.test".to_owned()),
        ("request".to_owned(), "rq_1".to_owned()),
    ]
}

fn encode(format: Format, batches: &[RecordBatch]) -> Bytes {
    let mut encoder = encoder(format, batches[0].schema(), &metadata()).unwrap();
    let mut out = Vec::new();
    for batch in batches {
        encoder.write(batch).unwrap();
        out.extend_from_slice(&encoder.take());
    }
    assert!(encoder.take().is_empty());
    out.extend_from_slice(&encoder.finish().unwrap());
    out.into()
}

fn lines(format: Format, batches: &[RecordBatch]) -> String {
    String::from_utf8(encode(format, batches).to_vec()).unwrap()
}

fn read_parquet(bytes: Bytes) -> (Vec<RecordBatch>, Vec<(String, Option<String>)>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let file = reader.metadata().file_metadata();
    let pairs = file
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|kv| (kv.key.clone(), kv.value.clone()))
        .collect();
    (reader.build().unwrap().map(Result::unwrap).collect(), pairs)
}

/// Parquet cannot hold a column without a type in every reader; the rest must come back as it went.
fn same(a: &RecordBatch, b: &RecordBatch) {
    assert_eq!(a.num_rows(), b.num_rows());
    for (field, (a, b)) in a.schema().fields().iter().zip(a.columns().iter().zip(b.columns())) {
        assert_eq!(a.data_type(), b.data_type(), "{field}");
        assert_eq!(&a.to_data(), &b.to_data(), "{field}");
    }
}

#[test]
fn parquet_reads_back() {
    let batch = every_kind();
    let (read, pairs) = read_parquet(encode(Format::Parquet, &[batch.clone(), batch.slice(1, 2)]));
    let whole = concat_batches(&read[0].schema(), &read).unwrap();
    same(&whole.slice(0, 3), &batch);
    same(&whole.slice(3, 2), &batch.slice(1, 2));
    assert_eq!(pairs[0], ("origin".to_owned(), Some("log.example.test".to_owned())));
    assert_eq!(pairs[1], ("request".to_owned(), Some("rq_1".to_owned())));
    assert!(
        !pairs.iter().any(|(key, _)| key == "source"),
        "the source's metadata stays with the source"
    );
}

#[test]
fn arrow_reads_back() {
    let batch = every_kind();
    let bytes = encode(Format::Arrow, &[batch.clone(), batch.slice(1, 2)]);
    let reader = StreamReader::try_new(bytes.as_ref(), None).unwrap();
    assert_eq!(reader.schema().metadata(), &metadata().into_iter().collect());
    let read: Vec<_> = reader.map(Result::unwrap).collect();
    same(&read[0], &batch);
    same(&read[1], &batch.slice(1, 2));
}

#[test]
fn a_slice_writes_only_its_rows() {
    let batch = batch_of(vec![(
        "v",
        Arc::new(StringArray::from(vec!["secret-before", "kept", "secret-after"])),
    )])
    .slice(1, 1);
    for format in Format::ALL {
        let bytes = encode(format, std::slice::from_ref(&batch));
        assert!(!bytes.windows(6).any(|w| w == b"secret"), "{format:?}");
    }
}

#[test]
fn csv_is_exact() {
    let expected = "\
id,big,text,odd,word,amount,rate,ok,day,at,local,hour,raw,list,row,map,none
-9223372036854775808,18446744073709551615,plain,\"a,b\",plain,-12.50,0.1,true,2024-01-02,2024-01-02T03:04:05.120000Z,2024-01-02T03:04:05,01:00:00.000001,00ff,\"[1,null]\",\"{\"\"v\"\":\"\"a\\\"\"b\"\"}\",\"{\"\"7\"\":\"\"seven\"\"}\",
,,,\"say \"\"hi\"\"\",,,NaN,,,,,,,,\"{\"\"v\"\":null}\",,
9223372036854775807,0,\"\",\"zwei
Zeilen äöü 😀\",\"\",0.05,1e300,false,1969-12-31,1970-01-01T00:00:00.000000Z,1970-01-01T00:00:00,00:00:00.000000,,[],\"{\"\"v\"\":\"\"\"\"}\",{},
";
    assert_eq!(lines(Format::Csv, &[every_kind()]), expected);
}

#[test]
fn ndjson_is_exact() {
    let expected = r#"{"id":-9223372036854775808,"big":18446744073709551615,"text":"plain","odd":"a,b","word":"plain","amount":-12.50,"rate":0.1,"ok":true,"day":"2024-01-02","at":"2024-01-02T03:04:05.120000Z","local":"2024-01-02T03:04:05","hour":"01:00:00.000001","raw":"00ff","list":[1,null],"row":{"v":"a\"b"},"map":{"7":"seven"},"none":null}
{"id":null,"big":null,"text":null,"odd":"say \"hi\"","word":null,"amount":null,"rate":null,"ok":null,"day":null,"at":null,"local":null,"hour":null,"raw":null,"list":null,"row":{"v":null},"map":null,"none":null}
{"id":9223372036854775807,"big":0,"text":"","odd":"zwei\nZeilen äöü 😀","word":"","amount":0.05,"rate":1e300,"ok":false,"day":"1969-12-31","at":"1970-01-01T00:00:00.000000Z","local":"1970-01-01T00:00:00","hour":"00:00:00.000000","raw":"","list":[],"row":{"v":""},"map":{},"none":null}
"#;
    let text = lines(Format::Ndjson, &[every_kind()]);
    assert_eq!(text, expected);
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object());
    }
}

#[test]
fn nothing_is_still_a_file() {
    let empty = every_kind().slice(0, 0);
    for batches in [Vec::new(), vec![empty.clone()]] {
        let finish = |format| {
            let mut encoder = encoder(format, empty.schema(), &metadata()).unwrap();
            batches.iter().for_each(|batch| encoder.write(batch).unwrap());
            encoder.finish().unwrap()
        };
        let (read, _) = read_parquet(finish(Format::Parquet));
        assert!(read.is_empty());
        assert!(finish(Format::Csv).starts_with(b"id,big,text,"));
        assert_eq!(finish(Format::Ndjson), "");
        let arrow = finish(Format::Arrow);
        let reader = StreamReader::try_new(arrow.as_ref(), None).unwrap();
        assert_eq!(reader.schema().fields(), empty.schema().fields());
        assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 0);
    }
}

#[test]
fn the_same_batches_give_the_same_bytes() {
    let batches = [every_kind(), many(5_000), every_kind()];
    for format in Format::ALL {
        assert_eq!(encode(format, &batches[..1]), encode(format, &batches[..1]));
        assert_eq!(encode(format, &batches[1..2]), encode(format, &batches[1..2]));
    }
}

fn many(rows: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let noise: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| {
        (1..8)
            .map(|k| format!("{:016x}", (n * 8 + k).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) ^ n << 20))
            .collect::<String>()
    })));
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..rows).map(|n| ["red", "green", "blue"][n as usize % 3]),
    ));
    batch_of(vec![("id", ids), ("noise", noise), ("word", words)])
}

#[test]
fn parquet_leaves_memory_group_by_group() {
    let batch = many(50_000);
    let mut encoder = encoder(Format::Parquet, batch.schema(), &[]).unwrap();
    let (mut largest, mut out) = (0, Vec::new());
    for _ in 0..20 {
        encoder.write(&batch).unwrap();
        let piece = encoder.take();
        largest = largest.max(piece.len());
        out.extend_from_slice(&piece);
    }
    out.extend_from_slice(&encoder.finish().unwrap());
    assert!(largest > 0 && largest < 48 * 1024 * 1024, "{largest}");
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(out)).unwrap();
    let meta = Arc::clone(reader.metadata());
    assert!(meta.num_row_groups() > 1);
    assert_eq!(meta.file_metadata().num_rows(), 1_000_000);
    let has_dictionary = |column: usize| meta.row_group(0).column(column).dictionary_page_offset().is_some();
    assert_eq!((has_dictionary(0), has_dictionary(1), has_dictionary(2)), (false, false, true));
    assert_eq!(reader.build().unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>(), 1_000_000);
}

#[test]
fn a_continuation_has_no_header_and_a_lone_null_keeps_its_line() {
    let batch = batch_of(vec![("a,b", Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef)]);
    assert_eq!(lines(Format::Csv, std::slice::from_ref(&batch)), "\"a,b\"\n1\n\"\"\n");
    let mut rest = continuation(Format::Csv, batch.schema(), &[]).unwrap();
    rest.write(&batch).unwrap();
    assert_eq!(rest.finish().unwrap(), "1\n\"\"\n");
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    let union = UnionFields::from_fields(vec![Field::new("n", DataType::Int32, true)]);
    let schema = Arc::new(Schema::new(vec![Field::new("u", DataType::Union(union, UnionMode::Sparse), true)]));
    for format in [Format::Csv, Format::Ndjson] {
        let error = encoder(format, Arc::clone(&schema), &[]).err().unwrap().to_string();
        assert!(error.starts_with("column `u` has type `Union"), "{error}");
    }
    for format in Format::ALL {
        let mut other = encoder(format, every_kind().schema(), &[]).unwrap();
        assert!(matches!(other.write(&many(1)), Err(EncodeError::Schema)), "{format:?}");
    }
}

/// A reader of RFC 4180 in a few lines: rows of fields, `None` where nothing stands between two commas.
fn read_csv(text: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = vec![vec![]];
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let quoted = chars.next_if_eq(&'"').is_some();
        let mut field = String::new();
        loop {
            match chars.next().unwrap() {
                '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
                '"' if quoted => {
                    let end = chars.next().unwrap();
                    rows.last_mut().unwrap().push(Some(field));
                    if end == '\n' {
                        rows.push(vec![]);
                    }
                    break;
                }
                end @ (',' | '\n') if !quoted => {
                    rows.last_mut().unwrap().push((!field.is_empty()).then_some(field));
                    if end == '\n' {
                        rows.push(vec![]);
                    }
                    break;
                }
                other => field.push(other),
            }
        }
    }
    rows.pop();
    rows
}

proptest! {
    #[test]
    fn lines_read_back(values in prop::collection::vec((prop::option::of("[a-c,\"\n\r\\\\\t\u{1}\u{7F}ä😀]{0,6}"), any::<Option<i128>>()), 1..12)) {
        let texts: ArrayRef = Arc::new(values.iter().map(|(text, _)| text.as_deref()).collect::<StringArray>());
        let decimals: Decimal128Array = values.iter().map(|(_, n)| n.map(|n| n % 10i128.pow(38))).collect();
        let batch = batch_of(vec![("t", texts), ("n", Arc::new(decimals.clone().with_precision_and_scale(38, 6).unwrap()))]);
        let number = |row: usize| decimals.is_valid(row).then(|| Decimal128Type::format_decimal(decimals.value(row), 38, 6));
        let csv = read_csv(&lines(Format::Csv, std::slice::from_ref(&batch)));
        prop_assert_eq!(csv.len(), values.len() + 1);
        for (row, line) in lines(Format::Ndjson, std::slice::from_ref(&batch)).lines().enumerate() {
            prop_assert_eq!(&csv[row + 1][0], &values[row].0);
            prop_assert_eq!(&csv[row + 1][1], &number(row));
            #[derive(serde::Deserialize)]
            struct Row {
                t: Option<String>,
            }
            prop_assert_eq!(&serde_json::from_str::<Row>(line).unwrap().t, &values[row].0);
            let expected = number(row).unwrap_or_else(|| "null".to_owned());
            prop_assert!(line.ends_with(&format!(",\"n\":{expected}}}")), "{}", line);
        }
    }

    #[test]
    fn days_and_dates_agree_with_chrono(day in -90_000_000i32..90_000_000) {
        let date = chrono::NaiveDate::from_epoch_days(day).unwrap();
        let mut out = Vec::new();
        iso::date(&mut out, day.into());
        prop_assert_eq!(String::from_utf8(out).unwrap(), date.format("%Y-%m-%d").to_string());
        let (year, month, of_month) = iso::civil(day.into());
        prop_assert_eq!(iso::days(year, month, of_month), i64::from(day));
    }

    #[test]
    fn instants_agree_with_chrono(ticks in any::<i64>()) {
        let mut out = Vec::new();
        iso::timestamp(&mut out, ticks, TimeUnit::Nanosecond, true, false);
        let expected = chrono::DateTime::<chrono::Utc>::from_timestamp_nanos(ticks);
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected.format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string());
    }

    #[test]
    fn whole_numbers_are_exact(value in any::<i128>(), small in any::<i64>(), scale in -5i8..38) {
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        number::decimal(&mut wide, value, 0, false);
        number::signed(&mut narrow, small);
        prop_assert_eq!(String::from_utf8(wide).unwrap(), value.to_string());
        prop_assert_eq!(String::from_utf8(narrow).unwrap(), small.to_string());
        let mut scaled = Vec::new();
        number::decimal_256(&mut scaled, i256::from_i128(value), scale.max(0), false);
        prop_assert_eq!(String::from_utf8(scaled).unwrap(), Decimal256Type::format_decimal(i256::from_i128(value), 76, scale.max(0)));
    }
}

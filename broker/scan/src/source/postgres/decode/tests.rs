//! Values as the server writes them, and streams cut anywhere.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::util::display::array_value_to_string;
use proptest::prelude::*;

fn stream(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
        for field in row {
            match field {
                None => bytes.extend((-1_i32).to_be_bytes()),
                Some(f) => {
                    bytes.extend(i32::try_from(f.len()).unwrap().to_be_bytes());
                    bytes.extend(f);
                }
            }
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

fn decoder(kinds: &[Kind]) -> Decoder {
    let fields: Vec<Field> = kinds
        .iter()
        .enumerate()
        .map(|(i, k)| Field::new(format!("c{i}"), k.data_type(), true))
        .collect();
    Decoder::new(Arc::new(Schema::new(fields)), kinds, Extremes::Null).unwrap()
}

fn one(kind: Kind, bytes: &[u8]) -> String {
    let mut decoder = decoder(&[kind]);
    decoder.push(&stream(&[vec![Some(bytes.to_vec())]])).unwrap();
    decoder.end().unwrap();
    let batch = decoder.take().unwrap().unwrap();
    array_value_to_string(batch.column(0), 0).unwrap()
}

#[test]
fn values_read_as_the_server_means_them() {
    assert_eq!(one(Kind::Bool, &[1]), "true");
    assert_eq!(one(Kind::Int2, &(-2_i16).to_be_bytes()), "-2");
    assert_eq!(one(Kind::Oid, &u32::MAX.to_be_bytes()), "4294967295");
    assert_eq!(one(Kind::Float8, &1.5_f64.to_be_bytes()), "1.5");
    assert_eq!(one(Kind::Jsonb, b"\x01{\"a\":1}"), "{\"a\":1}");
    assert_eq!(
        one(
            Kind::Uuid,
            &[
                0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11
            ]
        ),
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    );
    assert_eq!(one(Kind::Date, &0_i32.to_be_bytes()), "2000-01-01");
    assert_eq!(one(Kind::Date, &i32::MAX.to_be_bytes()), "");
    assert_eq!(one(Kind::Date, &(-2_451_545_i32).to_be_bytes()), "-4713-11-24");
    assert_eq!(one(Kind::Time, &86_400_000_000_i64.to_be_bytes()), "");
    assert_eq!(one(Kind::Time, &1_i64.to_be_bytes()), "00:00:00.000001");
    assert_eq!(one(Kind::Timestamp, &0_i64.to_be_bytes()), "2000-01-01T00:00:00");
    assert_eq!(one(Kind::TimestampTz, &i64::MIN.to_be_bytes()), "");
    assert_eq!(one(Kind::Text, b"a\xffb"), "a\u{fffd}b");
}

#[test]
fn the_last_printable_day_stands_for_what_cannot_be_printed() {
    assert_eq!(one(Kind::Date, &(LAST_DAY - EPOCH_DAYS - 1).to_be_bytes()), "+262142-12-30");
    assert_eq!(one(Kind::Date, &(LAST_DAY - EPOCH_DAYS).to_be_bytes()), "");
    let end = i64::from(LAST_DAY - EPOCH_DAYS) * DAY_MICROS;
    assert_eq!(one(Kind::Timestamp, &(end - 1).to_be_bytes()), "+262142-12-30T23:59:59.999999");
    assert_eq!(one(Kind::Timestamp, &end.to_be_bytes()), "");
    let printed = |day| array_value_to_string(&datafusion::arrow::array::Date32Array::from(vec![day]), 0).unwrap();
    assert_eq!(
        (printed(FIRST_DAY), printed(LAST_DAY)),
        ("-262143-01-01".to_owned(), "+262142-12-31".to_owned())
    );
}

/// Until they are settled, they compare as they do at the server; then they are null, and nothing else is.
#[test]
fn extremes_are_ordered_and_then_null() {
    let dates = [i32::MIN, -2_451_545, 0, LAST_DAY - EPOCH_DAYS - 1, i32::MAX].map(|v| v.to_be_bytes().to_vec());
    let stamps = [i64::MIN, -211_813_488_000_000_000, 0, 1, i64::MAX].map(|v| v.to_be_bytes().to_vec());
    let times = [0, 1, DAY_MICROS - 1, DAY_MICROS].map(|v| v.to_be_bytes().to_vec());
    let nines = [99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999];
    let numbers = [
        wire_numeric(10, 9, 0x4000, &nines),
        wire_numeric(0, 0, 0, &[]),
        wire_numeric(10, 9, 0, &nines),
        wire_numeric(0, 0, 0xc000, &[]),
    ];
    for (kind, values, lost) in [
        (Kind::Date, dates.to_vec(), 2),
        (Kind::Timestamp, stamps.to_vec(), 2),
        (Kind::TimestampTz, stamps.to_vec(), 2),
        (Kind::Time, times.to_vec(), 1),
        (Kind::Numeric(38, 0), numbers.to_vec(), 1),
    ] {
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind.data_type(), true)]));
        let mut decoder = Decoder::new(schema, &[kind], Extremes::Ordered).unwrap();
        let rows: Vec<_> = values.iter().map(|v| vec![Some(v.clone())]).collect();
        decoder.push(&stream(&rows)).unwrap();
        let batch = decoder.take().unwrap().unwrap();
        let column = batch.column(0);
        let order = datafusion::arrow::compute::sort_to_indices(column, None, None).unwrap();
        assert!(
            order.values().iter().copied().eq(0..u32::try_from(values.len()).unwrap()),
            "{kind:?}"
        );
        assert_eq!(column.null_count(), 0);
        let settled = settle(column, kind);
        assert_eq!((settled.null_count(), settled.data_type()), (lost, column.data_type()), "{kind:?}");
    }
}

fn wire_numeric(count: u16, weight: i16, sign: u16, groups: &[u16]) -> Vec<u8> {
    let mut bytes = count.to_be_bytes().to_vec();
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(0_u16.to_be_bytes());
    groups.iter().for_each(|g| bytes.extend(g.to_be_bytes()));
    bytes
}

#[test]
fn numerics_keep_every_digit() {
    let kind = Kind::Numeric(18, 4);
    assert_eq!(one(kind, &wire_numeric(0, 0, 0, &[])), "0.0000");
    assert_eq!(one(kind, &wire_numeric(2, 0, 0, &[12, 3400])), "12.3400");
    assert_eq!(one(kind, &wire_numeric(1, -1, 0x4000, &[1])), "-0.0001");
    assert_eq!(one(kind, &wire_numeric(1, 1, 0, &[5])), "50000.0000");
    assert_eq!(one(kind, &wire_numeric(3, 1, 0, &[1, 2, 3])), "10002.0003");
    assert_eq!(one(kind, &wire_numeric(0, 0, 0xc000, &[])), "");
    assert_eq!(one(Kind::Numeric(5, 2), &wire_numeric(2, 0, 0, &[123, 4500])), "123.45");
    let nines = [99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999];
    assert_eq!(one(Kind::Numeric(38, 0), &wire_numeric(10, 9, 0, &nines)), "9".repeat(38));
    // 38 digits that begin and end within a group.
    let between = [9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9000];
    assert_eq!(
        one(Kind::Numeric(38, 1), &wire_numeric(11, 9, 0x4000, &between)),
        format!("-{}.9", "9".repeat(37))
    );
    let refused = |kind, bytes: &[u8]| decoder(&[kind]).push(&stream(&[vec![Some(bytes.to_vec())]])).is_err();
    assert!(refused(Kind::Numeric(37, 0), &wire_numeric(10, 9, 0, &nines)));
    assert!(refused(Kind::Numeric(38, 0), &wire_numeric(1, 90, 0, &[1])));
    assert!(refused(Kind::Numeric(5, 1), &wire_numeric(2, 0, 0, &[1, 1])));
    assert!(refused(Kind::Numeric(5, 1), &wire_numeric(0, 0, 0xd000, &[])));
}

#[test]
fn padding_is_no_part_of_a_value() {
    assert_eq!(one(Kind::Padded, b"a b  "), "a b");
    assert_eq!(one(Kind::Padded, b"   "), "");
    assert_eq!(one(Kind::Text, b"a "), "a ");
}

#[test]
fn what_the_format_does_not_allow_is_refused() {
    assert!(decoder(&[Kind::Int4]).push(b"PGCOPY\n\xff\r\n\x01\0\0\0\0\0\0\0\0").is_err());
    assert!(decoder(&[Kind::Int4]).push(&stream(&[vec![Some(vec![1]), None]])).is_err());
    assert!(decoder(&[Kind::Int4]).push(&stream(&[vec![Some(vec![1, 2])]])).is_err());
    let mut cut = stream(&[vec![Some(vec![0, 0, 0, 1])]]);
    cut.truncate(cut.len() - 2);
    let mut decoder = decoder(&[Kind::Int4]);
    decoder.push(&cut).unwrap();
    assert!(decoder.end().is_err());
}

proptest! {
    #[test]
    fn message_boundaries_do_not_matter(
        rows in proptest::collection::vec((any::<Option<i64>>(), any::<Option<String>>()), 0..40),
        cuts in proptest::collection::vec(1_usize..50, 1..20),
    ) {
        let wire: Vec<_> = rows.iter()
            .map(|(n, t)| vec![n.map(|n| n.to_be_bytes().to_vec()), t.as_ref().map(|t| t.as_bytes().to_vec())])
            .collect();
        let bytes = stream(&wire);
        let mut decoder = decoder(&[Kind::Int8, Kind::Text]);
        let (mut at, mut cut) = (0, cuts.iter().cycle());
        while at < bytes.len() {
            let end = (at + cut.next().unwrap()).min(bytes.len());
            decoder.push(&bytes[at..end]).unwrap();
            at = end;
        }
        decoder.end().unwrap();
        let batch = decoder.take().unwrap();
        prop_assert_eq!(batch.as_ref().map_or(0, RecordBatch::num_rows), rows.len());
        for (i, (n, t)) in rows.iter().enumerate() {
            let batch = batch.as_ref().unwrap();
            prop_assert_eq!(array_value_to_string(batch.column(0), i).unwrap(), n.map(|n| n.to_string()).unwrap_or_default());
            prop_assert_eq!(array_value_to_string(batch.column(1), i).unwrap(), t.clone().unwrap_or_default());
        }
    }
}

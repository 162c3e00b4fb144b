//! Budgets, memory, and readers that leave.

use std::time::Duration;

use chunk_port::ScanErrorKind;

use super::*;

/// People enough that nothing fits in one frame.
fn crowd(house: &House, rows: i64) -> Table {
    let path = house.path("crowd.parquet");
    let batches: Vec<RecordBatch> = (0..rows / 50_000)
        .map(|part| {
            let ids: Vec<i64> = (part * 50_000..(part + 1) * 50_000).collect();
            let texts: Vec<String> = ids
                .iter()
                .map(|i| format!("{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)))
                .collect();
            RecordBatch::try_from_iter([
                ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
                ("text", Arc::new(StringArray::from(texts)) as ArrayRef),
            ])
            .unwrap()
        })
        .collect();
    parquet(&path, &batches);
    Table {
        dataset: "crowd".to_owned(),
        connection: "files".to_owned(),
        source: Source::Parquet { path },
    }
}

fn crowd_order(table: Table, query: Query, format: Format) -> ScanOrder {
    let columns = ["id", "text"]
        .map(|n| GovernedColumn {
            name: n.to_owned(),
            class: None,
            treatment: Treatment::Open,
        })
        .to_vec();
    order(
        query,
        vec![GovernedTable {
            table,
            columns,
            row_filter: None,
        }],
        format,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_never_cut_off_silently() {
    let house = house();
    let table = house.governed("people", &[]).await;
    for (rows, bytes, enough) in [(6, 1 << 20, true), (5, 1 << 20, false), (0, 1 << 20, false), (6, 10, false)] {
        let mut order = order(slice("people", None, None, None, None), vec![table.clone()], Format::Csv);
        order.budget = Budget {
            rows,
            bytes,
            duration_s: 60,
        };
        match house.fetch(order).await {
            Ok((_, found, _)) => assert!(enough && found == 6),
            Err(error) => assert!(!enough && error.kind == ScanErrorKind::Limit, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_come_in_order_and_whole() {
    let house = house();
    let table = crowd(&house, 1_000_000);
    for format in [Format::Csv, Format::Parquet] {
        let first = house
            .fetch(crowd_order(table.clone(), slice("crowd", None, None, None, None), format))
            .await
            .unwrap();
        let second = house
            .fetch(crowd_order(table.clone(), slice("crowd", None, None, None, None), format))
            .await
            .unwrap();
        assert_eq!(first.1, 1_000_000);
        assert!(first.0 == second.0, "the same request gives the same bytes");
        if format == Format::Csv {
            let text = String::from_utf8(first.0).unwrap();
            for (n, line) in text.lines().skip(1).enumerate() {
                assert_eq!(line.split(',').next(), Some(n.to_string().as_str()));
            }
        }
    }
    let limited = house
        .fetch(crowd_order(
            table,
            slice("crowd", None, Some("id >= 100000"), None, Some(70_000)),
            Format::Csv,
        ))
        .await
        .unwrap();
    assert_eq!(limited.1, 70_000);
    assert!(limited.0.starts_with(b"id,text\n100000,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_and_one_that_leaves_stops_the_scan() {
    let house = house();
    let table = crowd(&house, 500_000);
    let mut slow = crowd_order(table.clone(), slice("crowd", None, None, None, None), Format::Csv);
    slow.budget.duration_s = 1;
    let mut frames = house.engine.open(slow).await.unwrap();
    assert!(frames.stream.next().await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut last = None;
    while let Some(item) = frames.stream.next().await {
        last = Some(item);
    }
    assert_eq!(last.unwrap().unwrap_err().kind, ScanErrorKind::Limit);
    let left = crowd_order(table, slice("crowd", None, None, None, None), Format::Csv);
    let mut frames = house.engine.open(left).await.unwrap();
    let counts = Arc::downgrade(&frames.counts);
    assert!(frames.stream.next().await.unwrap().is_ok());
    drop(frames);
    // The task held the counts; when they are gone, so is everything it read from.
    for _ in 0..200 {
        if counts.upgrade().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the scan goes on without a reader");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_spills_and_at_last_is_refused() {
    let house = house_with(&Settings {
        memory_bytes: 24 << 20,
        threads: 2,
        ..Settings::default()
    });
    let table = crowd(&house, 1_000_000);
    let sorted = crowd_order(table.clone(), sql("SELECT id, text FROM crowd ORDER BY text"), Format::Csv);
    assert_eq!(house.fetch(sorted).await.unwrap().1, 1_000_000);
    let house = house_with(&Settings {
        memory_bytes: 1 << 20,
        spill_bytes: 1 << 20,
        threads: 2,
        ..Settings::default()
    });
    let sorted = crowd_order(table, sql("SELECT id, text FROM crowd ORDER BY text"), Format::Csv);
    assert_eq!(house.fetch(sorted).await.unwrap_err().kind, ScanErrorKind::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_of_tables_ends_with_its_budget() {
    let house = house();
    let table = crowd(&house, 200_000);
    let text = "SELECT count(*) AS n FROM crowd a, crowd b WHERE a.text || b.text = 'x'";
    let mut order = crowd_order(table, sql(text), Format::Csv);
    order.budget.duration_s = 1;
    let started = std::time::Instant::now();
    assert_eq!(house.fetch(order).await.unwrap_err().kind, ScanErrorKind::Limit);
    assert!(started.elapsed() < Duration::from_secs(20));
}

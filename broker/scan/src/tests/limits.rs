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
        source: Source::Files {
            root: house.folder.path().to_owned(),
            path,
            format: FileFormat::Parquet,
        },
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

/// A page of text whose filter, moved down through its subqueries, would be 2^30 terms.
#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_multiply_are_refused_before_they_do() {
    let house = house();
    let chain = |levels: usize| {
        let with: Vec<String> = (1..levels)
            .map(|n| format!("c{n} AS (SELECT x + x AS x FROM c{})", n - 1))
            .collect();
        sql(&format!(
            "WITH c0 AS (SELECT id AS x FROM people), {} SELECT x FROM c{} WHERE x > 1",
            with.join(", "),
            levels - 1
        ))
    };
    let people = house.governed("people", &[]).await;
    let shown = house.csv(chain(4), vec![people.clone()]).await.unwrap();
    assert_eq!(shown, "x\n8\n16\n24\n32\n40\n48\n");
    let error = house.inspect(&chain(30), &["people"]).await.unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Refused, "{error:?}");
    let error = house.plan(chain(30), vec![people]).await.unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Refused, "{error:?}");
}

/// Constants are computed while a query is planned, texts are made longer row by row: both end at their bound.
#[tokio::test(flavor = "multi_thread")]
async fn texts_do_not_grow_out_of_bounds() {
    let house = house();
    let table = crowd(&house, 50_000);
    let doubled = |levels: usize| {
        let with: Vec<String> = (1..levels)
            .map(|n| format!("c{n} AS (SELECT x || x AS x FROM c{} LIMIT 100000)", n - 1))
            .collect();
        format!(
            "WITH c0 AS (SELECT text AS x FROM crowd), {} SELECT max(x) AS x FROM c{}",
            with.join(", "),
            levels - 1
        )
    };
    for text in [
        "SELECT replace(replace(repeat('a', 10000), 'a', repeat('b', 10000)), 'b', repeat('c', 10000)) AS x FROM crowd",
        "SELECT id FROM crowd WHERE levenshtein(replace(repeat('a', 10000), 'a', repeat('b', 100)), replace(repeat('a', 10000), 'a', repeat('c', 100))) > 1",
        "SELECT repeat(text, 9000) AS x FROM crowd",
        "SELECT levenshtein(repeat(text, 20), repeat(text, 21)) AS x FROM crowd",
        "SELECT to_char(DATE '2024-01-01' + CAST(id AS int), repeat('%c', 4000)) AS x FROM crowd",
        &doubled(13),
    ] {
        let error = house
            .fetch(crowd_order(table.clone(), sql(text), Format::Csv))
            .await
            .map(|(bytes, rows, _)| (bytes.len(), rows))
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Limit, "{text}: {error:?}");
    }
    for text in [
        "SELECT text || ' ' || id AS x FROM crowd",
        "SELECT replace(text, 'a', 'bb') || concat(text, repeat('-', 30)) AS x FROM crowd WHERE levenshtein(text, 'abc') > 2",
        "SELECT 'a' || 'b' AS x FROM crowd",
        &doubled(3),
    ] {
        house.fetch(crowd_order(table.clone(), sql(text), Format::Csv)).await.unwrap();
    }
}

/// Joins that find or compare a hundred million pairs and more, most of which hand nothing on: each ends soon after its
/// reader has left, and by itself when its time is up.
#[tokio::test(flavor = "multi_thread")]
async fn every_join_stops_when_nobody_reads() {
    let house = house();
    let table = crowd(&house, 200_000);
    for text in [
        "SELECT count(*) AS n FROM crowd a JOIN crowd b ON a.id / 1000000 = b.id / 1000000",
        "SELECT count(*) AS n FROM crowd a JOIN crowd b ON a.id / 1000000 = b.id / 1000000 AND a.text || b.text = 'x'",
        "SELECT count(*) AS n FROM crowd a LEFT JOIN crowd b ON a.id / 1000000 = b.id / 1000000 AND a.text > b.text || 'x'",
        "SELECT count(*) AS n FROM crowd a WHERE EXISTS (SELECT 1 FROM crowd b WHERE a.id / 1000000 = b.id / 1000000)",
        "SELECT count(*) AS n FROM crowd a WHERE NOT EXISTS (SELECT 1 FROM crowd b WHERE a.id / 1000000 = b.id / 1000000)",
        "SELECT count(*) AS n FROM crowd a WHERE a.id / 1000000 NOT IN (SELECT b.id / 1000000 FROM crowd b)",
        "SELECT count(a.text || b.text) AS n FROM crowd a CROSS JOIN crowd b",
        "SELECT count(*) AS n FROM crowd a JOIN crowd b ON a.text < b.text",
    ] {
        let order = crowd_order(table.clone(), sql(text), Format::Csv);
        let mut timed = order.clone();
        timed.budget.duration_s = 1;
        let frames = house.engine.open(order).await.unwrap();
        let counts = Arc::downgrade(&frames.counts);
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(frames);
        gone(&counts, text).await;
        let mut frames = house.engine.open(timed).await.unwrap();
        let counts = Arc::downgrade(&frames.counts);
        let error = frames.stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Limit, "{text}: {error:?}");
        drop(frames);
        gone(&counts, text).await;
    }
}

/// The task holds the counts: when they are gone, it has ended.
async fn gone(counts: &std::sync::Weak<dyn chunk_port::MaskCounts>, text: &str) {
    for _ in 0..100 {
        if counts.upgrade().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it goes on without a reader: {text}");
}

/// A window over all rows needs them all at once; one that looks at few at a time does not.
#[tokio::test(flavor = "multi_thread")]
async fn windows_take_their_memory_from_the_pool() {
    let house = house_with(&Settings {
        memory_bytes: 48 << 20,
        threads: 2,
        ..Settings::default()
    });
    let table = crowd(&house, 1_000_000);
    for text in [
        "SELECT id, text, sum(id) OVER () AS s FROM crowd",
        "SELECT id, text, ntile(4) OVER (ORDER BY id / 1000000) AS s FROM crowd",
        "SELECT id, text, sum(id) OVER (ORDER BY id / 1000000) AS s FROM crowd",
        "SELECT id, text, sum(id) OVER (ORDER BY id RANGE BETWEEN 900000 PRECEDING AND CURRENT ROW) AS s FROM crowd",
    ] {
        let order = crowd_order(table.clone(), sql(text), Format::Csv);
        let error = house.fetch(order).await.map(|(_, rows, _)| rows).unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Limit, "{text}: {error:?}");
    }
    for text in [
        "SELECT id, row_number() OVER () AS n FROM crowd",
        "SELECT id, sum(id) OVER (ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS s, lag(id, 100) OVER () AS l FROM crowd",
        "SELECT id, sum(id) OVER (PARTITION BY id / 1000 ORDER BY id) AS s FROM crowd",
    ] {
        let order = crowd_order(table.clone(), sql(text), Format::Csv);
        assert_eq!(house.fetch(order).await.unwrap_or_else(|e| panic!("{text}: {e:?}")).1, 1_000_000);
    }
}

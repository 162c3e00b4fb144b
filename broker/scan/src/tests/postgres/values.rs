//! Values that have no place in Arrow, and what policy, callers and files make of them.

use super::*;

/// A row under embargo for ever is not out of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_filter_sees_what_the_server_sees() {
    let pg = pg();
    pg.server.sql(
        "CREATE TYPE pair AS (a int, b int);
         CREATE TABLE e (id int, until timestamptz, day date, at timestamp, t time, n numeric(9, 2), c char(4), p pair);
         INSERT INTO e VALUES (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (2, '2000-01-01', '2000-01-01', '2000-01-01', '12:00', 5, 'EU', (1, 2)),
           (3, 'infinity', 'infinity', 'infinity', '24:00', 'NaN', 'US', (NULL, NULL)), (4, '-infinity', '-infinity', '-infinity', '00:00', -1, 'EU', (1, NULL)),
           (5, '290000-01-01', '300000-01-01', '290000-01-01', '23:59:59', 1, '', (1, 1))",
    );
    let open = pg.governed("e", &[]).await;
    for filter in [
        "until IS NULL OR until < now()",
        "until IS NULL",
        "until IS NOT NULL",
        "until > timestamp '2100-01-01'",
        "NOT (until > timestamp '2100-01-01')",
        "until <> timestamp '2000-01-01'",
        "day IS NULL OR day < DATE '2100-01-01'",
        "day > DATE '2100-01-01'",
        "at IS NULL OR at <= timestamp '2100-01-01'",
        "t IS NULL",
        "t IS NOT NULL",
        "n IS NULL OR n < 100",
        "n > 100",
        "n <> 5",
        "n NOT IN (5, -1)",
        "c = 'EU'",
        "c <> 'EU'",
        "c IN ('EU', 'US')",
        "c = ''",
        "coalesce(n, 0) < 100 AND (until IS NULL OR until < now())",
    ] {
        let expected = pg.server.sql(&format!("SELECT id FROM e WHERE {filter} ORDER BY id"));
        let mut governed = open.clone();
        governed.row_filter = Some(filter.to_owned());
        let shown = pg
            .csv(slice("e", Some(&["id"]), None, Some("id"), None), vec![governed.clone()])
            .await;
        assert_eq!(
            shown.unwrap_or_else(|e| panic!("{filter}: {e:?}")),
            format!("id\n{expected}"),
            "{filter}"
        );
        // What passes has no other value for it: whoever reads it, and the engine above, sees null.
        let all = pg.csv(slice("e", None, None, None, None), vec![governed]).await.unwrap();
        assert!(
            !all.contains("262142") && !all.contains("262143") && !all.contains("24:00") && !all.contains("170141"),
            "{filter}: {all}"
        );
    }
    // A number without precision is a text here: compared with a text it is one, compared with a number it is cast to its type.
    pg.server.sql("CREATE TABLE free AS SELECT 10::numeric AS n");
    let free = pg.governed("free", &[]).await;
    for (filter, rows) in [("n < '5'", 1), ("n < 5", 0), ("CAST(n AS decimal(38, 6)) < 5", 0), ("n = 10", 1)] {
        let shown = pg
            .csv(slice("free", None, Some(filter), None, None), vec![free.clone()])
            .await
            .unwrap();
        assert_eq!(shown.lines().count() - 1, rows, "{filter}");
    }
    pg.server.sql("INSERT INTO free VALUES (1.5)");
    let failed = pg
        .csv(slice("free", None, Some("n < 5"), None, None), vec![free.clone()])
        .await
        .unwrap_err();
    assert_eq!(failed.kind, ScanErrorKind::Evaluation);
    let shown = pg
        .csv(slice("free", None, Some("CAST(n AS decimal(38, 6)) < 5"), None, None), vec![free])
        .await
        .unwrap();
    assert_eq!(shown, "n\n1.5\n");
    // IS NULL of a composite asks its fields there; here it is a text.
    for (filter, ids) in [("p IS NULL", "1\n"), ("p IS NOT NULL", "2\n3\n4\n5\n")] {
        let shown = pg
            .csv(slice("e", Some(&["id"]), Some(filter), Some("id"), None), vec![open.clone()])
            .await
            .unwrap();
        assert_eq!(shown, format!("id\n{ids}"));
    }
    let shown = pg
        .csv(
            slice("e", Some(&["id", "p"]), None, Some("id"), None),
            vec![pg.governed("e", &[("p", redact())]).await],
        )
        .await;
    assert_eq!(shown.unwrap(), "id,p\n1,\n2,[redacted]\n3,[redacted]\n4,[redacted]\n5,[redacted]\n");
}

/// The server calls columns NOT NULL that are null: the engine would fold `IS NULL` away.
#[tokio::test(flavor = "multi_thread")]
async fn not_null_is_not_believed() {
    let pg = pg();
    pg.server.sql(
        "CREATE DOMAIN must AS int NOT NULL; CREATE TABLE l (id int); CREATE TABLE r (id int, v must);
         INSERT INTO l VALUES (1), (2); INSERT INTO r VALUES (1, 7); CREATE VIEW o AS SELECT l.id, r.v FROM l LEFT JOIN r USING (id)",
    );
    let table = pg.governed("o", &[]).await;
    assert!(pg.engine.describe(&pg.table("o")).await.unwrap().iter().all(|c| c.nullable));
    for (text, expected) in [
        ("SELECT id FROM o WHERE v IS NULL", "id\n2\n"),
        ("SELECT id FROM o WHERE v IS NOT NULL", "id\n1\n"),
        ("SELECT count(v) AS n FROM o", "n\n1\n"),
        ("SELECT id, v FROM o ORDER BY id", "id,v\n1,7\n2,\n"),
    ] {
        assert_eq!(pg.csv(sql(text), vec![table.clone()]).await.unwrap(), expected, "{text}");
    }
}

/// Every scale, and the largest, smallest and finest number of each, as the server writes them.
#[tokio::test(flavor = "multi_thread")]
async fn numerics_are_what_the_server_prints() {
    let pg = pg();
    for precision in [5_usize, 19, 38] {
        let columns: Vec<String> = (0..=precision).map(|s| format!("c{s} numeric({precision}, {s})")).collect();
        let row = |value: &dyn Fn(usize) -> String| (0..=precision).map(value).collect::<Vec<_>>().join(", ");
        let number = |digits: &str, scale: usize| {
            let (whole, part) = digits.split_at(digits.len() - scale);
            format!("{}{whole}.{part}", if whole.is_empty() { "0" } else { "" })
        };
        let nines = "9".repeat(precision);
        let one = format!("{}1", "0".repeat(precision - 1));
        let mixed: String = (0..precision).map(|i| char::from(b'1' + u8::try_from(i % 9).unwrap())).collect();
        let rows = [
            row(&|s| number(&nines, s)),
            row(&|s| format!("-{}", number(&nines, s))),
            row(&|s| number(&one, s)),
            row(&|s| format!("-{}", number(&mixed, s))),
            row(&|_| "0".to_owned()),
        ];
        let values: Vec<String> = rows.iter().enumerate().map(|(n, r)| format!("({n}, {r})")).collect();
        pg.server.sql(&format!(
            "DROP TABLE IF EXISTS nums; CREATE TABLE nums (id int, {}); INSERT INTO nums VALUES {}",
            columns.join(", "),
            values.join(", ")
        ));
        let table = pg.governed("nums", &[]).await;
        let shown = pg.csv(slice("nums", None, None, Some("id"), None), vec![table]).await.unwrap();
        let expected = pg.server.sql("SELECT * FROM nums ORDER BY id").replace('|', ",");
        let (_, shown) = shown.split_once('\n').unwrap();
        assert_eq!(shown, expected);
    }
}

/// Whatever may be read is locked before its columns are read; what cannot be locked is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_locked_before_they_are_described() {
    let pg = pg();
    pg.server.sql(
        "CREATE TABLE base AS SELECT 1 AS id; CREATE MATERIALIZED VIEW mat AS SELECT id FROM base;
         CREATE VIEW part AS SELECT id FROM base",
    );
    for name in ["base", "mat", "part"] {
        let table = pg.governed(name, &[]).await;
        assert_eq!(
            pg.csv(slice(name, None, None, None, None), vec![table]).await.unwrap(),
            "id\n1\n",
            "{name}"
        );
    }
    let log = pg.server.log();
    assert!(
        log.contains("LOCK TABLE \"public\".\"base\" IN ACCESS SHARE MODE; WITH RECURSIVE"),
        "{log}"
    );
    // The holder of the snapshot has locked both, though it reads neither.
    let tables = vec![pg.governed("base", &[]).await, pg.governed("mat", &[]).await];
    let joined = pg
        .csv(sql("SELECT base.id FROM base JOIN mat ON base.id = mat.id"), tables)
        .await
        .unwrap();
    assert_eq!(joined, "id\n1\n");
    // Whoever may read one column only cannot lock the table, and reads the column.
    pg.server
        .sql("CREATE TABLE narrow AS SELECT i AS id, 'x' AS secret FROM generate_series(1, 1000) i; ANALYZE narrow; REVOKE pg_read_all_data FROM reader; GRANT SELECT (id) ON narrow TO reader");
    let table = pg.governed("narrow", &[]).await;
    let shown = pg
        .csv(slice("narrow", Some(&["id"]), Some("id = 5"), None, None), vec![table.clone()])
        .await
        .unwrap();
    assert_eq!(shown, "id\n5\n");
    // Where the server does not say what a statement would give, nobody guesses from the table's size.
    let estimate = async |columns: &[&str]| {
        let query = slice("narrow", Some(columns), None, None, None);
        pg.engine
            .plan(&order(query, vec![table.clone()], Format::Csv))
            .await
            .unwrap()
            .rows_estimated
    };
    assert_eq!(estimate(&["id"]).await, Some(1000));
    assert_eq!(estimate(&["secret"]).await, None);
}

//! A real MariaDB server: every type, what is pushed down, one snapshot, and what the server learns and keeps.

mod server;

use std::time::{Duration, Instant};

use chunk_port::{MysqlTarget, ScanErrorKind};
use server::{PASSWORD, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Password(&'static str);

impl Secrets for Password {
    fn password(&self, connection: &str) -> Result<Zeroizing<String>, String> {
        assert_eq!(connection, "my");
        Ok(Zeroizing::new(self.0.to_owned()))
    }
}

fn engine(password: &'static str) -> Arc<Engine> {
    let settings = Settings {
        threads: 2,
        readers: 2,
        ..Settings::default()
    };
    Engine::new(Arc::new(Password(password)), &settings).unwrap()
}

struct My {
    server: Server,
    engine: Arc<Engine>,
}

async fn my() -> My {
    My {
        server: Server::start().await,
        engine: engine(PASSWORD),
    }
}

fn target(port: u16, ca: Option<PathBuf>) -> MysqlTarget {
    MysqlTarget {
        connection: "my".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        user: "reader".to_owned(),
        ca_file: ca,
        plaintext: false,
        statement_timeout_s: 30,
    }
}

fn table_of(target: MysqlTarget, name: &str) -> Table {
    Table {
        dataset: name.to_ascii_lowercase(),
        connection: "my".to_owned(),
        source: Source::Mysql {
            target: Arc::new(target),
            database: "shop".to_owned(),
            table: name.to_owned(),
        },
    }
}

impl My {
    fn target(&self) -> MysqlTarget {
        target(self.server.port, Some(self.server.path("tls/ca.crt")))
    }

    fn table(&self, name: &str) -> Table {
        table_of(self.target(), name)
    }

    async fn governed(&self, name: &str, treatments: &[(&str, Treatment)]) -> GovernedTable {
        govern(&self.engine, self.table(name), treatments).await.unwrap()
    }

    async fn csv(&self, query: Query, tables: Vec<GovernedTable>) -> Result<String, ScanError> {
        csv(&self.engine, query, tables).await
    }

    /// What the server is at on behalf of the account that reads.
    fn running(&self) -> String {
        self.server
            .sql("SELECT info FROM information_schema.processlist WHERE user = 'reader' AND command <> 'Sleep'")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_shows_a_raw_value() {
    let my = my().await;
    my.server.sql(&format!(
        "CREATE TABLE shop.people (id BIGINT, name VARCHAR(20), ssn CHAR(11), email TEXT, salary BIGINT, region VARCHAR(2), born DATE, score DOUBLE, \
         `Mixed Case` BIGINT); INSERT INTO shop.people VALUES {}",
        people_values()
    ));
    attacks::withstands(&my.engine, my.table("people")).await;
}

const TYPES: &str = "CREATE TABLE shop.Types (id INT PRIMARY KEY, i8 TINYINT, u8 TINYINT UNSIGNED, b BOOL, i16 SMALLINT, u16 SMALLINT UNSIGNED, i24 MEDIUMINT,
   u24 MEDIUMINT UNSIGNED, i32 INT, u32 INT UNSIGNED, i64 BIGINT, u64 BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(18, 4), big DECIMAL(65, 30),
   b1 BIT(1), b64 BIT(64), y YEAR, dt DATE, at DATETIME(6), ts TIMESTAMP(3) NULL, tm TIME(2), c CHAR(4), v VARCHAR(9) CHARACTER SET latin1, t TEXT,
   e ENUM('ok', 'sad'), s SET('a', 'b'), j JSON, bin BINARY(2), vb VARBINARY(4), bl BLOB, g POINT, `we\"ird` INT);
 SET sql_mode = ''; SET time_zone = '+00:00';
 INSERT INTO shop.Types VALUES
 (1, -128, 255, 1, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 0.5, 1e300, 12.34,
  12345678901234567890123456789012345.123456789012345678901234567890, 1, x'ffffffffffffffff', 2024, '2024-02-29', '2024-02-29 01:02:03.5',
  '2024-02-29 01:02:03.25', '-838:59:59', 'cc', 'v\u{e4}', 'a,\"b\\nc', 'sad', 'a,b', '{\"a\": \"\u{e9}\"}', x'00ff', x'01', x'', ST_GeomFromText('POINT(1 2)'), 7),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (3, 127, 0, 0, 32767, 0, 8388607, 0, 2147483647, 0, 9223372036854775807, 0, -1.5, -0.1, -0.0001, 0, 0, 0, 1901, '0000-00-00', '0000-00-00', 0, '838:59:58.99', '', '', '',
  'ok', '', 'null', x'', x'', x'ff', NULL, -1),
 (4, 0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1, 3e38, 0, 0, -1, 1, 1, 0, '9999-12-31', '1000-01-01 23:59:59.999999', '2038-01-19 03:14:07.999', '24:00:00', 'x   ', 'x', '\u{20ac}\u{1f600}', 'ok', 'b', '[]', x'2020',
  x'0000', x'00', NULL, 0)";

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_through() {
    let my = my().await;
    my.server.sql(TYPES);
    assert_eq!(
        types(&my.engine, &my.table("Types")).await,
        "Int32 Int8 UInt8 Int8 Int16 UInt16 Int32 UInt32 Int32 UInt32 Int64 UInt64 Float32 Float64 Decimal128(18, 4) Utf8 Boolean UInt64 Int16 Date32 \
         Timestamp(µs) Timestamp(µs, \"UTC\") Utf8 Utf8 Utf8 Utf8 Utf8 Utf8 Utf8 Binary Binary Binary Binary Int32"
    );
    let table = my.governed("Types", &[]).await;
    let shown = my
        .csv(slice("types", None, None, Some("id"), None), vec![table.clone()])
        .await
        .unwrap();
    let (header, rows) = shown.split_once('\n').unwrap();
    assert!(header.ends_with(",g,\"we\"\"ird\""), "{header}");
    assert_eq!(
        rows,
        "1,-128,255,1,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,18446744073709551615,0.5,1e300,12.3400,\
         12345678901234567890123456789012345.123456789012345678901234567890,true,18446744073709551615,2024,2024-02-29,2024-02-29T01:02:03.500000,\
         2024-02-29T01:02:03.250000Z,-838:59:59.00,cc,vä,\"a,\"\"b\nc\",sad,\"a,b\",\"{\"\"a\"\": \"\"é\"\"}\",00ff,01,,000000000101000000000000000000f03f0000000000000040,7\n\
         2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n\
         3,127,0,0,32767,0,8388607,0,2147483647,0,9223372036854775807,0,-1.5,-0.1,-0.0001,0.000000000000000000000000000000,false,0,1901,,,,838:59:58.99,\"\",\"\",\"\",\
         ok,\"\",null,0000,,ff,,-1\n\
         4,0,1,2,0,1,0,1,0,1,0,1,3e38,0.0,0.0000,-1.000000000000000000000000000000,true,1,0,9999-12-31,1000-01-01T23:59:59.999999,2038-01-19T03:14:07.999000Z,\
         24:00:00.00,x,x,€😀,ok,b,[],2020,0000,00,,0\n"
    );
    assert_eq!(my.csv(sql("SELECT count(*) AS n FROM types"), vec![table]).await.unwrap(), "n\n4\n");
}

/// Integers, decimals, texts and times of many rows, by the server's own words.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_what_the_server_prints() {
    let my = my().await;
    my.server.sql(
        "CREATE TABLE shop.t (i BIGINT, u INT UNSIGNED, n DECIMAL(38, 10), c VARCHAR(40), tm TIME(6), d DATE, y YEAR);
         SET sql_mode = CONCAT(@@sql_mode, ',NO_UNSIGNED_SUBTRACTION');
         INSERT INTO shop.t SELECT (seq * 7919) % 1009 - 500 + seq * 922337203685477, seq * 4000, (seq - 5000) * 12345678901234567890.0000000001,
           CONCAT(seq, '-', HEX(seq * seq)), SEC_TO_TIME((seq - 5000) * 601.5), DATE_ADD('1000-01-01', INTERVAL seq * 300 DAY), 1901 + seq % 200 FROM shop.seq_1_to_9000",
    );
    let table = my.governed("t", &[]).await;
    let shown = my.csv(slice("t", None, None, None, None), vec![table]).await.unwrap();
    let printed = my.server.sql("SELECT * FROM shop.t").replace('\t', ",");
    assert_eq!(printed.lines().count(), 9000);
    assert_eq!(shown.split_once('\n').unwrap().1, printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_down_gives_the_rows_it_would_give_above() {
    let my = my().await;
    my.server.sql(
        "SET sql_mode = ''; CREATE TABLE shop.t (id INT PRIMARY KEY, c VARCHAR(9) COLLATE utf8mb4_general_ci, l VARCHAR(9) CHARACTER SET latin1, n INT, u BIGINT UNSIGNED,
           m DECIMAL(9, 2), d DATE, at DATETIME(6), ts TIMESTAMP NULL, f DOUBLE, e ENUM('b', 'a'), KEY (c), KEY (d)) ;
         INSERT INTO shop.t VALUES (1, 'abc', 'abc', 1, 1, 0.05, '2024-01-02', '2024-01-02 00:00:00', '2024-01-02 00:00:01', 0, 'b'),
          (2, 'ABC', 'ABC', 2, 18446744073709551615, -0.05, '0000-00-00', '0000-00-00', 0, -0.0, 'a'), (3, 'abc ', 'ä', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
          (4, '', '', -5, 0, 12.5, '9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', 1e300, 'a'), (5, 'é', 'e', 3, 9223372036854775808, 1, '2024-00-00', '2024-02-31', NULL, 1, 'b'),
          (6, 'ab%c', 'x\\'y', 4, 5, 12.50, '1970-01-01', '1970-01-01', '1970-01-02', 2, 'a'), (7, 'abd', '\\\\', 4, 5, 1.01, '2024-01-03', '2024-01-02 00:00:00.000001', NULL, 2, 'a')",
    );
    let table = my.governed("t", &[]).await;
    // The same rows, of which nothing is asked at the source.
    let house = house();
    let (bytes, _, _) = fetch(
        &my.engine,
        order(slice("t", None, None, None, None), vec![table.clone()], Format::Parquet),
    )
    .await
    .unwrap();
    std::fs::write(house.path("t.parquet"), bytes).unwrap();
    let above = house.governed("t", &[]).await;
    for (filter, at_source) in [
        ("c = 'abc'", true),
        ("c <> 'abc'", true),
        ("c < 'abd'", true),
        ("c >= 'ABC'", true),
        ("c BETWEEN 'ab' AND 'abc'", true),
        ("c IN ('abc', 'é', 'zz')", true),
        ("c NOT IN ('abc', 'é')", true),
        ("c LIKE 'ab%'", true),
        ("c LIKE 'é%'", true),
        ("c = ''", true),
        ("c IS NULL", true),
        ("l = 'ABC'", true),
        ("l = 'x''y'", true),
        ("l = '\\'", true),
        ("l = 'ä'", false),
        ("l LIKE 'ä%'", false),
        ("l > 'a'", true),
        ("n > 1", true),
        ("n IN (1, 2, -5)", true),
        ("n NOT IN (1, 2, -5)", true),
        ("n IS NULL", true),
        ("n IS NOT NULL", true),
        ("m > 1", true),
        ("m BETWEEN -0.05 AND 1.01", true),
        ("d = date '2024-01-02'", true),
        ("d < date '2024-01-03'", true),
        ("d > date '1970-01-01'", true),
        ("d <> date '2024-01-02'", true),
        ("d IS NULL", false),
        ("d IS NOT NULL", true),
        ("at = timestamp '2024-01-02 00:00:00'", true),
        ("at > timestamp '2024-01-02 00:00:00'", true),
        ("ts >= timestamp '2024-01-02 00:00:01'", true),
        ("f = 0", false),
        ("e = 'a'", false),
        ("e < 'b'", false),
        ("c ILIKE 'abc'", false),
    ] {
        let query = || slice("t", Some(&["id"]), Some(filter), Some("id"), None);
        let shown = my.csv(query(), vec![table.clone()]).await.unwrap();
        assert_eq!(shown, house.csv(query(), vec![above.clone()]).await.unwrap(), "{filter}");
        let planned = my.engine.plan(&order(query(), vec![table.clone()], Format::Csv)).await.unwrap();
        let plan = planned.explain.join("\n");
        if filter.starts_with("u ") || filter.starts_with("ts ") {
            // Whether the engine casts the constant or the column is its own affair.
            continue;
        }
        assert_eq!(plan.contains("filtered at the source"), at_source, "{filter}: {plan}");
    }
    let limited = my
        .csv(slice("t", Some(&["id"]), Some("n > 0"), Some("id"), Some(2)), vec![table])
        .await
        .unwrap();
    assert_eq!(limited, "id\n1\n2\n");
}

/// A policy's row filter sees a zero date where the server would put it, and callers see null.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_filter_does_not_take_a_zero_date_for_null() {
    let my = my().await;
    my.server.sql(
        "SET sql_mode = ''; CREATE TABLE shop.t (id INT, until DATE, at TIMESTAMP NULL); INSERT INTO shop.t VALUES (1, NULL, NULL), (2, '0000-00-00', 0), (3, '2024-01-01', '2024-01-01');
         CREATE TABLE shop.u (id INT, until DATE); INSERT INTO shop.u VALUES (1, '2024-00-01')",
    );
    for (filter, ids) in [
        ("until IS NULL", "id,until,at\n1,,\n"),
        ("until IS NOT NULL", "id,until,at\n2,,\n3,2024-01-01,2024-01-01T00:00:00.000000Z\n"),
        ("until < date '2000-01-01'", "id,until,at\n2,,\n"),
        (
            "at IS NULL OR at > timestamp '2000-01-01 00:00:00'",
            "id,until,at\n1,,\n3,2024-01-01,2024-01-01T00:00:00.000000Z\n",
        ),
    ] {
        let mut table = my.governed("t", &[]).await;
        table.row_filter = Some(filter.to_owned());
        assert_eq!(
            my.csv(slice("t", None, None, Some("id"), None), vec![table]).await.unwrap(),
            ids,
            "{filter}"
        );
    }
    // A day that no calendar has stands nowhere among the others: no filter is told that it does.
    let mut table = my.governed("u", &[]).await;
    assert_eq!(
        my.csv(slice("u", None, None, None, None), vec![table.clone()]).await.unwrap(),
        "id,until\n1,\n"
    );
    table.row_filter = Some("until IS NULL OR until < date '2030-01-01'".to_owned());
    let error = my.csv(slice("u", None, None, None, None), vec![table]).await.unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Source);
    assert!(error.operator.unwrap().contains("row 1 of what was read: column `until`"));
}

/// Joins and unions read one transaction, by turns; the rows of one state.
#[tokio::test(flavor = "multi_thread")]
async fn several_reads_of_one_query_see_one_state() {
    let my = my().await;
    my.server.sql(
        "CREATE TABLE shop.t (n INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO shop.t SELECT seq FROM shop.seq_1_to_20000; CREATE TABLE shop.u LIKE shop.t; INSERT INTO shop.u SELECT n FROM shop.t",
    );
    let tables = async || vec![my.governed("t", &[]).await, my.governed("u", &[]).await];
    for (text, expected) in [
        (
            "SELECT count(*) AS n FROM t a JOIN t b ON a.n = b.n JOIN u ON u.n = a.n",
            "n\n20000\n",
        ),
        (
            "SELECT sum(n) AS n FROM (SELECT n FROM t UNION ALL SELECT n FROM u UNION ALL SELECT n FROM t) AS x",
            "n\n600030000\n",
        ),
        // One side ends early; the other goes on.
        (
            "SELECT count(*) AS n FROM (SELECT n FROM (SELECT n FROM t LIMIT 3) AS y UNION ALL SELECT n FROM u) AS x",
            "n\n20003\n",
        ),
        ("SELECT t.n FROM t JOIN u ON t.n = u.n ORDER BY 1 DESC LIMIT 1", "n\n20000\n"),
    ] {
        assert_eq!(my.csv(sql(text), tables().await).await.unwrap(), expected, "{text}");
    }
    // Rows that come in while a fetch is under way are not in it: the first read has begun, the second has not.
    let wide = "SELECT a.n FROM (SELECT n FROM t UNION ALL SELECT n FROM u) AS a";
    let mut frames = my.engine.open(order(sql(wide), tables().await, Format::Csv)).await.unwrap();
    my.server
        .sql("INSERT INTO shop.u VALUES (777777); DELETE FROM shop.u WHERE n < 100");
    let mut rows = 0;
    while let Some(frame) = frames.stream.next().await {
        rows += frame.unwrap().rows;
    }
    assert_eq!(rows, 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_stops_with_its_reader_and_at_its_time_limit() {
    let my = my().await;
    my.server.sql(
        "CREATE TABLE shop.t (n INT); INSERT INTO shop.t SELECT seq FROM shop.seq_1_to_2000;
         CREATE VIEW shop.slow AS SELECT SUM(a.n * b.n * c.n) AS n FROM shop.t a, shop.t b, shop.t c",
    );
    let query = slice("slow", None, None, None, None);
    // Alone, and with a second read, through a cursor.
    for (query, tables) in [
        (query.clone(), vec![my.governed("slow", &[]).await]),
        (
            sql("SELECT slow.n FROM slow JOIN t ON slow.n = t.n"),
            vec![my.governed("slow", &[]).await, my.governed("t", &[]).await],
        ),
    ] {
        let frames = my.engine.open(order(query, tables, Format::Csv)).await.unwrap();
        until("the statement runs", || my.running().contains("FROM \"shop\".\"slow\"")).await;
        assert!(my.running().contains("/* test */"), "{}", my.running());
        drop(frames);
        until("the statement has been stopped", || my.running().is_empty()).await;
    }
    assert!(my.server.log().contains("KILL QUERY"));
    let mut target = my.target();
    target.statement_timeout_s = 1;
    let table = govern(&my.engine, table_of(target, "slow"), &[]).await.unwrap();
    let error = my.csv(query, vec![table]).await.unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Limit, "{error:?}");
    assert!(error.operator.unwrap().contains("1969"));
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_server_is_is_verified_before_it_is_told_anything() {
    let my = my().await;
    my.server.sql("CREATE TABLE shop.t (n INT)");
    let refused = async |target: MysqlTarget, password: &'static str| {
        let error = engine(password).describe(&table_of(target, "t")).await.unwrap_err();
        assert!(!format!("{error:?}").contains(password), "{error:?}");
        format!("{} | {}", error.public, error.operator.unwrap_or_default())
    };
    assert_eq!(types(&my.engine, &my.table("t")).await, "Int32");
    // Another authority, another name, no authority at all.
    let other = target(my.server.port, Some(my.server.path("other.crt")));
    assert!(refused(other, PASSWORD).await.contains("could not be reached"));
    assert!(
        refused(target(my.server.port, None), PASSWORD)
            .await
            .contains("could not be reached")
    );
    assert!(refused(my.target(), "wrong-pw").await.contains("refused the broker's credential"));
    // The account takes TLS only, and an account that does not still gets TLS.
    let plain = |user: &str| MysqlTarget {
        plaintext: true,
        user: user.to_owned(),
        ..my.target()
    };
    assert!(refused(plain("reader"), PASSWORD).await.contains("refused the broker's credential"));
    assert_eq!(types(&my.engine, &table_of(plain("plain"), "t")).await, "Int32");
    assert!(refused(plain("odd"), PASSWORD).await.contains("refused the broker's credential"));
}

/// What a server of MySQL 8 says first, with these capabilities.
fn greeting(low: u16) -> Vec<u8> {
    let mut greeting = b"\x0a8.4.0\0\x01\0\0\0abcdefgh\0".to_vec();
    greeting.extend(low.to_le_bytes());
    greeting.extend([45, 2, 0]);
    greeting.extend(0x00ff_u16.to_le_bytes());
    greeting.extend([21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    greeting.extend(b"ijklmnopqrst\0caching_sha2_password\0");
    let mut frame = vec![u8::try_from(greeting.len()).unwrap(), 0, 0, 0];
    frame.extend(greeting);
    frame
}

/// A server that offers no TLS, then one that asks for things while nothing is encrypted yet, hears no credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_hears_nothing() {
    const SSL: u16 = 0x800;
    for low in [0xf7ff_u16 & !SSL, 0xf7ff] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut frame = greeting(low);
            if low & SSL != 0 {
                // Asked in the clear, together with the greeting.
                frame.extend(b"\x02\0\0\x02\x01\x04");
            }
            stream.write_all(&frame).await.unwrap();
            let mut heard = Vec::new();
            drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await);
            heard
        });
        let error = engine("a-secret-password")
            .describe(&table_of(target(port, None), "t"))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source);
        let heard = heard.await.unwrap();
        assert!(heard.len() <= 36, "{} bytes", heard.len());
        assert!(!heard.windows(6).any(|w| w == b"reader" || w == b"secret"), "{heard:?}");
    }
}

/// Without TLS the password itself is not sent, however it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_the_password_itself_does_not_get_it() {
    for (asks, why) in [
        (
            &b"\xfemysql_clear_password\0"[..],
            "neither mysql_native_password nor caching_sha2_password",
        ),
        (
            b"\xfesha256_password\0abcdefghijklmnopqrst\0",
            "neither mysql_native_password nor caching_sha2_password",
        ),
        (b"\xfe", "neither mysql_native_password nor caching_sha2_password"),
        (b"\x01\x04", "over TLS only"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&greeting(0xf7ff)).await.unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).await.unwrap();
            let mut response = vec![0; usize::from(head[0]) + 256 * usize::from(head[1])];
            stream.read_exact(&mut response).await.unwrap();
            let mut frame = vec![u8::try_from(asks.len()).unwrap(), 0, 0, 2];
            frame.extend(asks);
            stream.write_all(&frame).await.unwrap();
            drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut response)).await);
            response
        });
        let mut plain = target(port, None);
        plain.plaintext = true;
        let error = engine("a-secret-password").describe(&table_of(plain, "t")).await.unwrap_err();
        assert!(error.operator.unwrap().contains(why));
        let heard = heard.await.unwrap();
        assert!(!heard.windows(6).any(|w| w == b"secret"), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_told_what_reads_and_nothing_is_written() {
    let my = my().await;
    my.server
        .sql("CREATE TABLE shop.t (id INT, secret VARCHAR(9)); INSERT INTO shop.t VALUES (1, 'abc')");
    let table = my.governed("t", &[("secret", redact())]).await;
    let shown = my
        .csv(slice("t", None, Some("id = 1"), None, None), vec![table.clone()])
        .await
        .unwrap();
    assert_eq!(shown, "id,secret\n1,[redacted]\n");
    let log = my.server.log();
    assert!(log.contains("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"), "{log}");
    assert!(
        log.contains("SELECT /* test */ \"id\", CASE WHEN \"secret\" IS NULL THEN NULL ELSE '' END FROM \"shop\".\"t\" WHERE \"id\" = 1"),
        "{log}"
    );
    let planned = my
        .engine
        .plan(&order(slice("t", None, None, None, None), vec![table], Format::Csv))
        .await
        .unwrap();
    assert_eq!(planned.rows_estimated, Some(1));
    let missing = my.engine.describe(&my.table("T")).await.unwrap_err();
    assert!(missing.public.contains("no table for `t`"), "{missing:?}");
    // Of a table of which some columns may be read, those are there.
    my.server
        .sql("REVOKE SELECT, SHOW VIEW ON shop.* FROM reader@'127.0.0.1'; GRANT SELECT (id) ON shop.t TO reader@'127.0.0.1'");
    let narrow = my.governed("t", &[]).await;
    assert_eq!(my.csv(slice("t", None, None, None, None), vec![narrow]).await.unwrap(), "id\n1\n");
}

/// Whoever alters a table waits for the fetch, and a table altered in between is not read as what it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_altered_table_is_not_read_as_what_it_was() {
    let my = my().await;
    my.server
        .sql("CREATE TABLE shop.t (id INT, n INT) ENGINE=InnoDB; INSERT INTO shop.t VALUES (1, 2)");
    let table = my.governed("t", &[]).await;
    my.server
        .sql("ALTER TABLE shop.t DROP COLUMN n, ADD COLUMN secret VARCHAR(9) DEFAULT 'x'");
    let error = my.csv(slice("t", None, None, None, None), vec![table]).await.unwrap_err();
    assert!(error.public.contains("have changed at the source"), "{error:?}");
}

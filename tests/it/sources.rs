//! Further kinds of sources, through the real programs: each is described, fetched from under masks, and verified.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::Running;
use crate::support::s3::{BUCKET, KEY, S3};
use crate::support::servers::required;
use crate::support::world::{free_port, repository};
use crate::support::{Person, Setup, World, poll};

/// Has `dana` fetch a masked table as CSV and verify the file; what the file holds.
fn fetched(world: &World, dana: &Person, dataset: &str) -> String {
    let file = format!("{dataset}.csv");
    let arguments = ["fetch", dataset, "--reason", "a story asks", "--format", "csv", "-o", &file];
    let pending = dana.run(&[&arguments[..], &["--no-wait"]].concat()).exits(5).all();
    let request = &pending[pending.find("req_").unwrap()..][..20];
    world.signed_in("rita").run(&["approve", request, "--reason", "masked"]).exits(0);
    dana.run(&["fetch", "--request", request, "-o", &file]).exits(0);
    dana.run(&["verify", &file]).exits(0);
    std::fs::read_to_string(dana.dir().join(&file)).unwrap()
}

/// A dataset of people with e-mail addresses and social security numbers, under the masks of the standard setup.
fn people(dataset: &str, connection: &str, place: &str) -> String {
    format!(
        "\n[datasets.{dataset}]\nconnection = \"{connection}\"\n{place}\nunclassified = \"open\"\n[datasets.{dataset}.columns]\n\
         email = \"pii.email\"\nssn = \"pii.ssn\"\n"
    )
}

/// What [`fetched`] must have given of three people.
fn is_masked(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "id,email,ssn,city", "{text}");
    for (n, (line, ssn)) in lines[1..].iter().zip(["1120", "9999", "5462"]).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!((cells[0], cells[3]), ((n + 1).to_string().as_str(), "Ulm"), "{text}");
        assert!(cells[1].starts_with("tok_"), "{text}");
        assert_eq!(cells[2], format!("*******{ssn}"), "{text}");
    }
}

const ROWS: &str = "(1, 'ada@people.example', '078-05-1120', 'Ulm'), (2, 'bob@people.example', '219-09-9999', 'Ulm'), \
    (3, 'cyd@people.example', '457-55-5462', 'Ulm')";

/// What the operator is told of the sources.
fn check(world: &World) -> (i32, String) {
    let config = world.broker_dir().join("broker.toml");
    world.broker_says(&["check", "--connections", "--config", config.to_str().unwrap()])
}

#[test]
fn an_sqlite_file_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(\"CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, \
         ssn TEXT, city TEXT); INSERT INTO people VALUES {ROWS}\")\n"
    );
    let python = required("CHUNK_TEST_PYTHON", "Python");
    let made = Command::new(python)
        .arg("-c")
        .arg(script)
        .arg(folder.path().join("app.db"))
        .status()
        .unwrap();
    assert!(made.success());
    let mut setup = Setup::standard();
    setup.more = format!("\n[connections.app]\nkind = \"sqlite\"\nroot = {:?}\n", folder.path());
    setup
        .more
        .push_str(&people("visitors", "app", "path = \"app.db\"\ntable = \"people\""));
    let mut world = World::with(setup);
    let dana = world.signed_in("dana");
    let described = dana.run(&["describe", "visitors"]).exits(0).stdout;
    assert!(described.contains("tokenize(pii.email/1)"), "{described}");
    let before = std::fs::read(folder.path().join("app.db")).unwrap();
    is_masked(&fetched(&world, &dana, "visitors"));
    assert!(
        before == std::fs::read(folder.path().join("app.db")).unwrap(),
        "the broker wrote to a source"
    );
    // `check` asks it, too, and says what it lacks.
    assert_eq!(world.stop(), 0);
    let (code, said) = check(&world);
    assert_eq!(code, 0, "{said}");
    world.setup_mut().more = world.setup_mut().more.replace("table = \"people\"", "table = \"poeple\"");
    world.write_config();
    let (code, said) = check(&world);
    assert!(code != 0 && said.contains("poeple"), "{said}");
}

#[test]
fn a_mariadb_server_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let (server, port) = mariadb(folder.path());
    let administer = |sql: &str| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot", "-e", sql]);
        let client = client
            .arg(format!("--socket={}", folder.path().join("sock").display()))
            .output()
            .unwrap();
        assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    };
    administer(&format!(
        "CREATE TABLE shop.people (id INT PRIMARY KEY, email VARCHAR(80), ssn CHAR(11), city VARCHAR(20)); INSERT INTO shop.people VALUES {ROWS}"
    ));
    let mut setup = Setup::standard();
    setup.environment = vec![("SHOP_PASSWORD".into(), "reader-password".into())];
    setup.more = format!(
        "\n[connections.shop]\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"reader\"\npassword = {{ env = \"SHOP_PASSWORD\" }}\nca_file = {:?}\n",
        folder.path().join("tls/ca.crt")
    );
    setup.more.push_str(&people("visitors", "shop", "table = \"shop.people\""));
    let world = World::with(setup);
    let dana = world.signed_in("dana");
    is_masked(&fetched(&world, &dana, "visitors"));
    // The server's own log names the fetch that the evidence names.
    let intents = world
        .signed_in("anna")
        .json(&["audit", "search", "--kind", "fetch.intent"])
        .exits(0)
        .stdout;
    let fetch = intents.split("\"fetch\":\"").nth(1).unwrap().split('"').next().unwrap();
    let log = std::fs::read_to_string(folder.path().join("statements.log")).unwrap();
    assert!(log.contains(&format!("SELECT /* {fetch} */")), "{log}");
    drop(server);
}

/// A MariaDB server of the story's own and its port.
fn mariadb(folder: &Path) -> (Running, u16) {
    let port = free_port();
    let script = repository().join("tests/servers/mariadb.sh");
    let mut server = Running::start(
        Command::new("bash").arg(script).arg(folder).arg(port.to_string()),
        &folder.join("server.log"),
    );
    poll("MariaDB", Duration::from_secs(60), || {
        assert!(server.ended().is_none(), "MariaDB ended: {}", server.log_text());
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (server, port)
}

const LINES: &str = "{\"id\": 1, \"email\": \"ada@people.example\", \"ssn\": \"078-05-1120\", \"city\": \"Ulm\"}\n\
    {\"id\": 2, \"ssn\": \"219-09-9999\", \"email\": \"bob@people.example\", \"city\": \"Ulm\"}\n\
    {\"id\": 3, \"email\": \"cyd@people.example\", \"ssn\": \"457-55-5462\", \"city\": \"Ulm\"}\n";

/// Lines of JSON in a folder, and beside them the Arrow file that another program makes of them.
#[test]
fn lines_of_json_and_arrow_files_are_sources() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.ndjson"), LINES).unwrap();
    let script = "import pyarrow.json, pyarrow.feather, sys\nt = pyarrow.json.read_json(sys.argv[1] + '/people.ndjson')\n\
        t = t.select(['id', 'email', 'ssn', 'city'])\npyarrow.feather.write_feather(t, sys.argv[1] + '/people.arrow', compression='zstd')\n";
    let python = std::path::PathBuf::from(required("CHUNK_TEST_EXPORTS_CHECKS", "PyArrow")).join("bin/python");
    let made = Command::new(python).arg("-c").arg(script).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut setup = Setup::standard();
    setup.more = format!("\n[connections.lake]\nkind = \"files\"\nroot = {:?}\n", folder.path());
    setup.more.push_str(&people("visitors", "lake", "path = \"people.ndjson\""));
    setup.more.push_str(&people("guests", "lake", "path = \"people.arrow\""));
    let world = World::with(setup);
    let dana = world.signed_in("dana");
    is_masked(&fetched(&world, &dana, "visitors"));
    is_masked(&fetched(&world, &dana, "guests"));
}

/// A service that checks each signature with code that is not the broker's.
#[test]
fn a_bucket_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.ndjson"), LINES).unwrap();
    let s3 = S3::start(folder.path());
    s3.ask(&["create"]);
    let file = folder.path().join("people.ndjson");
    s3.ask(&["replace", "prod/days/2026-11-30.ndjson", file.to_str().unwrap()]);
    let mut setup = Setup::standard();
    setup.environment = vec![("LAKE_KEY".into(), KEY.0.into()), ("LAKE_SECRET".into(), KEY.1.into())];
    setup.more = format!(
        "\n[connections.lake]\nkind = \"s3\"\nurl = \"s3://{BUCKET}/prod\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"eu-central-1\"\n\
         access_key = {{ env = \"LAKE_KEY\" }}\nsecret_key = {{ env = \"LAKE_SECRET\" }}\n",
        s3.port
    );
    setup
        .more
        .push_str(&people("visitors", "lake", "path = \"days\"\nformat = \"ndjson\""));
    let mut world = World::with(setup);
    let dana = world.signed_in("dana");
    is_masked(&fetched(&world, &dana, "visitors"));
    assert!(s3.asked("prod/days/2026-11-30.ndjson") > 0);
    assert_eq!(s3.refused(), Vec::<String>::new());
    // With another secret nothing is read, and neither secret nor address is said.
    assert_eq!(world.stop(), 0);
    world.setup_mut().environment = vec![("LAKE_KEY".into(), KEY.0.into()), ("LAKE_SECRET".into(), "another-secret".into())];
    let (code, said) = check(&world);
    assert!(code != 0 && said.contains("the credential was refused"), "{said}");
    assert!(!said.contains("another-secret") && !said.contains("Signature"), "{said}");
}

/// A plain server of files, which knows no ranges and no ETags.
#[test]
fn files_behind_an_address_are_a_source() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("open")).unwrap();
    std::fs::write(folder.path().join("open/people.ndjson"), LINES).unwrap();
    let port = free_port();
    let mut server = Running::start(
        Command::new(required("CHUNK_TEST_PYTHON", "a Python"))
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
            .current_dir(folder.path()),
        &folder.path().join("server.log"),
    );
    poll("the server of files", Duration::from_secs(30), || {
        assert!(server.ended().is_none(), "it ended: {}", server.log_text());
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let mut setup = Setup::standard();
    setup.more = format!("\n[connections.open]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/open/\"\n");
    setup.more.push_str(&people("visitors", "open", "files = [\"people.ndjson\"]"));
    let world = World::with(setup);
    let dana = world.signed_in("dana");
    is_masked(&fetched(&world, &dana, "visitors"));
    assert!(server.log_text().contains("GET /open/people.ndjson"));
}

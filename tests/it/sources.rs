//! Further kinds of sources, through the real programs: each is described, fetched from under masks, and verified.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::Running;
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
    let (code, said) = world.broker_says(&["check", "--connections"]);
    assert_eq!(code, 0, "{said}");
    world.setup_mut().more = world.setup_mut().more.replace("table = \"people\"", "table = \"poeple\"");
    world.write_config();
    let (code, said) = world.broker_says(&["check", "--connections"]);
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

//! Further kinds of sources, through the real programs: each is described, fetched from under masks, and verified.

use std::process::Command;

use crate::support::servers::required;
use crate::support::{Person, Setup, World};

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

//! What one person may take of a dataset in a day, through the real programs.

use crate::support::person::Output;
use crate::support::{Person, Setup, World};

/// Asks for this many rows of `daily`, has Rita approve, and picks them up.
fn fetch(dana: &Person, rita: &Person, rows: &str, path: &str) -> Output {
    let asked = [
        "fetch",
        "daily",
        "--limit",
        rows,
        "--reason",
        "a test asks",
        "--format",
        "csv",
        "-o",
        path,
        "--no-wait",
    ];
    let pending = dana.run(&asked).exits(5).all();
    let request = pending[pending.find("req_").unwrap()..][..20].to_owned();
    rita.run(&["approve", &request, "--reason", "fine"]).exits(0);
    dana.run(&["fetch", "--request", &request, "-o", path])
}

#[test]
fn a_day_has_a_bound_that_no_other_request_gets_around() {
    let settings = "unclassified = \"open\"\nrows_per_day = 150";
    let world = World::with(Setup::standard().dataset("daily", "public.small", settings));
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));
    let described = dana.run(&["describe", "daily"]).exits(0).stdout;
    assert!(described.contains("150 rows at most, for each person"), "{described}");
    fetch(&dana, &rita, "100", "one.csv").exits(0);
    let more = fetch(&dana, &rita, "100", "two.csv");
    assert_ne!(more.code, 0, "{}", more.all());
    assert!(!dana.dir().join("two.csv").exists());
    fetch(&dana, &rita, "50", "three.csv").exits(0);
    let spent = fetch(&dana, &rita, "1", "four.csv").exits(1).all();
    assert!(
        spent.contains("all of `daily` that one person may take in a day: 150 rows"),
        "{spent}"
    );
    assert!(spent.contains("T00:00:00Z"), "says when there is more: {spent}");
    // Of other datasets, and for other people, the day is whole.
    let drew = world.signed_in("drew");
    fetch(&drew, &rita, "100", "drew.csv").exits(0);
}

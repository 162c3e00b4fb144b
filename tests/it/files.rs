//! Files on the broker's machine as a source, through the real programs.

use crate::support::{Setup, World};

#[test]
fn files_are_sources_like_any_other() {
    let mut setup = Setup::standard();
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("visits");
    std::fs::create_dir(&parts).unwrap();
    for (name, from) in [("a.csv", 0), ("b.csv", 500)] {
        let rows: String = (from..from + 500)
            .map(|n| format!("{n},visitor{n}@people.example,city {}\n", n % 7))
            .collect();
        std::fs::write(parts.join(name), format!("id,email,city\n{rows}")).unwrap();
    }
    setup.more = format!(
        "\n[connections.lake]\nkind = \"files\"\nroot = {:?}\n\n[datasets.visits]\nconnection = \"lake\"\npath = \"visits\"\nformat = \"csv\"\nunclassified = \"open\"\n\
         [datasets.visits.columns]\nemail = \"pii.email\"\n",
        folder.path()
    );
    let world = World::with(setup);
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));
    assert!(dana.run(&["describe", "visits"]).exits(0).stdout.contains("tokenize(pii.email/1)"));
    let sql = "select city, count(*) as visitors, count(distinct email) as people from visits group by city order by city";
    let pending = dana
        .run(&[
            "fetch",
            "--sql",
            sql,
            "--reason",
            "how many?",
            "--format",
            "csv",
            "-o",
            "cities.csv",
            "--no-wait",
        ])
        .exits(5)
        .all();
    let request = &pending[pending.find("req_").unwrap()..][..20];
    rita.run(&["approve", request, "--reason", "only counts"]).exits(0);
    dana.run(&["fetch", "--request", request, "-o", "cities.csv"]).exits(0);
    let text = std::fs::read_to_string(dana.dir().join("cities.csv")).unwrap();
    assert_eq!(text.lines().nth(1), Some("city 0,143,143"), "{text}");
    dana.run(&["verify", "cities.csv"]).exits(0);

    // A file whose columns stand in another order must never be read by position.
    std::fs::write(parts.join("c.csv"), "id,city,email\n1000,city 1,secret@people.example\n").unwrap();
    let pending = dana.run(&[
        "fetch",
        "visits",
        "--reason",
        "all of it",
        "--format",
        "csv",
        "-o",
        "visits.csv",
        "--no-wait",
    ]);
    let all = if pending.code == 5 {
        let said = pending.all();
        let request = said[said.find("req_").unwrap()..][..20].to_owned();
        rita.run(&["approve", &request, "--reason", "fine"]).exits(0);
        let fetched = dana.run(&["fetch", "--request", &request, "-o", "visits.csv"]);
        assert_ne!(fetched.code, 0, "{}", fetched.all());
        fetched.all()
    } else {
        assert_eq!(pending.code, 2, "{}", pending.all());
        pending.all()
    };
    assert!(!all.contains("secret@"), "{all}");
    assert!(!dana.dir().join("visits.csv").exists());
}

//! Somebody is erased: what the log held of them is nowhere any more, and the log still proves itself.

use std::collections::BTreeMap;

use chunk_wire::fetch::Format;

use crate::support::World;
use crate::support::api::slice;
use crate::support::data::{file_that_holds, holds, rows};

/// Wrapped data keys by id, as they lie in the key file; destroyed ones are left out.
fn keys(world: &World) -> BTreeMap<String, Vec<u8>> {
    let keys = rows(world, "data-keys.sqlite", "SELECT id, wrapped FROM keys WHERE wrapped IS NOT NULL");
    keys.into_iter()
        .map(|row| (row[0].clone(), hex::decode(&row[1]).unwrap()))
        .collect()
}

#[test]
fn an_erased_person_is_nowhere_on_disk_and_what_was_exported_before_and_after_verifies() {
    let mut world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "export", "-o", "before.bundle"]).exits(0);
    let verify = |name: &str| anna.run(&["audit", "verify", name, "--trust", "trust.toml"]).exits(0).stdout;
    verify("before.bundle");
    let person = b"dana@people.example";
    let plain = |name: &str| {
        anna.run(&["audit", "search", "--kind", "session.open", "--json"]).exits(0).stdout
            + &String::from_utf8_lossy(&std::fs::read(anna.dir().join(name)).unwrap())
    };
    assert!(
        holds(plain("before.bundle").as_bytes(), person),
        "the evidence names people until they are erased"
    );

    let before = keys(&world);
    let adam = world.signed_in("adam");
    adam.run(&["audit", "erase", "dana", "--reason", "asked for"]).exits(3);
    let told = adam
        .run(&["audit", "erase", "dana", "--reason", "asked for", "--yes", "--json"])
        .exits(0)
        .event("audit.erased");
    assert_eq!(told["keys"], 1, "{told}");
    anna.run(&["audit", "erase", "rita", "--reason", "curious", "--yes"]).exits(1);

    anna.run(&["audit", "export", "-o", "after.bundle"]).exits(0);
    assert!(verify("after.bundle").contains("erased"));
    assert!(!holds(plain("after.bundle").as_bytes(), person));
    assert!(!holds(world.log_text().as_bytes(), b"dana"), "the broker's own log names people");
    assert_eq!(dana.get("/v1/whoami").code(), "session_ended");

    // The key itself is overwritten, not only forgotten: what wrapped it is in no file, free pages and journals included.
    world.stop();
    let after = keys(&world);
    let gone: Vec<_> = before.iter().filter(|(id, _)| !after.contains_key(*id)).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(file_that_holds(&world, person), None);
    for (id, wrapped) in &gone {
        assert_eq!(file_that_holds(&world, wrapped), None, "the wrapped key {id} is still there");
    }

    // And it stays so when the broker starts again and folds its state from what is left.
    world.start();
    anna.run(&["audit", "export", "-o", "later.bundle"]).exits(0);
    assert!(verify("later.bundle").contains("erased"));
    assert!(!holds(plain("later.bundle").as_bytes(), person));
    // What others hold from before is theirs, and still true.
    verify("before.bundle");
}

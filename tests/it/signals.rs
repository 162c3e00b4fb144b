//! What people and service managers do to running programs: Ctrl-C, a closed terminal, SIGTERM, SIGHUP. Nothing is lost by it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use chunk_wire::fetch::{Format, PlanAnswer, RequestState, RequestView};

use crate::support::api::slice;
use crate::support::oracle::assert_whole;
use crate::support::process::{code, signal};
use crate::support::{Person, World, poll};

/// Starts `chunkctl fetch people` and waits until a request of it stands; what was asked, and the process.
fn waiting_fetch(world: &World, dana: &Person) -> (RequestView, std::process::Child) {
    let child = dana
        .command()
        .args(["fetch", "people", "--reason", "churn model", "-o", "people.parquet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let rita = world.api("rita");
    let request = poll("the request to stand", Duration::from_secs(20), || {
        let pending: Vec<RequestView> = rita.get("/v1/requests?state=pending").json();
        pending.into_iter().next()
    });
    (request, child)
}

#[test]
fn ctrl_c_while_it_waits_leaves_the_request_standing_and_says_how_to_go_on() {
    let world = World::new();
    let dana = world.signed_in("dana");
    for name in ["INT", "TERM", "HUP"] {
        let (request, child) = waiting_fetch(&world, &dana);
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(output.status), 5, "SIG{name}: {said}");
        assert!(
            said.contains(&format!("chunkctl fetch --request {}", request.id)),
            "SIG{name}: {said}"
        );
        assert_eq!(world.api("rita").show(&request).state, RequestState::Pending);
        // It is picked up as the message says, once somebody has agreed.
        world.api("rita").approve(&request);
        dana.run(&["fetch", "--request", request.id.as_str(), "-o", &format!("{name}.parquet")])
            .exits(0);
    }
    let left: Vec<_> = std::fs::read_dir(dana.dir())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?} was left behind");
}

#[test]
fn a_broker_that_is_told_to_stop_records_how_its_deliveries_ended_though_nobody_reads_them() {
    let mut world = World::new();
    let (dana, anna) = (world.api("dana"), world.api("anna"));
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    // A client that takes the head of the answer and then reads no more.
    let silent = dana.begin("POST", &format!("/v1/requests/{}/chunks/0", request.id));
    poll("the delivery to run", Duration::from_secs(20), || {
        (dana.show(&request).state == RequestState::Running).then_some(())
    });
    let started = Instant::now();
    assert_eq!(world.stop(), 0, "{}", world.log_text());
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "stopping took {} s",
        started.elapsed().as_secs()
    );
    drop(silent);
    world.start();
    let view = dana.show(&request);
    assert_eq!(view.state, RequestState::Paused);
    assert_eq!(view.deliveries.last().unwrap().end.as_deref(), Some("cut"));
    assert_whole(&anna.entries());
    // What was cut can be had.
    assert!(dana.fetch(&request).complete);
}

#[test]
fn sighup_puts_new_policies_in_force_and_keeps_the_old_ones_when_the_new_have_a_fault() {
    let mut world = World::new();
    let dana = world.api("dana");
    let decision = |world: &World| {
        let answer = dana.plan(&slice("people", None, Some(5)), Format::Csv, "why");
        let plan: PlanAnswer = answer.json();
        (
            plan.decision,
            world
                .api("anna")
                .entries()
                .iter()
                .filter(|entry| entry.header["k"] == "policy.load")
                .count(),
        )
    };
    let (before, loads) = decision(&world);
    assert_eq!(before, "needs_approval");

    world
        .setup_mut()
        .policies
        .push_str("@id(\"closed\") forbid (principal, action == Action::\"fetch\", resource == Dataset::\"people\");\n");
    world.write_config();
    signal(world.broker().pid(), "HUP");
    poll("the new policies", Duration::from_secs(20), || {
        (decision(&world).0 == "denied").then_some(())
    });
    assert_eq!(decision(&world).1, loads + 1, "a change of policy is an entry");

    for fault in [
        "forbid (principal, action == Action::\"fetch\", resource",
        "forbid (principal, action == Action::\"fetch\", resource == Dataset::\"poeple\");",
    ] {
        let good = world.setup_mut().policies.clone();
        world.setup_mut().policies = good.replace(
            "@id(\"closed\") forbid (principal, action == Action::\"fetch\", resource == Dataset::\"people\");",
            fault,
        );
        world.write_config();
        let (lines, pid) = (world.log_text().lines().count(), world.broker().pid());
        signal(pid, "HUP");
        poll("the fault to be told", Duration::from_secs(20), || {
            world
                .log_text()
                .lines()
                .skip(lines)
                .any(|line| line.contains("\"ERROR\"") && line.contains("polic"))
                .then_some(())
        });
        let (after, after_loads) = decision(&world);
        assert_eq!((after.as_str(), after_loads), ("denied", loads + 1), "a faulty set took effect");
        world.setup_mut().policies = good;
    }
}

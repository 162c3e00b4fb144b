//! A whole development broker, but for its scanner: made, found answering, stopped, and started again as the same one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::serve::tests::{let_go, ports};

fn write(dir: &Path, _: u64) -> Result<(), String> {
    ["customers.parquet", "orders.parquet"]
        .iter()
        .try_for_each(|name| std::fs::write(dir.join(name), ""))
        .map_err(|e| e.to_string())
}

fn args(dir: &Path) -> DevArgs {
    DevArgs {
        dir: dir.join("broker"),
        data: None,
        orders: 10,
        port: 0,
        issuer_port: 0,
        ready_file: Some(dir.join("ready.json")),
        json: false,
        until_stdin_closes: false,
    }
}

fn get(base: &str, path: &str) -> String {
    let authority = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts it, asks it a few things once it is ready, stops it; gives its ready line.
async fn visit(dir: &Path) -> serde_json::Value {
    let (stop, stopped) = oneshot::channel::<()>();
    let ready_file = dir.join("ready.json");
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let visitor = tokio::task::spawn_blocking(move || {
        // The file appears whole, when both answer.
        let line = loop {
            match std::fs::read_to_string(&ready_file) {
                Ok(line) => break line,
                Err(_) if is_over.load(Ordering::Relaxed) => return None,
                Err(_) => std::thread::yield_now(),
            }
        };
        std::fs::remove_file(&ready_file).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let (broker, issuer) = (line["broker"].as_str().unwrap(), line["issuer"].as_str().unwrap());
        assert!(get(broker, "/readyz").starts_with("HTTP/1.1 200"), "{}", get(broker, "/readyz"));
        let info = get(broker, "/v1/info");
        assert!(info.contains("\"insecure_development\":true") && info.contains(issuer), "{info}");
        assert!(get(issuer, "/.well-known/openid-configuration").contains(&format!("\"issuer\":\"{issuer}\"")));
        assert!(get(issuer, "/device").contains(WARNING));
        stop.send(()).unwrap();
        Some(line)
    });
    let asked = async {
        stopped.await.ok();
    };
    let ended = run_until(args(dir), ports(), Env::of(&[]), write, asked).await;
    over.store(true, Ordering::Relaxed);
    let line = visitor.await.unwrap();
    ended.unwrap();
    let_go(&config::load(&dir.join("broker/broker.toml")).unwrap()).await;
    line.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_itself_answers_and_comes_back_as_the_same_broker() {
    let dir = tempfile::tempdir().unwrap();
    let first = visit(dir.path()).await;
    let origin = std::fs::read_to_string(dir.path().join("broker/data/installation.json")).unwrap();
    let again = visit(dir.path()).await;
    assert_eq!(first["broker"], again["broker"]);
    assert_eq!(first["issuer"], again["issuer"]);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("broker/data/installation.json")).unwrap(),
        origin
    );
}

/// Takes its time, as the sample of a hundred million orders does.
fn write_until_the_folder_is_gone(dir: &Path, orders: u64) -> Result<(), String> {
    write(dir, orders)?;
    while dir.exists() {
        std::thread::yield_now();
    }
    Err("the folder went away".into())
}

#[tokio::test]
async fn a_stop_before_it_is_ready_ends_it_and_leaves_nothing_half_made() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("broker");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    // While the sample is made.
    let at_work = async {
        while !names().iter().any(|name| name.starts_with(".sample-")) {
            tokio::task::yield_now().await;
        }
    };
    run_until(args(dir.path()), ports(), Env::of(&[]), write_until_the_folder_is_gone, at_work)
        .await
        .unwrap();
    assert_eq!(names(), ["dev.lock"]);
    assert!(!dir.path().join("ready.json").exists());

    // While the broker starts: it is stopped as one that has started is.
    let configured = async {
        while !folder.join("broker.toml").exists() {
            tokio::task::yield_now().await;
        }
    };
    run_until(args(dir.path()), ports(), Env::of(&[]), write, configured).await.unwrap();
    let_go(&config::load(&folder.join("broker.toml")).unwrap()).await;
    // The folder is as good as after any other stop.
    visit(dir.path()).await;
}

#[tokio::test]
async fn a_folder_serves_one_process_and_a_foreign_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _held = folder::claim(&dir.path().join("broker")).unwrap();
    let refused = run_until(args(dir.path()), ports(), Env::of(&[]), write, std::future::pending())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("Another `chunk-broker dev`"), "{refused}");
    drop(_held);

    let config = dir.path().join("broker/broker.toml");
    std::fs::write(&config, "").unwrap();
    assert!(
        run_until(args(dir.path()), ports(), Env::of(&[]), write, std::future::pending())
            .await
            .is_err()
    );
}

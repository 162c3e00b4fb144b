//! What starting `chunkctl` costs beside starting a program that does nothing.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::median;
use crate::support::servers;

pub(crate) fn measure(json: bool, rounds: u64) {
    let ours = servers::program("chunkctl");
    let home = tempfile::tempdir().unwrap();
    let once = |program: &std::path::Path, arguments: &[&str]| -> f64 {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = Instant::now();
        assert!(command.status().unwrap().success());
        started.elapsed().as_secs_f64() * 1000.0
    };
    let nothing = std::path::Path::new("/bin/true");
    let (mut version, mut idle) = (Vec::new(), Vec::new());
    for round in 0..rounds + 10 {
        let (a, b) = (once(&ours, &["--version"]), once(nothing, &[]));
        if round >= 10 {
            version.push(a);
            idle.push(b);
        }
    }
    let (version, idle) = (median(&version), median(&idle));
    let bytes = std::fs::metadata(&ours).unwrap().len();
    if json {
        println!(
            "{}",
            json!({ "event": "bench.startup", "rounds": rounds, "chunkctl_version_ms": version, "true_ms": idle, "added_ms": version - idle, "binary_bytes": bytes })
        );
    } else {
        println!(
            "chunkctl --version  {version:6.2} ms   (median of {rounds}, taking turns; {:.1} MiB)",
            bytes as f64 / f64::from(1 << 20)
        );
        println!("/bin/true           {idle:6.2} ms");
        println!("added               {:6.2} ms   (aim: at most 10)", version - idle);
    }
}

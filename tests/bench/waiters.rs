//! Many people who wait for approval at once on one broker: what each costs in memory, and how soon after the verdict their first
//! byte arrives while all the others wait.
//!
//! Each waits as `chunkctl fetch` does, on a stream of events of their own over TLS; when it says approved, they fetch ten masked
//! rows from PostgreSQL. One reviewer approves them one after another at a steady pace. Clients, broker and database share the cores.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chunk_wire::fetch::{Format, RequestState, RequestView};
use serde_json::json;

use crate::support::api::{id_token, slice};
use crate::support::{Api, Setup, World, servers, wait};
use crate::{memory_kib, percentile};

/// A broker accepts so many connections from one address, and a bit more than these.
const PEOPLE_AN_ADDRESS: usize = 150;
const VERDICTS_A_SECOND: u32 = 20;
/// A broker that has as much to do as it can says so, and is asked again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

struct Waiter {
    api: Api,
    request: RequestView,
}

pub(crate) fn measure(json: bool, people: usize) {
    let mut setup = Setup::standard();
    setup.tls = true;
    let world = World::with(setup);
    let ca = reqwest::Certificate::from_pem(&std::fs::read(world.ca().unwrap()).unwrap()).unwrap();
    let client = |address: Ipv4Addr| {
        let builder = reqwest::Client::builder().tls_certs_only([ca.clone()]);
        Api::over(&world.url, builder.local_address(std::net::IpAddr::from(address)))
    };
    let rita = client(Ipv4Addr::LOCALHOST).sign_in("rita");
    let rss_before = resident_kib(&world);

    eprintln!("{people} people sign in and ask …");
    let waiters: Vec<Arc<Waiter>> = (0..people)
        .map(|n| {
            let part = u8::try_from(1 + n / PEOPLE_AN_ADDRESS).unwrap();
            let api = client(Ipv4Addr::new(127, 0, 1, part));
            api.keep(
                api.open(&id_token(&servers::issuer(), "chunkctl", &format!("developer_{n}")))
                    .json(),
            );
            let request = api.request(&slice("people", None, Some(10)), Format::Csv);
            Arc::new(Waiter { api, request })
        })
        .collect();
    let rss_asked = resident_kib(&world);

    let runtime = wait(async { tokio::runtime::Handle::current() });
    let waiting: Vec<_> = waiters
        .iter()
        .map(|waiter| {
            waiter.api.raw("GET", "/v1/info", None, &[]); // a nonce that is young
            let mut events = waiter.api.begin("GET", &format!("/v1/requests/{}/events", waiter.request.id));
            let waiter = Arc::clone(waiter);
            let (said, heard) = tokio::sync::oneshot::channel();
            let follow = async move {
                let (mut text, mut said) = (String::new(), Some(said));
                while let Some(bytes) = events.chunk().await.unwrap() {
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                    if let Some(said) = said.take() {
                        said.send(()).unwrap();
                    }
                    if text.contains(r#""state":"approved""#) {
                        break;
                    }
                }
                first_byte(&waiter).await
            };
            (heard, runtime.spawn(follow))
        })
        .collect();
    let (heard, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
    // Everybody was told once: everybody waits.
    heard.into_iter().for_each(|heard| wait(heard).unwrap());
    let rss_waiting = resident_kib(&world);

    let begun = Instant::now();
    let mut verdicts = Vec::new();
    for (n, waiter) in (0..).zip(&waiters) {
        let due = begun + Duration::from_secs(1) * n / VERDICTS_A_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        verdicts.push(Instant::now());
        assert_ne!(rita.approve(&waiter.request).state, RequestState::Pending);
    }
    let mut ms = Vec::new();
    let mut asked_again = 0;
    for (verdict, waiting) in verdicts.into_iter().zip(waiting) {
        let (arrived, refused) = wait(waiting).unwrap();
        ms.push((arrived - verdict).as_secs_f64() * 1000.0);
        asked_again += refused;
    }
    let (p50, p99) = (percentile(&mut ms, 50), percentile(&mut ms, 99));
    let each = |kib: u64| kib.saturating_sub(rss_before) as f64 / people as f64;
    if json {
        println!(
            "{}",
            json!({ "event": "bench.waiters", "people": people, "kib_each_asked": each(rss_asked), "kib_each_waiting": each(rss_waiting),
                "first_byte_p50_ms": p50, "first_byte_p99_ms": p99, "asked_again": asked_again, "broker_kib": rss_waiting })
        );
    } else {
        println!("people waiting at once                        {people}");
        println!("memory each, signed in and asked              {:.1} KiB", each(rss_asked));
        println!("memory each, waiting on a stream of their own {:.1} KiB", each(rss_waiting));
        println!("memory of the broker then                     {} MiB", rss_waiting / 1024);
        println!(
            "from verdict to first byte, p50 and p99       {p50:.1} ms, {p99:.1} ms ({VERDICTS_A_SECOND} verdicts a second; asked again {asked_again} times)"
        );
    }
}

fn resident_kib(world: &World) -> u64 {
    memory_kib(world.broker().pid(), "VmRSS:").unwrap()
}

/// Fetches; when the first byte arrived, and how often the broker was too busy.
async fn first_byte(waiter: &Waiter) -> (Instant, u32) {
    let path = format!("/v1/requests/{}/chunks/0", waiter.request.id);
    let mut refused = 0;
    loop {
        let mut response = waiter.api.begun("POST", &path).await;
        match response.status().as_u16() {
            200 => {
                assert!(response.chunk().await.unwrap().is_some(), "rows");
                let arrived = Instant::now();
                while response.chunk().await.unwrap().is_some() {}
                return (arrived, refused);
            }
            429 | 503 => refused += 1,
            _ => panic!("{}: {}", response.status(), response.text().await.unwrap()),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

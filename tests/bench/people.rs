//! What signing in, refreshing and asking cost while a hundred people do it at once: over TLS, every call with a proof of its own
//! (DPoP), checked, and every sign-in and request an entry that is durable before the answer.
//!
//! The ID tokens are made before, by the identity provider; what is timed is the broker's part. Clients, broker and database share
//! the cores.

use std::sync::{Barrier, Mutex};
use std::time::Instant;

use chunk_wire::fetch::Format;
use chunk_wire::session::RefreshSession;
use serde_json::json;

use crate::percentile;
use crate::support::api::{id_token, slice};
use crate::support::{Api, Setup, World, servers};

/// Requests that each client makes.
const REQUESTS_EACH: usize = 5;

pub(crate) fn measure(json: bool, people: usize, rounds: u64) {
    let mut setup = Setup::standard();
    setup.tls = true;
    let world = World::with(setup);
    let ca = reqwest::Certificate::from_pem(&std::fs::read(world.ca().unwrap()).unwrap()).unwrap();
    let mut taken: [(&str, Vec<f64>); 3] = [("sign-in", Vec::new()), ("refresh", Vec::new()), ("plan and request", Vec::new())];
    for _ in 0..rounds {
        let clients: Vec<(Api, String)> = (0..people)
            .map(|n| {
                let api = Api::over(&world.url, reqwest::Client::builder().tls_certs_only([ca.clone()]));
                // Connects, and gets the broker's nonce, as a client that has been here before.
                assert_eq!(api.raw("GET", "/v1/info", None, &[]).status, 200);
                (api, id_token(&servers::issuer(), "chunkctl", &format!("developer_{n}")))
            })
            .collect();
        let [sign_in, refresh, request] = &mut taken;
        sign_in
            .1
            .append(&mut together(&clients, |(api, token)| api.keep(api.open(token).json())));
        refresh.1.append(&mut together(&clients, |(api, _)| {
            let refresh_token = api.tokens().refresh_token;
            api.forget();
            api.keep(api.post("/v1/sessions/refresh", &RefreshSession { refresh_token }).json());
        }));
        for _ in 0..REQUESTS_EACH {
            request.1.append(&mut together(&clients, |(api, _)| {
                api.request(&slice("people", None, Some(10)), Format::Csv);
            }));
        }
    }
    if !json {
        println!("{people} at once      | measured |  p50 ms |  p99 ms");
    }
    for (what, mut ms) in taken {
        let (count, p50, p99) = (ms.len(), percentile(&mut ms, 50), percentile(&mut ms, 99));
        if json {
            println!(
                "{}",
                json!({ "event": "bench.people", "what": what, "clients": people, "measured": count, "p50_ms": p50, "p99_ms": p99 })
            );
        } else {
            println!("{what:<17} | {count:>8} | {p50:>7.1} | {p99:>7.1}");
        }
    }
}

/// Lets all clients begin at the same moment; how long each took, ms.
fn together<C: Sync>(clients: &[C], act: impl Fn(&C) + Sync) -> Vec<f64> {
    let (start, taken) = (Barrier::new(clients.len()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| {
                start.wait();
                let began = Instant::now();
                act(client);
                taken.lock().unwrap().push(began.elapsed().as_secs_f64() * 1000.0);
            });
        }
    });
    taken.into_inner().unwrap()
}

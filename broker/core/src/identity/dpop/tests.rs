#![expect(clippy::unwrap_used, reason = "tests")]

use chunk_wire::dpop::{ProofClaims, access_token_hash, sign};
use ring::signature::Ed25519KeyPair;

use super::*;

const NOW_MS: i64 = 1_800_000_000_500;
const NOW_S: i64 = NOW_MS / 1000;
const URL: &str = "https://broker.example/v1/plans";

fn key(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}

fn gate() -> ProofGate {
    ProofGate::new([3; 32])
}

fn claims(gate: &ProofGate, jti: &str) -> ProofClaims {
    ProofClaims {
        jti: jti.into(),
        htm: "POST".into(),
        htu: URL.into(),
        iat: NOW_S,
        ath: Some(access_token_hash("token")),
        nonce: Some(gate.nonce(NOW_MS)),
    }
}

fn check(gate: &ProofGate, claims: &ProofClaims) -> Result<SignedProof, ProofRefused> {
    accept(gate, &sign(&key(1), claims), Some("token"), NOW_MS)
}

fn accept(gate: &ProofGate, proof: &str, token: Option<&str>, now_ms: i64) -> Result<SignedProof, ProofRefused> {
    let checked = gate.check(proof, "POST", URL, token, now_ms)?;
    gate.accept(checked, now_ms)
}

#[test]
fn a_good_proof_passes_once() {
    let gate = gate();
    let proof = sign(&key(1), &claims(&gate, "a"));
    let signed = accept(&gate, &proof, Some("token"), NOW_MS).unwrap();
    assert_eq!(signed.thumbprint, chunk_wire::dpop::thumbprint(&signed.public_key));
    let again = accept(&gate, &proof, Some("token"), NOW_MS + 1);
    assert_eq!(again.unwrap_err(), ProofRefused::Invalid("the DPoP proof has been used before"));
}

#[test]
fn a_jti_is_remembered_for_each_key_whatever_else_changes() {
    let gate = gate();
    let mut claims = claims(&gate, "a");
    check(&gate, &claims).unwrap();
    claims.iat += 1;
    assert!(check(&gate, &claims).is_err(), "the same key, another time");
    assert!(
        accept(&gate, &sign(&key(2), &claims), Some("token"), NOW_MS).is_ok(),
        "another key has its own ids"
    );
}

#[test]
fn every_wrong_claim_is_refused_and_named() {
    type Change = fn(&mut ProofClaims);
    let cases: [(&str, Change); 22] = [
        ("method", |c| c.htm = "GET".into()),
        ("method", |c| c.htm = "post".into()),
        ("URL", |c| c.htu = "http://broker.example/v1/plans".into()),
        ("URL", |c| c.htu = "https://broker.example:8443/v1/plans".into()),
        ("URL", |c| c.htu = "https://broker.example.evil.example/v1/plans".into()),
        ("URL", |c| c.htu = "https://broker.example/v1/plans/".into()),
        ("URL", |c| c.htu = "https://broker.example/v1/requests".into()),
        ("URL", |c| c.htu = "https://user@broker.example/v1/plans".into()),
        ("URL", |c| c.htu = "/v1/plans".into()),
        ("URL", |c| c.htu = "data:,x".into()),
        ("URL", |c| c.htu = String::new()),
        ("future", |c| c.iat = NOW_S + DPOP_PROOF_AGE_S_MAX + 1),
        ("too old", |c| c.iat = NOW_S - DPOP_PROOF_AGE_S_MAX),
        ("no time", |c| c.iat = i64::MAX),
        ("no time", |c| c.iat = i64::MIN),
        ("does not name", |c| c.ath = None),
        ("another access token", |c| c.ath = Some(access_token_hash("stolen"))),
        ("another access token", |c| c.ath = Some(String::new())),
        ("jti", |c| c.jti = String::new()),
        ("jti", |c| c.jti = "j".repeat(129)),
        ("too long", |c| c.jti = "j".repeat(10_000)),
        ("nonce", |c| c.nonce = None),
    ];
    for (word, change) in cases {
        let gate = gate();
        let mut claims = claims(&gate, "a");
        change(&mut claims);
        let refused = check(&gate, &claims).unwrap_err();
        assert!(refused.to_string().contains(word), "{word}: {refused}");
    }
}

#[test]
fn the_url_is_compared_as_a_url_without_its_query() {
    for htu in [
        "https://broker.example/v1/plans",
        "https://broker.example:443/v1/plans",
        "HTTPS://BROKER.example/v1/plans",
        "https://broker.example/v1/plans?x=1#y",
        "https://broker.example/v1/x/../plans",
    ] {
        let gate = gate();
        let mut claims = claims(&gate, "a");
        claims.htu = htu.into();
        check(&gate, &claims).unwrap();
    }
}

#[test]
fn without_an_access_token_no_hash_is_needed() {
    let gate = gate();
    let mut claims = claims(&gate, "a");
    claims.ath = None;
    accept(&gate, &sign(&key(1), &claims), None, NOW_MS).unwrap();
}

#[test]
fn a_nonce_must_be_ours_and_fresh() {
    let fresh = gate();
    for given_s in [0, -DPOP_NONCE_AGE_S_MAX, CLOCK_SKEW_S_MAX] {
        let mut claims = claims(&fresh, &format!("at {given_s}"));
        claims.nonce = Some(fresh.nonce(NOW_MS + given_s * 1000));
        check(&fresh, &claims).unwrap();
    }
    let mut changed = URL_SAFE_NO_PAD.decode(fresh.nonce(NOW_MS)).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let stale = [
        fresh.nonce(NOW_MS - (DPOP_NONCE_AGE_S_MAX + 1) * 1000),
        fresh.nonce(NOW_MS + (CLOCK_SKEW_S_MAX + 1) * 1000),
        ProofGate::new([4; 32]).nonce(NOW_MS),
        URL_SAFE_NO_PAD.encode(changed),
        URL_SAFE_NO_PAD.encode(NOW_S.to_be_bytes()),
        String::new(),
        "not base64!".into(),
    ];
    for nonce in stale {
        let mut claims = claims(&fresh, "stale");
        claims.nonce = Some(nonce.clone());
        assert_eq!(check(&fresh, &claims).unwrap_err(), ProofRefused::UseNonce, "{nonce}");
    }
    // Being told to use another nonce must not spend the id: the client sends the same proof again, signed anew.
    let mut claims = claims(&fresh, "stale");
    claims.nonce = Some(fresh.nonce(NOW_MS));
    check(&fresh, &claims).unwrap();
}

#[test]
fn another_keys_signature_and_foreign_tokens_are_refused() {
    let gate = gate();
    let mine = sign(&key(1), &claims(&gate, "a"));
    let theirs = sign(&key(2), &claims(&gate, "a"));
    let (signed, _) = mine.rsplit_once('.').unwrap();
    let (_, signature) = theirs.rsplit_once('.').unwrap();
    for proof in [
        format!("{signed}.{signature}"),
        format!("{signed}."),
        String::new(),
        "..".into(),
        "a.b.c".into(),
    ] {
        assert!(
            matches!(accept(&gate, &proof, Some("token"), NOW_MS), Err(ProofRefused::Invalid(_))),
            "{proof}"
        );
    }
}

#[test]
fn a_full_memory_refuses_rather_than_forgets() {
    let gate = ProofGate::with_capacity([3; 32], 2);
    check(&gate, &claims(&gate, "a")).unwrap();
    check(&gate, &claims(&gate, "b")).unwrap();
    assert_eq!(check(&gate, &claims(&gate, "c")).unwrap_err(), ProofRefused::Overloaded);
    assert_eq!(
        check(&gate, &claims(&gate, "a")).unwrap_err(),
        ProofRefused::Invalid("the DPoP proof has been used before")
    );
    // Just before the window's end it is still full, at its end there is room.
    let ends_ms = (NOW_S + DPOP_PROOF_AGE_S_MAX) * 1000;
    for (now_ms, room) in [(ends_ms - 1, false), (ends_ms, true)] {
        let mut late = claims(&gate, "d");
        late.iat = now_ms / 1000;
        assert_eq!(
            accept(&gate, &sign(&key(1), &late), Some("token"), now_ms).is_ok(),
            room,
            "{now_ms}"
        );
    }
}

#[test]
fn a_clock_that_steps_back_brings_no_proof_back() {
    let gate = gate();
    let old = claims(&gate, "old");
    check(&gate, &old).unwrap();
    let later_ms = NOW_MS + 2 * DPOP_PROOF_AGE_S_MAX * 1000;
    let mut new = claims(&gate, "new");
    new.iat = later_ms / 1000;
    accept(&gate, &sign(&key(1), &new), Some("token"), later_ms).unwrap();
    assert!(
        check(&gate, &old).is_err(),
        "the clock is back at the old time, the proof was forgotten"
    );
}

#[test]
fn a_proof_that_is_only_checked_costs_no_memory() {
    let gate = ProofGate::with_capacity([3; 32], 1);
    for n in 0..100 {
        let proof = sign(&key(n), &claims(&gate, "a"));
        drop(gate.check(&proof, "POST", URL, Some("token"), NOW_MS).unwrap());
    }
    check(&gate, &claims(&gate, "a")).unwrap();
}

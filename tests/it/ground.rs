//! The ground that the stories stand on: if one of these fails, look at `tests/run` and its servers before the product.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::api::id_token;
use crate::support::servers::{self, Postgres};

#[test]
fn the_identity_provider_signs_people_in_by_device_code_with_every_algorithm() {
    for (client, algorithm) in [("chunkctl", "ES256"), ("chunkctl-rs256", "RS256"), ("chunkctl-eddsa", "EdDSA")] {
        let token = id_token(&servers::issuer(), client, "sam");
        let part =
            |n: usize| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap() };
        assert_eq!(part(0)["alg"], algorithm);
        assert_eq!(part(1)["aud"], client);
        assert_eq!(part(1)["sub"], "sam");
        assert_eq!(part(1)["groups"], serde_json::json!(["developers", "reviewers"]));
    }
}

#[test]
fn postgresql_holds_a_million_people_with_canaries_and_logs_statements() {
    let postgres = Postgres::get();
    assert_eq!(
        postgres
            .sql("select count(*), count(distinct ssn) from people where ssn like 'CANARYSSN%'")
            .trim(),
        "1000000|1000000"
    );
    let mark = format!("mark_{}", hex::encode(crate::support::random::<6>()));
    postgres.sql(&format!("select 1 as {mark}"));
    assert!(postgres.statements_with(&mark) > 0);
}

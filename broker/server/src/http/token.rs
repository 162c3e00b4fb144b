//! The token endpoint: a workload's token for one of the broker's own (RFC 8693, RFC 6749, RFC 9449).
//!
//! It speaks OAuth's forms and errors, so that any client of that standard can use it; what it means is core's alone.

use std::sync::Arc;

use axum::extract::State;
use chunk_core::identity::workload;
use chunk_wire::problem::Code;
use chunk_wire::session::{
    ClientInfo, ExchangedToken, GRANT_TYPE_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_ID_TOKEN, TOKEN_TYPE_JWT, TokenExchange,
    TokenRefused,
};

use super::Gateway;
use super::body::{Answer, Form};
use super::caller::{Cx, SigningIn};
use super::problem::Refusal;

/// Where it is; errors there have OAuth's form.
pub(super) const TOKEN_PATH: &str = "/v1/token";

/// Exchanges a workload's token for a session bound to the key of the proof.
#[utoipa::path(
    post, operation_id = "exchangeToken", path = "/v1/token", tag = "sessions", security(("proof" = [])),
    request_body(content = TokenExchange, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = ExchangedToken), (status = "default", body = TokenRefused, content_type = "application/json"))
)]
pub(super) async fn exchange(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SigningIn(presented): SigningIn,
    form: Form,
) -> Result<Answer<ExchangedToken>, Refusal> {
    let asked = read(form, gateway.base())?;
    let client = ClientInfo {
        version: asked.client_version.unwrap_or_default(),
        host: asked.client_host.unwrap_or_default(),
    };
    let token = workload::exchange(&gateway.broker, &cx, presented, &asked.subject_token, client).await?;
    Ok(Answer::ok(token))
}

fn read(form: Form, audience: &str) -> Result<TokenExchange, Refusal> {
    let mut given = form.once()?;
    if given.get("grant_type").map(String::as_str) != Some(GRANT_TYPE_TOKEN_EXCHANGE) {
        let refusal = invalid(&format!("`grant_type` must be `{GRANT_TYPE_TOKEN_EXCHANGE}`."));
        return Err(refusal.word("unsupported_grant_type"));
    }
    let subject_token_type = given.remove("subject_token_type").unwrap_or_default();
    if ![TOKEN_TYPE_ID_TOKEN, TOKEN_TYPE_JWT].contains(&subject_token_type.as_str()) {
        return Err(invalid(&format!(
            "`subject_token_type` must be `{TOKEN_TYPE_ID_TOKEN}` or `{TOKEN_TYPE_JWT}`."
        )));
    }
    let requested_token_type = given.remove("requested_token_type");
    if requested_token_type.as_deref().is_some_and(|kind| kind != TOKEN_TYPE_ACCESS_TOKEN) {
        return Err(invalid(&format!("`requested_token_type` must be `{TOKEN_TYPE_ACCESS_TOKEN}`.")));
    }
    if given.contains_key("actor_token") || given.contains_key("actor_token_type") {
        return Err(invalid("Nobody acts for somebody else here: leave `actor_token` out."));
    }
    if given.contains_key("scope") {
        let refusal = invalid("There are no scopes: what a session may do is decided by policy, each time.");
        return Err(refusal.word("invalid_scope"));
    }
    let elsewhere = |name: &str| given.get(name).is_some_and(|target| target.trim_end_matches('/') != audience);
    if elsewhere("audience") || elsewhere("resource") {
        let refusal = invalid("The token would be for somebody else than this broker.");
        return Err(refusal.word("invalid_target"));
    }
    Ok(TokenExchange {
        grant_type: GRANT_TYPE_TOKEN_EXCHANGE.to_owned(),
        subject_token: given
            .remove("subject_token")
            .ok_or_else(|| invalid("`subject_token` is missing."))?,
        subject_token_type,
        requested_token_type,
        audience: given.remove("audience"),
        client_version: given.remove("client_version"),
        client_host: given.remove("client_host"),
    })
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, why)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const OWN: &str = "https://broker.example";

    fn read_with(changes: &[(&str, &str)]) -> Result<TokenExchange, Refusal> {
        let mut fields = vec![
            ("grant_type".to_owned(), GRANT_TYPE_TOKEN_EXCHANGE.to_owned()),
            ("subject_token".to_owned(), "a.b.c".to_owned()),
            ("subject_token_type".to_owned(), TOKEN_TYPE_JWT.to_owned()),
        ];
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        read(Form(fields), OWN)
    }

    #[test]
    fn a_token_exchange_is_read() {
        for good in [
            &[][..],
            &[("subject_token_type", TOKEN_TYPE_ID_TOKEN)],
            &[("requested_token_type", TOKEN_TYPE_ACCESS_TOKEN)],
            &[("audience", OWN), ("resource", "https://broker.example/")],
            &[("scope", ""), ("client_id", "whoever"), ("something", "new")],
        ] {
            assert_eq!(read_with(good).unwrap().subject_token, "a.b.c", "{good:?}");
        }
        let asked = read_with(&[("client_version", "v"), ("client_host", "h")]).unwrap();
        assert_eq!(
            (asked.client_version.as_deref(), asked.client_host.as_deref()),
            (Some("v"), Some("h"))
        );
    }

    #[test]
    fn anything_else_is_refused_with_the_standards_own_word() {
        for (changes, error) in [
            (&[("grant_type", "authorization_code")][..], "unsupported_grant_type"),
            (&[("grant_type", "")], "unsupported_grant_type"),
            (&[("subject_token", "")], "invalid_request"),
            (&[("subject_token_type", "")], "invalid_request"),
            (&[("subject_token_type", TOKEN_TYPE_ACCESS_TOKEN)], "invalid_request"),
            (&[("requested_token_type", TOKEN_TYPE_JWT)], "invalid_request"),
            (&[("actor_token", "a.b.c")], "invalid_request"),
            (&[("scope", "administer")], "invalid_scope"),
            (&[("audience", "https://other.example")], "invalid_target"),
            (&[("resource", "https://broker.example/x")], "invalid_target"),
        ] {
            assert_eq!(read_with(changes).unwrap_err().oauth_error(), error, "{changes:?}");
        }
        let twice = vec![("grant_type".to_owned(), GRANT_TYPE_TOKEN_EXCHANGE.to_owned()); 2];
        assert_eq!(read(Form(twice), OWN).unwrap_err().oauth_error(), "invalid_request");
    }
}

//! Decides whether the claims of a token with a good signature make it an ID token for this broker, now, and reads the person
//! from them.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Flow, IdTokenError, VerifiedIdentity};
use crate::limits::{CLOCK_SKEW_S_MAX, ID_TOKEN_AGE_S_MAX};
use crate::settings::IssuerSettings;

/// The issuer that a token claims, before anything about it is known.
pub(super) fn unverified_issuer(payload: &[u8]) -> Result<String, IdTokenError> {
    #[derive(Deserialize)]
    struct Unverified {
        iss: String,
    }
    serde_json::from_slice(payload)
        .map(|Unverified { iss }| iss)
        .map_err(|_| IdTokenError::Malformed("it names no issuer"))
}

/// The claims of a token.
pub(super) fn read(payload: &[u8]) -> Result<Map<String, Value>, IdTokenError> {
    serde_json::from_slice(payload).map_err(|_| IdTokenError::Malformed("its claims are not JSON"))
}

/// Whether there is such a claim.
pub(super) fn has(claims: &Map<String, Value>, claim: &str) -> bool {
    claims.get(claim).is_some_and(|value| !value.is_null())
}

/// Checks the claims of a token whose signature has been verified. A nonce is given where the broker redeemed a code for it.
pub(super) fn check(
    claims: &Map<String, Value>,
    settings: &IssuerSettings,
    token_sha256: [u8; 32],
    nonce: Option<&str>,
    now_ms: i64,
) -> Result<VerifiedIdentity, IdTokenError> {
    // Read again from the same bytes: a duplicated `iss` must not choose one issuer's keys and claim another's people.
    if text(claims, "iss") != Some(settings.issuer.as_str()) {
        return Err(IdTokenError::Issuer);
    }
    id_token_and_no_other(claims)?;
    audience(claims, settings)?;
    let flow = flow(claims, nonce)?;
    let (issued_at, expires_at, auth_time) = times(claims, ID_TOKEN_AGE_S_MAX, now_ms)?;
    authentication(claims, settings, auth_time, now_ms)?;
    let subject = subject(claims)?;
    let email = if is_false(claims.get("email_verified")) {
        None
    } else {
        text(claims, &settings.email_claim)
    };
    let name = text(claims, &settings.name_claim).map(shown).filter(|name| !name.is_empty());
    Ok(VerifiedIdentity {
        issuer: settings.issuer.clone(),
        subject: subject.to_owned(),
        name: name.unwrap_or_else(|| shown(subject)),
        email: email.filter(|email| is_plain_address(email)).map(str::to_owned),
        groups: groups(claims, &settings.groups_claim)?,
        manager: manager(claims, settings),
        amr: strings(claims.get("amr")).ok_or(IdTokenError::Malformed("`amr` must be a list of strings"))?,
        auth_time,
        issued_at,
        token_sha256,
        expires_at,
        flow,
        attestation: None,
    })
}

/// A code's token must name the key for which it was asked; what other tokens say about a key counts for nothing.
fn flow(claims: &Map<String, Value>, nonce: Option<&str>) -> Result<Flow, IdTokenError> {
    match nonce {
        None => Ok(Flow::IdToken),
        Some(nonce) if text(claims, "nonce") == Some(nonce) => Ok(Flow::Browser),
        Some(_) => Err(IdTokenError::Nonce),
    }
}

/// When and how the person authenticated, where configuration asks. That the provider was asked for it is no promise of its own: people
/// bring tokens that they asked for in other words.
fn authentication(claims: &Map<String, Value>, settings: &IssuerSettings, auth_time: Option<i64>, now_ms: i64) -> Result<(), IdTokenError> {
    if let Some(max_age_s) = settings.max_age_s {
        let auth_time = auth_time.ok_or(IdTokenError::AuthTimeMissing)?;
        let latest_s = now_ms.div_euclid(1000).saturating_sub(CLOCK_SKEW_S_MAX);
        if auth_time.saturating_add(max_age_s) < latest_s {
            return Err(IdTokenError::AuthTimeOld);
        }
    }
    let asked = &settings.acr_values;
    let given = text(claims, "acr");
    if asked.is_empty() || given.is_some_and(|acr| asked.iter().any(|asked| asked == acr)) {
        Ok(())
    } else {
        Err(IdTokenError::Acr)
    }
}

/// The subject, as the issuer spells it.
pub(in crate::identity) fn subject(claims: &Map<String, Value>) -> Result<&str, IdTokenError> {
    let subject = text(claims, "sub").ok_or(IdTokenError::Malformed("it names no subject"))?;
    if !is_name(subject) {
        return Err(IdTokenError::Malformed(
            "its subject must be 1 to 255 characters without control characters",
        ));
    }
    Ok(subject)
}

/// Providers that sign several kinds of token with one key say in a claim of theirs which kind it is.
pub(in crate::identity) fn id_token_and_no_other(claims: &Map<String, Value>) -> Result<(), IdTokenError> {
    let keycloak = text(claims, "typ").is_some_and(|typ| ["bearer", "refresh", "offline", "logout"].contains(&typ.to_lowercase().as_str()));
    let cognito = claims.get("token_use").is_some_and(|token_use| token_use != "id");
    let logout = claims.get("events").is_some();
    if keycloak || cognito || logout {
        Err(IdTokenError::Type)
    } else {
        Ok(())
    }
}

fn audience(claims: &Map<String, Value>, settings: &IssuerSettings) -> Result<(), IdTokenError> {
    let audiences = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(list @ Value::Array(_)) => strings(Some(list)).ok_or(IdTokenError::Malformed("`aud` must be strings"))?,
        _ => return Err(IdTokenError::Malformed("it names no audience")),
    };
    if settings.audience.is_empty() || !audiences.contains(&settings.audience) {
        return Err(IdTokenError::Audience);
    }
    match claims.get("azp") {
        None if audiences.len() == 1 => Ok(()),
        Some(Value::String(azp)) if *azp == settings.client_id => Ok(()),
        _ => Err(IdTokenError::AuthorizedParty),
    }
}

/// `iat`, `exp` and `auth_time`, checked against the clock.
pub(in crate::identity) fn times(
    claims: &Map<String, Value>,
    age_s_max: i64,
    now_ms: i64,
) -> Result<(i64, i64, Option<i64>), IdTokenError> {
    let now_s = now_ms.div_euclid(1000);
    let latest_s = now_s.saturating_add(CLOCK_SKEW_S_MAX);
    let time = |name: &str| {
        claims
            .get(name)
            .map(|value| seconds(value).ok_or(IdTokenError::Malformed("a time is not a number")))
            .transpose()
    };
    let exp = time("exp")?.ok_or(IdTokenError::Malformed("it has no `exp`"))?;
    let iat = time("iat")?.ok_or(IdTokenError::Malformed("it has no `iat`"))?;
    let auth_time = time("auth_time")?;
    if exp.saturating_add(CLOCK_SKEW_S_MAX) <= now_s {
        return Err(IdTokenError::Expired);
    }
    if iat > latest_s || time("nbf")?.is_some_and(|nbf| nbf > latest_s) || auth_time.is_some_and(|at| at > latest_s) {
        return Err(IdTokenError::NotYetValid);
    }
    if iat < now_s.saturating_sub(age_s_max) {
        return Err(IdTokenError::TooOld);
    }
    Ok((iat, exp, auth_time))
}

/// Who the person's manager is. What is no name that a person could have names nobody, and then nobody can approve as that.
fn manager(claims: &Map<String, Value>, settings: &IssuerSettings) -> Option<String> {
    manager_named(text(claims, settings.manager_claim.as_deref()?)?)
}

/// The same of what somebody is called.
pub(in crate::identity) fn manager_named(name: &str) -> Option<String> {
    let good = !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    good.then(|| name.to_owned())
}

/// The groups of this claim, sorted; none where there is no such claim.
pub(super) fn groups(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, IdTokenError> {
    // OpenID Connect Core §5.6.2: claims listed here are somewhere else. Entra ID does that to people in many groups.
    let elsewhere = |name: &str| claims.get("_claim_names").is_some_and(|names| names.get(name).is_some());
    if elsewhere(claim) || claims.get("hasgroups").is_some_and(|has| !is_false(Some(has))) {
        return Err(IdTokenError::GroupsIncomplete);
    }
    let mut groups = strings(claims.get(claim)).ok_or(IdTokenError::Malformed("the groups claim must be a list of strings"))?;
    if !groups.iter().all(|group| is_name(group)) {
        return Err(IdTokenError::Malformed(
            "a group must be 1 to 255 characters without control characters",
        ));
    }
    groups.sort();
    groups.dedup();
    Ok(groups)
}

pub(in crate::identity) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// The strings of a list, none where there is no list, nothing where it is something else.
pub(in crate::identity) fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

/// RFC 7519 NumericDate: whole seconds, or a fraction, which is cut off.
fn seconds(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let fraction = value.as_f64().filter(|seconds| (0.0..SECONDS_MAX).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "finite, not negative and far below i64::MAX; the fraction is meant to go"
    )]
    let whole = fraction as i64;
    Some(whole)
}

/// Some providers send booleans as text.
fn is_false(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => !value,
        Some(Value::String(value)) => value.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// Whether it can name a person or a group.
pub(in crate::identity) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}

/// A name as it may stand on a screen: no control characters, none that turn text round or are invisible.
pub(in crate::identity) fn shown(name: &str) -> String {
    let invisible = |c: char| INVISIBLE.iter().any(|range| range.contains(&c));
    name.chars()
        .filter(|c| !c.is_control() && !invisible(*c))
        .take(NAME_CHARS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}

pub(in crate::identity) fn is_plain_address(email: &str) -> bool {
    email.len() <= EMAIL_BYTES_MAX && email.contains('@') && !email.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// OpenID Connect Core §2 for the subject; the same for groups and names.
const NAME_CHARS_MAX: usize = 255;
/// RFC 3696 erratum 1690, with room for quoting.
const EMAIL_BYTES_MAX: usize = 320;
/// 2³³ years from now is not a time; floats are exact far beyond it.
const SECONDS_MAX: f64 = 1e15;
/// Soft hyphen, direction marks and overrides, zero-width characters, separators, invisible operators, byte order mark.
const INVISIBLE: [RangeInclusive<char>; 7] = [
    '\u{00AD}'..='\u{00AD}',
    '\u{061C}'..='\u{061C}',
    '\u{180E}'..='\u{180E}',
    '\u{200B}'..='\u{200F}',
    '\u{2028}'..='\u{202E}',
    '\u{2060}'..='\u{206F}',
    '\u{FEFF}'..='\u{FEFF}',
];

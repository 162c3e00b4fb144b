//! The signature of Standard Webhooks: HMAC-SHA256 over id, time of the try and body, under a secret that both sides know.
//!
//! While one secret takes another's place, what is sent is signed under both, and a receiver takes either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";
/// Bounds of the specification.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;

/// A key, from the secret's text: `whsec_` and base64. The text of an error shows nothing of it.
///
/// # Errors
/// When it is no such text, or too short to be a secret.
pub(super) fn key(secret: &str) -> Result<hmac::Key, String> {
    let encoded = secret.strip_prefix(PREFIX).ok_or("a webhook's secret begins with `whsec_`")?;
    let bytes = STANDARD
        .decode(encoded)
        .map(Zeroizing::new)
        .map_err(|_| "a webhook's secret is `whsec_` and base64")?;
    if !(BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) {
        return Err(format!(
            "a webhook's secret has {BYTES_MIN} to {BYTES_MAX} bytes; this one has {}",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The header `webhook-signature`.
pub(super) fn header(keys: &[hmac::Key], id: &str, time_s: i64, body: &str) -> String {
    let signed = format!("{id}.{time_s}.{body}");
    let signatures = keys
        .iter()
        .map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes()))));
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_vector_of_standard_webhooks_comes_out() {
        let keys = [key(SECRET).unwrap()];
        let header = header(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(header, SIGNATURE);
    }

    #[test]
    fn while_a_secret_is_rotated_both_sign() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let keys = [key(&other).unwrap(), key(SECRET).unwrap()];
        let header = header(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        let (first, second) = header.split_once(' ').unwrap();
        assert!(first.starts_with("v1,") && first != SIGNATURE && second == SIGNATURE);
    }

    #[test]
    fn what_is_no_secret_is_told_and_not_shown() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for text in [
            "hunter2",
            "whsec_hunter2!",
            "whsec_",
            &short,
            &long,
            "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let why = key(text).unwrap_err();
            assert!(!why.contains("hunter2") && why.contains("webhook's secret"), "{why}");
        }
    }
}

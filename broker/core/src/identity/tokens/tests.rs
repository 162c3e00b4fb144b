#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const NOW_MS: i64 = 1_800_000_000_123;
const URL: &str = "https://broker.example";

fn signer() -> TokenSigner {
    TokenSigner::new(&[9; 32], URL.into())
}

fn session() -> SessionId {
    SessionId::from_random([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
}

/// A token signed with the right key over a header and a payload of the test's choosing.
fn forge(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = signer().key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn payload(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut claims = serde_json::json!({
        "iss": URL, "aud": URL, "sid": session().as_str(), "cnf": {"jkt": "k"}, "iat": NOW_MS / 1000, "exp": NOW_MS / 1000 + 60,
    });
    change(&mut claims);
    claims.to_string()
}

const ACCESS: &str = r#"{"typ":"chunk-access+jwt","alg":"EdDSA"}"#;

#[test]
fn a_token_reads_back_what_was_issued() {
    for purpose in [Purpose::Access, Purpose::Refresh] {
        let token = signer().issue(purpose, &session(), "thumb", NOW_MS, NOW_MS + 60_000);
        let claims = signer().verify(purpose, &token, NOW_MS).unwrap();
        assert_eq!(claims.session, session());
        assert_eq!(claims.key, "thumb");
        assert!(claims.expires_ms <= NOW_MS + 60_000, "a token never outlives what was asked for");
        assert!(claims.expires_ms > NOW_MS + 58_000);
    }
}

#[test]
fn no_token_serves_another_purpose() {
    let access = signer().issue(Purpose::Access, &session(), "t", NOW_MS, NOW_MS + 60_000);
    let refresh = signer().issue(Purpose::Refresh, &session(), "t", NOW_MS, NOW_MS + 60_000);
    assert_eq!(signer().verify(Purpose::Refresh, &access, NOW_MS), Err(TokenError::Purpose));
    assert_eq!(signer().verify(Purpose::Access, &refresh, NOW_MS), Err(TokenError::Purpose));
    // Swapping the header breaks the signature.
    let swapped = refresh.replacen(&Purpose::Refresh.header(), &Purpose::Access.header(), 1);
    assert_eq!(signer().verify(Purpose::Access, &swapped, NOW_MS), Err(TokenError::Signature));
}

#[test]
fn every_changed_byte_is_refused() {
    let token = signer().issue(Purpose::Access, &session(), "t", NOW_MS, NOW_MS + 60_000);
    for i in 0..token.len() {
        for replacement in [b'A', b'B', b'.', b'=', b'-'] {
            let mut bytes = token.clone().into_bytes();
            if bytes.get(i) == Some(&replacement) {
                continue;
            }
            *bytes.get_mut(i).unwrap() = replacement;
            assert!(
                signer()
                    .verify(Purpose::Access, &String::from_utf8(bytes).unwrap(), NOW_MS)
                    .is_err(),
                "byte {i}"
            );
        }
    }
    for suffix in ["=", ".", "A", " ", "\n"] {
        assert!(
            signer().verify(Purpose::Access, &format!("{token}{suffix}"), NOW_MS).is_err(),
            "{suffix:?}"
        );
    }
}

#[test]
fn a_token_of_another_broker_is_refused() {
    let token = TokenSigner::new(&[9; 32], "https://other.example".into()).issue(Purpose::Access, &session(), "t", NOW_MS, NOW_MS + 60_000);
    assert_eq!(signer().verify(Purpose::Access, &token, NOW_MS), Err(TokenError::Audience));
    let token = TokenSigner::new(&[8; 32], URL.into()).issue(Purpose::Access, &session(), "t", NOW_MS, NOW_MS + 60_000);
    assert_eq!(signer().verify(Purpose::Access, &token, NOW_MS), Err(TokenError::Signature));
}

#[test]
fn a_token_ends_when_it_says() {
    let token = signer().issue(Purpose::Access, &session(), "t", NOW_MS, NOW_MS + 10_000);
    let ends_ms = signer().verify(Purpose::Access, &token, NOW_MS).unwrap().expires_ms;
    assert!(signer().verify(Purpose::Access, &token, ends_ms - 1).is_ok());
    assert_eq!(signer().verify(Purpose::Access, &token, ends_ms), Err(TokenError::Expired));
    assert_eq!(signer().verify(Purpose::Access, &token, i64::MAX), Err(TokenError::Expired));
}

#[test]
fn well_signed_but_foreign_shapes_are_refused() {
    assert!(signer().verify(Purpose::Access, &forge(ACCESS, &payload(|_| ())), NOW_MS).is_ok());
    let cases: [(&str, String, TokenError); 11] = [
        (
            r#"{"alg":"EdDSA","typ":"chunk-access+jwt"}"#,
            payload(|_| ()),
            TokenError::Malformed,
        ),
        (r#"{"typ":"chunk-access+jwt","alg":"none"}"#, payload(|_| ()), TokenError::Malformed),
        (r#"{"typ":"JWT","alg":"EdDSA"}"#, payload(|_| ()), TokenError::Malformed),
        (r#"{"typ":"dpop+jwt","alg":"EdDSA"}"#, payload(|_| ()), TokenError::Malformed),
        (ACCESS, payload(|c| c["iss"] = "https://other.example".into()), TokenError::Audience),
        (ACCESS, payload(|c| c["aud"] = serde_json::json!([URL])), TokenError::Malformed),
        (ACCESS, payload(|c| c["admin"] = true.into()), TokenError::Malformed),
        (ACCESS, payload(|c| c["sid"] = "ses_nonsense".into()), TokenError::Malformed),
        (ACCESS, payload(|c| c["exp"] = i64::MAX.into()), TokenError::Malformed),
        (
            ACCESS,
            payload(|c| c["iat"] = (NOW_MS / 1000 + 3600).into()),
            TokenError::NotYetValid,
        ),
        (ACCESS, "{}".into(), TokenError::Malformed),
    ];
    for (header, payload, error) in cases {
        assert_eq!(
            signer().verify(Purpose::Access, &forge(header, &payload), NOW_MS),
            Err(error),
            "{header} {payload}"
        );
    }
    for text in ["", ".", "..", "a.b.c", "a.b", "\u{0}.\u{0}.\u{0}"] {
        assert_eq!(
            signer().verify(Purpose::Access, text, NOW_MS),
            Err(TokenError::Malformed),
            "{text:?}"
        );
    }
    assert_eq!(
        signer().verify(Purpose::Access, &"a".repeat(1 << 20), NOW_MS),
        Err(TokenError::Malformed)
    );
}

#[test]
fn debug_output_holds_no_key() {
    assert_eq!(
        format!("{:?}", signer()),
        r#"TokenSigner { audience: "https://broker.example", .. }"#
    );
}

#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::tests::{GOOD, IDP_CERTIFICATE, faults, folder, read, with_sections};

const SAML: &str = r#"
[[saml]]
name = "corp"
issuer = "urn:corp:idp"
sso_url = "https://idp.example/sso?tenant=1"
certificate_files = ["tls/idp.pem"]
"#;

#[test]
fn a_provider_has_the_documented_defaults() {
    let config = with_sections(SAML).unwrap();
    let provider = config.saml.first().unwrap();
    assert_eq!((provider.issuer.as_str(), provider.keys.len()), ("urn:corp:idp", 1));
    assert_eq!(provider.name_id_format, "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent");
    assert_eq!(
        [&provider.groups_attribute, &provider.email_attribute, &provider.name_attribute],
        ["groups", "mail", "displayName"]
    );
    assert!(!provider.force_authn && provider.max_age_s.is_none() && provider.acr_values.is_empty());
}

#[test]
fn it_may_be_the_only_one() {
    let alone = GOOD.split("\n[[issuer]]").next().unwrap();
    let dir = folder(&format!("{alone}{SAML}"));
    let config = read(dir.path()).unwrap();
    assert_eq!((config.issuers.len(), config.saml.len()), (0, 1));
    assert!(faults(alone).contains("no `[[issuer]]` and no `[[saml]]`"));
}

#[test]
fn a_file_may_hold_the_next_key_beside_the_present_one() {
    let dir = folder(&format!("{GOOD}{SAML}"));
    std::fs::write(dir.path().join("tls/idp.pem"), format!("{IDP_CERTIFICATE}\n{IDP_CERTIFICATE}")).unwrap();
    assert_eq!(read(dir.path()).unwrap().saml.first().unwrap().keys.len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let bad = r#"
[[saml]]
name = "sso"
issuer = "not one"
sso_url = "http://idp.example/sso"
certificate_files = ["tls/cert.pem", "tls/elliptic.pem", "tls/nowhere.pem"]
name_id_format = "transient"
groups_attribute = ""
max_age_s = 0
acr_values = []

[[saml]]
name = "second"
issuer = "https://login.example.com"
sso_url = "https://idp.example/sso"
certificate_files = ["tls/idp.pem"]
audience = "x"

[[saml]]
name = "third"
certificate_files = []
"#;
    insta::assert_snapshot!(faults(&format!("{GOOD}{bad}")), @r"
    broker.toml:13: `saml.1.issuer` must be the provider's entity id exactly as its metadata writes it
    broker.toml:14: `saml.1.sso_url` must be the https:// address of the provider's HTTP-Redirect binding (http:// only on loopback)
    broker.toml:15: `saml.1.certificate_files`: tls/cert.pem is not a PEM file with the certificate that the provider signs with
    broker.toml:15: `saml.1.certificate_files`: tls/elliptic.pem has no RSA key
    broker.toml:15: `saml.1.certificate_files`: tls/nowhere.pem cannot be read (entity not found)
    broker.toml:16: `saml.1.name_id_format` must be one of `persistent`, `email_address`, `unspecified`
    broker.toml:17: `saml.1.groups_attribute` must be one line of text that is not blank
    broker.toml:18: `saml.1.max_age_s` must be between 1 and 2592000
    broker.toml:19: `saml.1.acr_values` must be one or more words without spaces, as the provider writes them in `AuthnContextClassRef`
    broker.toml:21: `saml.2` has the name or the issuer of another identity provider
    broker.toml:26: `saml.2.audience`: unknown field `audience`, expected one of `name`, `issuer`, `sso_url`, `certificate_files`, `name_id_format`, `groups_attribute`, `email_attribute`, `name_attribute`, `manager_attribute`, `force_authn`, `max_age_s`, `acr_values`
    broker.toml:28: `saml.3.issuer` is missing
    broker.toml:28: `saml.3.sso_url` is missing
    broker.toml:30: `saml.3.certificate_files` must name one file or more
    ");
}

//! Answers that must not be believed. Each differs from a good one in one thing.

use super::*;

/// An answer about somebody else, unsigned.
fn evil() -> String {
    Answer::good().unsigned().replace(">ada<", ">mallory<")
}

#[track_caller]
fn refused(message: &str) -> SamlError {
    match take(message) {
        Err(fault) => fault,
        Ok(told) => panic!("{} was let in by {message}", told.identity.subject),
    }
}

#[test]
fn an_answer_that_nobody_signed_or_somebody_else_is_refused() {
    let answer = Answer::good();
    assert!(matches!(refused(&answer.around(&answer.unsigned())), SamlError::Signature(_)));
    // The attacker's own certificate stands in `KeyInfo`.
    assert!(matches!(
        refused(&answer.around(&answer.signed_by(&FOREIGN))),
        SamlError::Signature(_)
    ));
    // The trusted one's certificate stands there, and the signature is the attacker's.
    let (theirs, ours) = (STANDARD.encode(&FOREIGN.certificate), STANDARD.encode(&TRUSTED.certificate));
    let dressed = answer.around(&answer.signed_by(&FOREIGN).replace(&theirs, &ours));
    assert!(matches!(refused(&dressed), SamlError::Signature(_)));
    // The other way round, nothing is wrong: what stands there is not looked at.
    take(&answer.around(&answer.signed().replace(&ours, &theirs))).unwrap();
}

#[test]
fn a_response_that_is_signed_does_not_make_its_assertion_good() {
    let answer = Answer::good();
    let message = answer.around(&answer.unsigned());
    let signature = answer.signature(&TRUSTED, "_r1", &canonical_response(&message));
    let signed = message.replacen("<samlp:Status>", &format!("{signature}<samlp:Status>"), 1);
    assert_eq!(refused(&signed), SamlError::Signature("it is not signed"));
}

#[test]
fn whatever_is_changed_after_it_was_signed_is_refused() {
    let good = Answer::good().message();
    for (from, to) in [
        (">ada<", ">mallory<"),
        (">data-eng<", ">admins<"),
        ("ada@example.com", "eve@example.com"),
        ("<saml:AttributeStatement>", "<saml:AttributeStatement> "),
        ("PasswordProtectedTransport", "SmartcardPKI"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"),
        ("<ds:DigestValue>", "<ds:DigestValue>AAAA"),
        ("URI=\"#_a1\"", "URI=\"\""),
        ("URI=\"#_a1\"", "URI=\"#_r1\""),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        refused(&changed);
    }
}

#[test]
fn signatures_of_another_profile_are_refused() {
    let enveloped = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>";
    let xpath = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>self::text()</ds:XPath></ds:Transform>";
    let method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let reference = "<ds:Reference URI=\"#[id]\">";
    let many = format!(
        "#\"><ec:InclusiveNamespaces xmlns:ec=\"{C14N}\" PrefixList=\"{}\"></ec:InclusiveNamespaces></ds:Transform></ds:Transforms>",
        "p ".repeat(17)
    );
    for (from, to) in [
        (method, "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        (method, "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        (method, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        (method, ""),
        ("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"),
        (enveloped, ""),
        (enveloped, xpath),
        (enveloped, &format!("{enveloped}{xpath}")),
        (C14N, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        (C14N, "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"),
        (reference, "<ds:Reference>"),
        (reference, "<ds:Reference URI=\"\">"),
        (reference, "<ds:Reference URI=\"#_r1\">"),
        ("</ds:SignedInfo>", "<ds:Reference URI=\"#_r1\"></ds:Reference></ds:SignedInfo>"),
        ("</ds:SignedInfo>", "<ds:Object></ds:Object></ds:SignedInfo>"),
        ("#\"></ds:Transform></ds:Transforms>", &many),
    ] {
        let mut answer = Answer::good();
        assert!(answer.info.contains(from), "{from}");
        answer.info = answer.info.replace(from, to);
        assert!(matches!(refused(&answer.message()), SamlError::Signature(_)), "{to}");
    }
    let good = Answer::good().message();
    let twice = good.replacen(
        "<saml:Subject>",
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/><saml:Subject>",
        1,
    );
    assert!(matches!(refused(&twice), SamlError::Signature(_)));
    // Good, with SHA-1, by the trusted key: still refused.
    let mut answer = Answer::good();
    answer.info = answer
        .info
        .replace("rsa-sha256", "rsa-sha1")
        .replace("2001/04/xmldsig-more#rsa-sha1", "2000/09/xmldsig#rsa-sha1");
    assert!(matches!(refused(&answer.message()), SamlError::Signature(_)));
}

#[test]
fn a_signed_assertion_that_is_moved_lends_its_signature_to_no_other() {
    let answer = Answer::good();
    let (original, bare) = (answer.signed(), answer.unsigned());
    let signature = {
        let start = original.find("<ds:Signature").unwrap();
        let end = original.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        original[start..end].to_owned()
    };
    let signature_around = |held: &str| signature.replace("</ds:Signature>", &format!("<ds:Object>{held}</ds:Object></ds:Signature>"));
    let into = |assertion: &str, held: &str| assertion.replacen("<saml:Subject>", &format!("{held}<saml:Subject>"), 1);
    let renamed = |assertion: &str| assertion.replace("_a1", "_evil");
    // A response whose signature is of the response, for the first two.
    let whole = answer.around(&bare);
    let of_whole = answer.signature(&TRUSTED, "_r1", &canonical_response(&whole));
    let evil_whole = |held: &str| {
        let evil = answer.around(&evil()).replace("_r1", "_r2");
        evil.replacen("<samlp:Status>", &format!("{held}<samlp:Status>"), 1)
    };
    let wrapped = [
        // 1, 2: an evil response around or beside the signed one.
        evil_whole(&of_whole.replace("</ds:Signature>", &format!("{whole}</ds:Signature>"))),
        evil_whole(&format!("{whole}{of_whole}")),
        // 3, 4: an evil assertion beside or around the signed one, with its ID or another.
        answer.around(&format!("{}{original}", renamed(&evil()))),
        answer.around(&format!("{}{original}", evil())),
        answer.around(&format!("{original}{}", renamed(&evil()))),
        answer.around(&into(&renamed(&evil()), &original)),
        // 5, 6, 8: the evil one has the signature, and the signed one is at the end, in the signature, or in an object of it.
        answer.around(&format!("{}{bare}", into(&renamed(&evil()), &signature))),
        answer.around(&into(
            &renamed(&evil()),
            &signature.replace("</ds:Signature>", &format!("{bare}</ds:Signature>")),
        )),
        answer.around(&into(&renamed(&evil()), &signature_around(&bare))),
        answer.around(&into(&evil(), &signature_around(&bare))),
        // 7: the evil one is where anything may stand.
        answer.around(&format!("<samlp:Extensions>{}</samlp:Extensions>{original}", evil())),
        answer.around(&format!("<samlp:Extensions>{}</samlp:Extensions>{original}", renamed(&evil()))),
        // The signed one hidden, and nothing else that is an assertion.
        answer.around(&format!("<samlp:Extensions>{original}</samlp:Extensions>")),
        answer.around(&format!("<x>{original}</x>")),
        // One that is called the same in another namespace.
        answer.around(&format!("<Assertion xmlns=\"urn:x\">{}</Assertion>{original}", renamed(&evil()))),
        // Two good ones.
        answer.around(&format!("{original}{original}")),
    ];
    for message in &wrapped {
        refused(message);
    }
    // The whole as the root of something else.
    refused(&format!("<soap>{}</soap>", answer.message()));
}

#[test]
fn what_two_readers_could_read_differently_is_not_read() {
    let good = Answer::good().message();
    for (from, to) in [
        (">ada<", ">ada<!---->.evil<"),
        (">ada<", "><!-- x -->ada<"),
        (">ada<", "><![CDATA[ada]]><"),
        (">ada<", "><?x y?>ada<"),
        ("<samlp:Response", "<!DOCTYPE x [<!ENTITY e \"mallory\">]><samlp:Response"),
        ("<samlp:Response", "<!-- --><samlp:Response"),
        ("<samlp:Response", "<?xml-stylesheet href=\"x\"?><samlp:Response"),
        ("<samlp:Response", "<?xml version=\"1.0\" encoding=\"UTF-16\"?><samlp:Response"),
        ("<samlp:Response", "<?xml version=\"1.0\""),
        ("</samlp:Response>", "</samlp:Response><x/>"),
        ("</samlp:Response>", "text</samlp:Response>"),
        ("ID=\"_r1\"", "ID=\"_a1\""),
        ("SessionIndex=\"_s\"", "SessionIndex=\"_s\" Id=\"_a1\""),
        (">ada<", ">&ada;<"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        assert!(matches!(refused(&changed), SamlError::Malformed(_)), "{to}: {}", refused(&changed));
    }
    // Signed by the provider itself, it is no better.
    for inside in ["ada<!---->.evil", "<b>ada</b>", "ada<b/>.evil", "", " ada", "a\nb"] {
        let answer = Answer::good().with(">ada<", &format!(">{inside}<"));
        refused(&answer.message());
    }
    assert!(matches!(
        take_bytes(&vec![b' '; SAML_RESPONSE_BYTES_MAX + 1]),
        SamlError::Malformed(_)
    ));
    assert!(matches!(take_bytes(b"\xff\xfe<"), SamlError::Malformed(_)));
    let deep = "<a>".repeat(40) + &"</a>".repeat(40);
    assert!(matches!(refused(&deep), SamlError::Malformed(_)));
    let declared = format!("<a{}/>", (0..1001).map(|i| format!(" xmlns:p{i}=\"urn:{i}\"")).collect::<String>());
    assert_eq!(refused(&declared), SamlError::Malformed("it declares too many namespaces"));
    let wide = format!("<a>{}</a>", "<b/>".repeat(20_000));
    assert!(matches!(refused(&wide), SamlError::Malformed(_)));
}

fn take_bytes(message: &[u8]) -> SamlError {
    let provider = provider();
    let expected = Expected {
        provider: &provider,
        audience: AUDIENCE,
        acs: ACS,
        request: REQUEST,
        now_ms: NOW_MS,
    };
    verify(message, &expected).unwrap_err()
}

#[test]
fn an_assertion_for_somebody_or_something_else_is_refused() {
    let (id, soon) = (format!("InResponseTo=\"{REQUEST}\""), format!("NotOnOrAfter=\"{}\"", at(300)));
    let audience = format!("<saml:Audience>{AUDIENCE}</saml:Audience>");
    let restriction = format!("<saml:AudienceRestriction>{audience}</saml:AudienceRestriction>");
    for (from, to, fault) in [
        (
            audience.as_str(),
            "<saml:Audience>https://other.example</saml:Audience>",
            SamlError::Audience,
        ),
        (&audience, "", SamlError::Audience),
        (&restriction, "", SamlError::Audience),
        (
            &restriction,
            &format!(
                "{restriction}<saml:AudienceRestriction><saml:Audience>https://other.example</saml:Audience></saml:AudienceRestriction>"
            ),
            SamlError::Audience,
        ),
        (&id, "InResponseTo=\"_other\"", SamlError::OtherRequest),
        (&format!("{id} "), "", SamlError::OtherRequest),
        (IDP, "https://other.example", SamlError::Issuer),
        (
            &format!("Recipient=\"{ACS}\""),
            "Recipient=\"https://other.example/saml/acs\"",
            SamlError::Elsewhere("`Recipient` is not this broker's address"),
        ),
        (
            &format!(" Recipient=\"{ACS}\""),
            "",
            SamlError::Elsewhere("`Recipient` is not this broker's address"),
        ),
        (&soon, &format!("NotOnOrAfter=\"{}\"", at(-61)), SamlError::Expired),
        (
            &format!("NotBefore=\"{}\"", at(-30)),
            &format!("NotBefore=\"{}\"", at(61)),
            SamlError::NotYetValid,
        ),
        (
            &format!("IssueInstant=\"{}\"", at(0)),
            &format!("IssueInstant=\"{}\"", at(-301)),
            SamlError::Expired,
        ),
        (
            &format!("IssueInstant=\"{}\"", at(0)),
            &format!("IssueInstant=\"{}\"", at(61)),
            SamlError::NotYetValid,
        ),
        (
            &format!("AuthnInstant=\"{}\"", at(-30)),
            &format!("AuthnInstant=\"{}\"", at(61)),
            SamlError::NotYetValid,
        ),
        (
            "SessionIndex=\"_s\"",
            &format!("SessionIndex=\"_s\" SessionNotOnOrAfter=\"{}\"", at(-61)),
            SamlError::Expired,
        ),
    ] {
        assert_eq!(refused(&Answer::good().with(from, to).message()), fault, "{to}");
    }
    for (from, to) in [
        (format!(" {soon}").as_str(), ""),
        (soon.as_str(), "NotOnOrAfter=\"tomorrow\""),
        (&soon, "NotOnOrAfter=\"2100-01-01T00:00:00+02:00\""),
        ("cm:bearer", "cm:holder-of-key"),
        ("cm:bearer", "cm:sender-vouches"),
        (PERSISTENT, "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
        (&format!(" Format=\"{PERSISTENT}\""), ""),
        ("SPNameQualifier=\"", "SPNameQualifier=\"https://other.example"),
        ("SPNameQualifier", "NameQualifier"),
        ("Version=\"2.0\"", "Version=\"1.1\""),
        ("</saml:Conditions>", "<saml:Condition></saml:Condition></saml:Conditions>"),
        ("<saml:Conditions", "<saml:Advice></saml:Advice><saml:Conditions"),
        ("<saml:Attribute Name=\"mail\">", "<saml:Attribute>"),
        ("Name=\"displayName\"", "Name=\"mail\""),
        ("</saml:Subject>", "</saml:Subject><saml:Subject></saml:Subject>"),
        (&id, &format!("{id} NotBefore=\"{}\"", at(-30))),
    ] {
        let fault = refused(&Answer::good().with(from, to).message());
        assert!(
            !matches!(fault, SamlError::Signature(_)),
            "{to}: refused for its signature, which is good"
        );
    }
    // What clocks may differ by is still good.
    for (from, to) in [
        (soon.as_str(), format!("NotOnOrAfter=\"{}\"", at(-59))),
        (&format!("NotBefore=\"{}\"", at(-30)), format!("NotBefore=\"{}\"", at(59))),
    ] {
        take(&Answer::good().with(from, &to).message()).unwrap();
    }
}

#[test]
fn the_message_around_it_is_for_this_exchange() {
    let good = Answer::good();
    let message = good.message();
    let fault = |from: &str, to: &str| {
        let changed = message.replacen(from, to, 1);
        assert_ne!(changed, message, "{from}");
        refused(&changed)
    };
    assert!(matches!(
        fault(&format!("Destination=\"{ACS}\""), "Destination=\"https://other.example\""),
        SamlError::Elsewhere(_)
    ));
    assert!(matches!(fault(&format!("Destination=\"{ACS}\""), ""), SamlError::Elsewhere(_)));
    assert_eq!(fault(&format!("InResponseTo=\"{REQUEST}\" "), ""), SamlError::OtherRequest);
    assert_eq!(
        fault(&format!("InResponseTo=\"{REQUEST}\""), "InResponseTo=\"_x\""),
        SamlError::OtherRequest
    );
    assert_eq!(fault(&format!(">{IDP}<"), ">https://other.example<"), SamlError::Issuer);
    assert_eq!(
        fault(
            "urn:oasis:names:tc:SAML:2.0:status:Success",
            "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
        ),
        SamlError::Status("AuthnFailed".into())
    );
    assert_eq!(
        fault("urn:oasis:names:tc:SAML:2.0:status:Success", "&lt;script&gt;"),
        SamlError::Status("Responder".into())
    );
    assert!(matches!(fault(&good.status, ""), SamlError::Malformed(_)));
    // An attribute of another namespace is another attribute, wherever it stands.
    let destination = format!("Destination=\"{ACS}\"");
    let foreign = format!("xmlns:x=\"urn:x\" x:{destination} Destination=\"https://other.example\"");
    assert!(matches!(fault(&destination, &foreign), SamlError::Elsewhere(_)));
    assert!(matches!(
        fault(&destination, &format!("xmlns:x=\"urn:x\" x:{destination}")),
        SamlError::Elsewhere(_)
    ));
    let encrypted = good.around("<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"/>");
    assert_eq!(refused(&encrypted), SamlError::Encrypted);
    assert!(matches!(refused(&good.around("")), SamlError::Malformed(_)));
}

#[test]
fn what_configuration_asks_of_the_sign_in_is_asked() {
    let message = Answer::good().message();
    let with = |change: &dyn Fn(&mut SamlSettings)| {
        let mut provider = provider();
        change(&mut provider);
        take_by(&provider, &message)
    };
    assert_eq!(
        with(&|provider| provider.max_age_s = Some(1)).map(drop),
        Ok(()),
        "within what clocks may differ by"
    );
    let old = Answer::good().with(&format!("AuthnInstant=\"{}\"", at(-30)), &format!("AuthnInstant=\"{}\"", at(-200)));
    let mut provider = provider();
    provider.max_age_s = Some(100);
    assert_eq!(take_by(&provider, &old.message()), Err(SamlError::AuthTimeOld));
    assert_eq!(with(&|provider| provider.acr_values = vec!["urn:mfa".into()]), Err(SamlError::Acr));
    let password = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
    assert!(with(&|provider| provider.acr_values = vec!["urn:mfa".into(), password.into()]).is_ok());
}

#[test]
fn groups_that_were_left_out_are_not_taken_for_none() {
    for name in ["groups.link", "http://schemas.microsoft.com/claims/groups.link"] {
        let answer = Answer::good().with("Name=\"groups\"", &format!("Name=\"{name}\""));
        assert_eq!(refused(&answer.message()), SamlError::GroupsIncomplete);
    }
    // One attribute for each group is as good as one for all.
    let answer = Answer::good().with(
        "<saml:AttributeValue>data-eng</saml:AttributeValue>",
        "</saml:Attribute><saml:Attribute Name=\"groups\"><saml:AttributeValue>data-eng</saml:AttributeValue>",
    );
    assert_eq!(take(&answer.message()).unwrap().identity.groups, ["data-eng", "oncall"]);
}

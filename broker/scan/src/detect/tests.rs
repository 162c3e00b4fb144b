//! Tables of what must be found and what must be left alone, and the checksums against their definitions.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn hits_are_replaced_by_their_label() {
    let table = [
        // e-mail
        ("write to jane.doe@example.test today", "write to [email] today"),
        ("<jane+tag@mail.example.test>", "<[email]>"),
        ("mailto:j@x.io.", "mailto:[email]."),
        ("a@b.co,c@d.org;e@f.net", "[email],[email];[email]"),
        ("\"jane doe\"@example.test", "[email]"),
        ("jürgen.müller@bücher.example", "[email]"),
        ("请联系jane@example.com谢谢", "请联系[email]谢谢"),
        ("用户@例子.广告", "[email]"),
        ("root@[192.168.0.1]", "[email]"),
        ("?to=jane%40example.test&x=1", "?to=[email]&x=1"),
        ("jane\u{200B}.doe\u{200D}@exa\u{AD}mple.test", "[email]"),
        ("ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[email]"),
        ("to ju\u{308}rgen.mu\u{308}ller@bu\u{308}cher.example now", "to [email] now"),
        ("rene\u{301}@cafe\u{301}.example", "[email]"),
        ("e\u{301}@e\u{301}.fr", "[email]"),
        // phone
        ("call +49 30 1234567 now", "call [phone] now"),
        ("+1 (212) 555-0187", "[phone]"),
        ("+12125550187", "[phone]"),
        ("+49 (0)171 234 5678", "[phone]"),
        ("0049 171 2345678", "[phone]"),
        ("(212) 555-0187", "[phone]"),
        ("212-555-0187 or 212.555.0187", "[phone] or [phone]"),
        ("1-800-555-0199", "[phone]"),
        ("030/1234567", "[phone]"),
        ("0171 2345678", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("020 7946 0958", "[phone]"),
        ("07700900123", "[phone]"),
        ("98765 43210", "[phone]"),
        ("138 0013 8000", "[phone]"),
        ("(11) 91234-5678", "[phone]"),
        ("Tel: 5550187", "Tel: [phone]"),
        ("mobile 2125550187", "mobile [phone]"),
        ("+４９ ３０ １２３４５６７", "[phone]"),
        ("+٤٩ ٣٠ ١٢٣٤٥٦٧", "[phone]"),
        ("+49\u{A0}30\u{2011}1234567", "[phone]"),
        // card
        ("pays with 4111111111111111.", "pays with [card]."),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111", "[card]"),
        ("4111.1111.1111.1111", "[card]"),
        ("4111 - 1111 - 1111 - 1111", "[card]"),
        ("3782 822463 10005", "[card]"),
        ("378282246310005", "[card]"),
        ("5555555555554444", "[card]"),
        ("6011000990139424", "[card]"),
        ("4222222222222", "[card]"),
        ("acct4111111111111111x", "acct[card]x"),
        ("12 4111 1111 1111 1111", "12 [card]"),
        ("4111\u{200B}1111\u{200B}1111\u{200B}1111", "[card]"),
        ("４１１１ １１１１ １１１１ １１１１", "[card]"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"),
        ("card 411 111111 111111 1", "card [card]"),
        ("1 4111 1111\n1111 1111", "1 [card]"),
        ("4111111111111111²", "[card]²"),
        // iban
        ("to DE89370400440532013000 please", "to [iban] please"),
        ("DE89 3704 0044 0532 0130 00 and more", "[iban] and more"),
        ("de89 3704 0044 0532 0130 00", "[iban]"),
        ("GB29 NWBK 6016 1331 9268 19", "[iban]"),
        ("IBAN:FR1420041010050500013M02606.", "IBAN:[iban]."),
        ("NO9386011117947", "[iban]"),
        ("IBANDE89370400440532013000EUR", "IBAN[iban]EUR"),
        ("DE-89-3704-0044-0532-0130-00", "[iban]"),
        ("MT84MALT011000012345MTLCAST001S", "[iban]"),
        // ssn and national ids
        ("ssn 987-65-4329", "ssn [ssn]"),
        ("000-12-3456", "[ssn]"),
        ("123 45 6789", "[ssn]"),
        ("SSN: 123456789", "SSN: [ssn]"),
        ("987\u{2013}65\u{2013}4329", "[ssn]"),
        ("CPF 529.982.247-25", "CPF [id]"),
        ("52998224725", "[id]"),
        ("44051401359", "[id]"),
        ("Steuer-ID 36574261809", "Steuer-ID [id]"),
        ("36 574 261 809", "[id]"),
        ("1 84 12 76 451 089 46", "[id]"),
        ("184127645108946", "[id]"),
        ("12345678Z", "[id]"),
        ("X1234567L", "[id]"),
        ("RSSMRA85T10A562S", "[id]"),
        ("2341 2341 2346", "[id]"),
        ("11010519491231002X", "[id]X"),
        // ip
        ("from 192.168.0.1 at", "from [ip] at"),
        ("8.8.8.8", "[ip]"),
        ("10.0.0.1:8080", "[ip]:8080"),
        ("[2001:db8::1]:443", "[[ip]]:443"),
        ("fe80::1.", "[ip]."),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[ip]"),
        ("::ffff:10.0.0.1", "[ip]"),
        // secrets
        ("key AKIAIOSFODNN7EXAMPLE!", "key [secret]!"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[secret]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[secret]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [secret]"),
        ("password=hunter22", "password=[secret]"),
        ("\"api_key\": \"abc def 123\"", "\"api_key\": \"[secret]\""),
        (
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_SECRET_ACCESS_KEY=[secret]",
        ),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://[secret]@db:5432/x"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- ok",
            "[secret] ok",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIB", "[secret]"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[secret]"),
        ("xoxb-123456789012-abcdefGHIJ", "[secret]"),
        // together
        ("jane@x.test, 4111111111111111, DE89370400440532013000", "[email], [card], [iban]"),
        ("+1 212 555 0187 2024-01-02", "[phone] 2024-01-02"),
        ("+49 30 1234567 4111 1111 1111 1111", "[phone] [card]"),
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter(|(text, want)| replace(text) != *want)
        .map(|(text, want)| (text, want, replace(text)))
        .collect();
    assert!(wrong.is_empty(), "text, expected, got: {wrong:#?}");
}

#[test]
fn ordinary_text_is_left_alone() {
    let table = [
        "",
        "The quick brown fox jumps over the lazy dog.",
        "2024-01-02T10:30:00.123456Z",
        "2024-01-02 10:30:00",
        "01.02.2024 10:30, 03.02.2024",
        "31/12/2024",
        "1700000000000",
        "order 123456789",
        "1234567890",
        "4111111111111112",
        "DE89370400440532013001",
        "550e8400-e29b-41d4-a716-446655440000",
        "12345678-1234-1234-1234-123456789012",
        "0123abcd-0123-4567-8901-012345678901",
        "v1.2.3.4 and 1.2.3.4.5",
        "256.1.1.1",
        "std::vec::Vec",
        "12:30:45",
        "00:1a:2b:3c:4d:5e",
        "@handle and 5 @ 3",
        "lodash@4.17.21",
        "user@localhost",
        "1,234,567.89",
        "$ 1.234.567,89",
        "4.12345678901234",
        "52.520008, 13.404954",
        "risk-management-consulting-2024-report",
        "token: ok",
        "https://example.test/a/b",
        "Straße, naïve, Ελλάδα, Москва, 東京",
        "grüße\u{A0}aus köln",
        "0000123456",
        "page 10 of 200, 300 items",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter(|text| contains(text))
        .map(|text| (text, replace(text)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Twice the text is at most about twice the work, and never much more than a few looks at each byte.
#[test]
fn work_grows_with_the_text_and_not_with_its_square() {
    let steps = |text: &str| {
        cursor::STEPS.with(|steps| steps.set(0));
        let _ = find(text);
        cursor::STEPS.with(std::cell::Cell::get)
    };
    for piece in [
        "pwd=",
        "pwd=\"",
        "pwd=x'",
        "token:",
        "eyJ",
        "eyJ.",
        "ghp_",
        "xghp_",
        "sk-",
        "AKIA",
        "Bearer",
        "Bearer=",
        "Bearer ",
        "Bearer.x",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN",
        "://",
        "://a:",
        "://a:b@",
        "%40",
        "a%40",
        "%40b.de",
        "a@",
        "@",
        "\"@",
        "a@b.",
        "a@[",
        "é@",
        "e\u{301}@",
        "e\u{301}%40",
        "1",
        "1 ",
        "1-",
        "4111 ",
        "1.",
        "12:",
        "::",
        "DE89 ",
        "0171 ",
        "+49 ",
        "tel 1",
        "ssn 1",
        "4111111111111111 ",
        "1.1.1.1 ",
        "12345678-1234-",
        "http://a:b@c/?to=a%40b.de&",
    ] {
        let (short, long) = (piece.repeat(2_000), piece.repeat(8_000));
        let (few, many) = (steps(&short), steps(&long));
        assert!(many <= 5 * few.max(2_000), "{piece}: {few} and {many}");
        assert!(many <= 600 * long.len(), "{piece}: {many} for {}", long.len());
    }
}

fn luhn_by_definition(digits: &[u8]) -> bool {
    let mut sum = 0;
    for (i, d) in digits.iter().rev().enumerate() {
        let twice = u32::from(*d) * if i % 2 == 1 { 2 } else { 1 };
        sum += twice / 10 + twice % 10;
    }
    sum % 10 == 0
}

fn card_of(mut body: Vec<u8>) -> String {
    body.push(0);
    let last = body.len() - 1;
    let check = (0..10).find(|&d| {
        *body.get_mut(last).unwrap() = d;
        luhn_by_definition(&body)
    });
    *body.get_mut(last).unwrap() = check.unwrap();
    body.iter().map(|d| char::from(b'0' + d)).collect()
}

fn iban_of(country: &str, bban: &str) -> String {
    let spelt: String = format!("{bban}{country}00")
        .chars()
        .map(|c| c.to_digit(36).unwrap().to_string())
        .collect();
    let rest = spelt.chars().fold(0, |rest, c| (rest * 10 + c.to_digit(10).unwrap()) % 97);
    format!("{country}{:02}{bban}", 98 - rest)
}

proptest! {
    #[test]
    fn luhn_matches_its_definition(digits in prop::collection::vec(0u8..10, 0..24)) {
        prop_assert_eq!(checksum::luhn(&digits), luhn_by_definition(&digits));
    }

    #[test]
    fn every_card_is_found_whatever_surrounds_it(body in prop::collection::vec(0u8..10, 11..=17), before in "\\P{N}{0,12}", after in "\\P{N}{0,12}") {
        let mut body = body;
        body.insert(0, 4);
        let card = card_of(body);
        let text = format!("{before}{card}{after}");
        prop_assert!(!replace(&text).contains(&card), "{} in {}", card, text);
    }

    #[test]
    fn every_spaced_card_is_found(body in prop::collection::vec(0u8..10, 14), separator in "[ -]", before in "([a-zäé ,;]{0,8}[,;])?", touching in "[a-z]{0,2}", after in "[a-zäé ,;]{0,9}") {
        let mut body = body;
        body.insert(0, 5);
        let card = card_of(body);
        let groups: Vec<_> = card.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect();
        let card = groups.join(&separator);
        prop_assert_eq!(replace(&format!("{before}{card}{after}")).into_owned(), format!("{before}[card]{after}"));
        // After two letters the digits may be an account number (IBAN) as well; they are gone all the same.
        let replaced = replace(&format!("{before}{touching}{card}{after}")).into_owned();
        prop_assert!(!replaced.bytes().any(|b| b.is_ascii_digit()), "{replaced}");
    }

    #[test]
    fn every_iban_is_found_and_every_wrong_digit_noticed(bban in "[0-9]{18}", place in 4usize..22, change in 1u8..10) {
        let iban = iban_of("DE", &bban);
        let spaced: Vec<_> = iban.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect();
        prop_assert_eq!(replace(&format!("x {} y", spaced.join(" "))).into_owned(), "x [iban] y");
        let mut wrong = iban.into_bytes();
        let digit = wrong.get_mut(place).unwrap();
        *digit = b'0' + (*digit - b'0' + change) % 10;
        prop_assert!(!checksum::iban(&wrong));
    }

    #[test]
    fn every_address_is_found(local in "[a-z][a-z0-9._+-]{0,12}[a-z0-9]", domain in "[a-z][a-z0-9-]{0,8}[a-z0-9]", tld in "[a-z]{2,6}", before in "[ (<,;]{0,3}", after in "[ )>,;]{0,3}") {
        let text = format!("{before}{local}@{domain}.{tld}{after}");
        prop_assert_eq!(replace(&text).into_owned(), format!("{before}[email]{after}"));
    }

    #[test]
    fn nothing_panics_and_hits_are_in_order(text in "\\PC{0,80}") {
        let hits = find(&text);
        let mut from = 0;
        for hit in hits {
            prop_assert!(hit.start >= from && hit.end > hit.start && text.is_char_boundary(hit.start) && text.is_char_boundary(hit.end));
            from = hit.end;
        }
    }

    #[test]
    fn nothing_panics_on_what_looks_like_hits(text in "[0-9@:.+() A-Z\u{200B}٣-]{0,60}") {
        let _ = replace(&text);
    }
}

//! What does a column's name say about its values?
//!
//! `078051120` is a number like any other until it stands in a column called `ssn`. A name is to a column what `tel:` is to
//! a number in a sentence: it announces what comes. A value that has the shape of what is announced is then a finding as a
//! whole, with no checksum asked for; and bare numbers within longer texts count as they do beside an announcing word.

use super::fold;
use super::{Hit, Kind, find_announced};

/// What a column announces, if anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Column(Option<Kind>);

impl Column {
    /// By its name, however that is written: `ssn`, `customer_phone_2`, `cardNumber`, `PASSPORT NO`.
    #[must_use]
    pub fn named(name: &str) -> Column {
        let words = words(name);
        let whole = words.concat();
        let rule = RULES.iter().find(|rule| {
            words.iter().any(|w| rule.words.contains(&w.as_str()))
                || rule.parts.iter().any(|part| whole.contains(part))
                || rule.ends.iter().any(|end| whole.ends_with(end))
        });
        Column(rule.map(|rule| rule.kind))
    }

    /// What is announced.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        self.0
    }

    /// Every finding in one of the column's values.
    #[must_use]
    pub fn find(self, text: &str) -> Vec<Hit> {
        match self.0 {
            Some(kind) if fits(kind, text) => vec![Hit {
                kind,
                start: 0,
                end: text.len(),
            }],
            announced => find_announced(text, announced),
        }
    }

    /// Whether there is anything to find.
    #[must_use]
    pub fn contains(self, text: &str) -> bool {
        !self.find(text).is_empty()
    }
}

/// A kind and the names that announce it.
struct Rule {
    kind: Kind,
    /// Words of the name.
    words: &'static [&'static str],
    /// Parts of the name without what separates its words; none that is also a part of something else.
    parts: &'static [&'static str],
    /// How the name may end: `token_count` is no token.
    ends: &'static [&'static str],
}

const RULES: [Rule; 6] = [
    Rule {
        kind: Kind::Secret,
        words: &[],
        parts: &[],
        ends: &[
            "password",
            "passwordhash",
            "passwd",
            "passwort",
            "kennwort",
            "passphrase",
            "pwd",
            "secret",
            "token",
            "apikey",
            "accesskey",
            "secretkey",
            "privatekey",
        ],
    },
    Rule {
        kind: Kind::Ssn,
        words: &["ssn", "itin"],
        parts: &["socialsecurity", "socsec"],
        ends: &[],
    },
    Rule {
        kind: Kind::Iban,
        words: &["iban", "bban"],
        parts: &["bankaccount"],
        ends: &[],
    },
    Rule {
        kind: Kind::Card,
        words: &["pan", "cc"],
        parts: &[
            "creditcard",
            "debitcard",
            "paymentcard",
            "cardnumber",
            "cardno",
            "cardnum",
            "kreditkarte",
            "ccnumber",
        ],
        ends: &["card"],
    },
    Rule {
        kind: Kind::NationalId,
        words: &[
            "nin", "nino", "tin", "cpf", "pesel", "dni", "nif", "nie", "nir", "sin", "bsn", "curp",
        ],
        parts: &[
            "passport",
            "reisepass",
            "nationalid",
            "nationalinsurance",
            "socialinsurance",
            "taxid",
            "taxnumber",
            "steuerid",
            "steuernummer",
            "identitycard",
            "idcard",
            "personalausweis",
            "driverlicen",
            "driverslicen",
            "drivinglicen",
            "aadhaar",
            "aadhar",
        ],
        ends: &[],
    },
    Rule {
        kind: Kind::Phone,
        words: &["tel", "mobil", "mobile", "cell", "fax", "sms", "handy"],
        parts: &["phone", "telefon", "msisdn", "whatsapp", "rufnummer"],
        ends: &[],
    },
];

/// The words of a name, lower case: it may write them `like_this`, `likeThis` or `LIKE THIS`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphabetic() {
            let begins = !before.is_alphabetic() || (before.is_lowercase() && c.is_uppercase());
            match words.last_mut() {
                Some(word) if !begins => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        before = c;
    }
    words
}

/// Whether a whole value has the shape of what its column announces.
fn fits(kind: Kind, text: &str) -> bool {
    let folded = (!text.is_ascii()).then(|| fold::Folded::of(text).text);
    let value = folded.as_deref().unwrap_or(text).trim();
    let count = |is: fn(&u8) -> bool| value.bytes().filter(is).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let plain = value.len() <= LENGTH_MAX
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'.' | b'/' | b'_' | b'(' | b')' | b'+' | b',' | b'#'));
    match kind {
        Kind::Secret => !value.is_empty(),
        // Stored as a number, it has lost its zeros.
        Kind::Ssn => plain && letters == 0 && (7..=9).contains(&digits),
        // `ext 12`.
        Kind::Phone => plain && letters <= 3 && (5..=18).contains(&digits),
        Kind::Card => plain && letters == 0 && (12..=19).contains(&digits),
        Kind::Iban => plain && digits >= 5 && (8..=34).contains(&(digits + letters)),
        Kind::NationalId => plain && digits >= 3 && (5..=20).contains(&(digits + letters)),
        Kind::Ip | Kind::Email => false,
    }
}

const LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_announces_what_comes() {
        for (name, kind) in [
            ("ssn", Kind::Ssn),
            ("buyer_SSN", Kind::Ssn),
            ("socialSecurityNumber", Kind::Ssn),
            ("phone", Kind::Phone),
            ("customer_phone_2", Kind::Phone),
            ("PhoneNumber", Kind::Phone),
            ("tel", Kind::Phone),
            ("iban", Kind::Iban),
            ("cardNumber", Kind::Card),
            ("PAN", Kind::Card),
            ("card", Kind::Card),
            ("passport_no", Kind::NationalId),
            ("Tax ID", Kind::NationalId),
            ("user_password", Kind::Secret),
            ("apiKey", Kind::Secret),
            ("refresh_token", Kind::Secret),
        ] {
            assert_eq!(Column::named(name).kind(), Some(kind), "{name}");
        }
        for name in [
            "id",
            "name",
            "telemetry",
            "token_count",
            "password_changed_at",
            "card_color",
            "company",
            "span",
            "account",
            "cellar",
            "assn",
            "",
            "名前",
        ] {
            assert_eq!(Column::named(name).kind(), None, "{name}");
        }
    }

    #[test]
    fn a_bare_value_is_found_where_its_column_announces_it() {
        for (name, value, finds) in [
            ("ssn", "078051120", true),
            ("ssn", "78051120", true),
            ("ssn", "078 05 1120", true),
            ("ssn", "unknown", false),
            ("ssn", "see 078051120, or ask", true),
            ("phone", "2125550187", true),
            ("phone", "５５５０１８７", true),
            ("phone", "555-0187 ext 12", true),
            ("phone", "none", false),
            ("phone", "home 2125550187, work 2125550188", true),
            ("iban", "DE00370400440532013000", true),
            ("card", "4111111111111112", true),
            ("passport", "C01X00T47", true),
            ("passport", "expired", false),
            ("password", "hunter2", true),
            ("password", "", false),
            ("note", "078051120", false),
            ("note", "2125550187", false),
        ] {
            assert_eq!(Column::named(name).contains(value), finds, "{name}: {value}");
        }
    }
}

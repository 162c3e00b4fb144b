//! Who are the people of the sample, and what do they write?

use std::fmt::Write as _;

use super::random::Random;

/// Customer segments, the common ones more often.
pub(super) const SEGMENTS: [&str; 6] = ["consumer", "consumer", "consumer", "business", "business", "public"];

/// States of an order, the common ones more often.
pub(super) const STATUSES: [&str; 8] = [
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "shipped",
    "paid",
    "returned",
    "cancelled",
];

const FIRST: [&str; 40] = [
    "Ada", "Amir", "Anja", "Björn", "Carmen", "Chloé", "Dmitri", "Elif", "Emeka", "Fatima", "Finn", "Giulia", "Hana", "Hugo", "Ines",
    "Ivan", "Jamal", "Jana", "Kenji", "Lara", "Leila", "Liam", "Lucía", "Mads", "Maja", "Mei", "Milan", "Nadia", "Noah", "Olga", "Omar",
    "Paula", "Priya", "Rafael", "Rosa", "Sofia", "Tomás", "Uma", "Yusuf", "Zoë",
];

const LAST: [&str; 40] = [
    "Abbott",
    "Almeida",
    "Andersen",
    "Bakker",
    "Becker",
    "Bianchi",
    "Castillo",
    "Chandra",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Fontaine",
    "García",
    "Haddad",
    "Hansen",
    "Ito",
    "Jansen",
    "Kaya",
    "Keller",
    "Kowalski",
    "Larsen",
    "Lindqvist",
    "Marino",
    "Meyer",
    "Moreau",
    "Müller",
    "Nguyen",
    "Nowak",
    "Okafor",
    "Oliveira",
    "Petrov",
    "Quinn",
    "Rossi",
    "Sato",
    "Schmidt",
    "Silva",
    "Sørensen",
    "Tanaka",
    "Weber",
    "Zhang",
];

const DOMAINS: [&str; 4] = ["example.test", "mail.example.test", "post.example.test", "shop.example.test"];

/// A town and where its postcodes start.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) city: &'static str,
    area: u32,
}

const PLACES: [Place; 16] = [
    Place { city: "Aarhus", area: 80 },
    Place {
        city: "Antwerpen",
        area: 20,
    },
    Place {
        city: "Barcelona",
        area: 80,
    },
    Place { city: "Berlin", area: 10 },
    Place { city: "Bologna", area: 40 },
    Place { city: "Boston", area: 21 },
    Place { city: "Denver", area: 80 },
    Place {
        city: "Göteborg",
        area: 41,
    },
    Place { city: "Köln", area: 50 },
    Place { city: "Lyon", area: 69 },
    Place { city: "Málaga", area: 29 },
    Place {
        city: "Nashville",
        area: 37,
    },
    Place { city: "Oslo", area: 13 },
    Place {
        city: "Portland",
        area: 97,
    },
    Place { city: "Utrecht", area: 35 },
    Place { city: "Zürich", area: 80 },
];

/// First and last name.
pub(super) struct Person {
    first: &'static str,
    last: &'static str,
    domain: &'static str,
}

impl Person {
    pub(super) fn full_name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// An address of this person; the number keeps namesakes apart.
    pub(super) fn email(&self, number: u64) -> String {
        format!("{}.{}{number}@{}", plain(self.first), plain(self.last), self.domain)
    }
}

/// Lower case and without accents, as addresses are.
fn plain(name: &str) -> String {
    let letter = |c: char| match c {
        'é' | 'ë' => 'e',
        'í' => 'i',
        'á' => 'a',
        'ö' | 'ø' => 'o',
        'ü' => 'u',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(letter).collect()
}

pub(super) fn person(random: &mut Random) -> Person {
    Person {
        first: random.pick(&FIRST),
        last: random.pick(&LAST),
        domain: random.pick(&DOMAINS),
    }
}

pub(super) fn place(random: &mut Random) -> Place {
    random.pick(&PLACES)
}

impl Place {
    pub(super) fn postcode(&self, random: &mut Random) -> String {
        format!("{:02}{:03}", self.area, random.below(1_000))
    }
}

/// A number of the block that North America reserves for fiction, or one that Ofcom reserves for drama.
pub(super) fn phone(random: &mut Random) -> String {
    let area = random.pick(&[201, 303, 415, 503, 617, 646, 718, 971]);
    let line = random.below(100);
    match random.below(3) {
        0 => format!("+1 {area} 555 01{line:02}"),
        1 => format!("({area}) 555-01{line:02}"),
        _ => format!("+44 20 7946 0{:03}", random.below(1_000)),
    }
}

/// A number in a range that the Social Security Administration never issues: areas 000 and 900 to 999.
pub(super) fn ssn(random: &mut Random) -> String {
    let area = if random.one_in(10) { 0 } else { 900 + random.below(100) };
    format!("{area:03}-{:02}-{:04}", random.below(99) + 1, random.below(9_999) + 1)
}

/// A card number of a test range with a valid check digit.
pub(super) fn card(random: &mut Random) -> String {
    let prefix: &[u8] = random.pick(&[
        &[4u8, 0, 0, 0, 0, 0] as &[u8],
        &[4, 2, 4, 2, 4, 2],
        &[5, 5, 5, 5, 5, 5],
        &[2, 2, 2, 3, 0, 0],
    ]);
    let mut digits = prefix.to_vec();
    while digits.len() < 15 {
        digits.push(random.digit());
    }
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(place, &d)| doubled(u32::from(d), place % 2 == 0))
        .sum();
    digits.push(u8::try_from((10 - sum % 10) % 10).unwrap_or(0));
    digits.iter().map(|d| char::from(b'0' + d)).collect()
}

fn doubled(digit: u32, double: bool) -> u32 {
    match (double, digit) {
        (false, _) => digit,
        (true, 0..=4) => digit * 2,
        (true, _) => digit * 2 - 9,
    }
}

/// A German account number at a bank code that does not exist, with valid check digits.
fn iban(random: &mut Random) -> String {
    let account = random.below(10_000_000_000);
    let bban = format!("00000000{account:010}");
    let spelt = format!("{bban}131400"); // D, E and two zeros
    let rest = spelt.bytes().fold(0u32, |rest, b| (rest * 10 + u32::from(b - b'0')) % 97);
    let whole = format!("DE{:02}{bban}", 98 - rest);
    if random.one_in(2) {
        return whole;
    }
    let mut spaced = String::with_capacity(27);
    for (place, c) in whole.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            spaced.push(' ');
        }
        spaced.push(c);
    }
    spaced
}

const REMARKS: [&str; 12] = [
    "Please leave with the neighbour.",
    "Gift wrapping, no invoice in the parcel.",
    "Customer asks for delivery after 18:00.",
    "Second attempt; nobody was at home on Tuesday.",
    "Fragile, two boxes of 12.5 kg each.",
    "Replacement for a damaged item, see earlier order.",
    "Bitte im Hof abstellen, grüne Tür.",
    "Sonner deux fois, escalier à gauche.",
    "Dejar en conserjería, gracias.",
    "Weight 3.2 kg, shipped with the morning tour.",
    "Paid on 2024-03-05, voucher 10 % used.",
    "Colour changed from blue to green.",
];

/// What somebody in the shop wrote; now and then something that does not belong there.
pub(super) fn note(random: &mut Random) -> String {
    let mut note = random.pick(&REMARKS).to_owned();
    // Writing to a string cannot fail.
    let _ = match random.below(20) {
        0 => write!(note, " Reach her at {}.", person(random).email(random.below(1_000))),
        1 => write!(note, " Call {} first.", phone(random)),
        2 => write!(note, " Charged to {} by phone.", card(random)),
        3 => write!(note, " Refund to {} please.", iban(random)),
        4..=9 => write!(note, " {}", random.pick(&REMARKS)),
        _ => Ok(()),
    };
    note
}

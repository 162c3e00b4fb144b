//! What each mask means, a value at a time and in the plainest words. The kernels must agree with this.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chunk_port::DateUnit;
use sha2::{Digest, Sha256};

pub(super) fn redact(value: Option<&str>) -> Option<String> {
    value.map(|_| "[redacted]".to_owned())
}

pub(super) fn partial(value: Option<&str>, first: usize, last: usize) -> Option<String> {
    let characters: Vec<char> = value?.chars().collect();
    if characters.len() <= first + last {
        return Some("[redacted]".to_owned());
    }
    let is_kept = |place: usize| place < first || place >= characters.len() - last;
    Some(
        characters
            .iter()
            .enumerate()
            .map(|(place, &c)| if is_kept(place) { c } else { '*' })
            .collect(),
    )
}

pub(super) fn prefix(value: Option<&str>, keep: usize) -> Option<String> {
    Some(value?.chars().take(keep).collect())
}

pub(super) fn tokenize(value: Option<&str>, key: &[u8; 32]) -> Option<String> {
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).unwrap_or(&0) ^ with).collect() };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(value?).finalize();
    let tag = Sha256::new().chain_update(padded(0x5C)).chain_update(inner).finalize();
    let mut number = u128::from_be_bytes(tag.as_slice().get(..16)?.try_into().ok()?);
    let mut digits = Vec::new();
    for _ in 0..26 {
        digits.push("0123456789abcdefghjkmnpqrstvwxyz".chars().nth((number % 32) as usize)?);
        number /= 32;
    }
    Some(format!("tok_{}", digits.iter().rev().collect::<String>()))
}

pub(super) fn floor_whole(value: i128, bucket: i128) -> i128 {
    (i128::MIN / 2..=value)
        .rev()
        .find(|candidate| candidate % bucket == 0)
        .unwrap_or(value)
}

pub(super) fn floor_date(date: NaiveDate, unit: DateUnit) -> Option<NaiveDate> {
    match unit {
        DateUnit::Day => Some(date),
        DateUnit::Month => NaiveDate::from_ymd_opt(date.year(), date.month(), 1),
        DateUnit::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1),
    }
}

pub(super) fn floor_time(time: DateTime<Utc>, unit: DateUnit) -> Option<DateTime<Utc>> {
    Some(floor_date(time.date_naive(), unit)?.and_hms_opt(0, 0, 0)?.and_utc())
}

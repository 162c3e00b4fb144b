use super::{log, rows};
use crate::views::{Population, Sample, Sampler};

fn draw(population: Population, size: usize, seed: &str) -> Sample {
    let mut sampler = Sampler::new(population, size, seed);
    rows(&log(), 4, &[]).into_iter().for_each(|row| sampler.row(row));
    sampler.finish()
}

#[test]
fn the_same_seed_draws_the_same_sample_and_another_seed_another() {
    let first = draw(Population::Requests, 3, "2026-Q4");
    assert_eq!(first.indices, draw(Population::Requests, 3, "2026-Q4").indices);
    assert_ne!(first.indices, draw(Population::Requests, 3, "2026-Q3").indices);
    assert_eq!(first.digest, draw(Population::Requests, 3, "2026-Q3").digest);
}

#[test]
fn the_sample_is_the_smallest_numbers_of_the_whole_population() {
    let whole = draw(Population::Fetches, 1000, "s");
    assert_eq!(whole.indices.len() as u64, whole.population);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s");
    let mut numbered: Vec<_> = whole
        .indices
        .iter()
        .map(|index| (ring::hmac::sign(&key, index.to_string().as_bytes()).as_ref().to_vec(), *index))
        .collect();
    numbered.sort();
    let mut expected: Vec<u64> = numbered.into_iter().take(2).map(|(_, index)| index).collect();
    expected.sort_unstable();
    assert_eq!(draw(Population::Fetches, 2, "s").indices, expected);
}

#[test]
fn a_sheet_has_what_an_auditor_looks_up() {
    let sheet = String::from_utf8(draw(Population::Fetches, 2, "s").sheet).unwrap();
    insta::assert_snapshot!("sheet", sheet.replace("\r\n", "\n"));
    assert_eq!(sheet.matches("\r\n").count(), 3);
}

#[test]
fn an_empty_population_and_an_empty_sample_are_answers_too() {
    let none = Sampler::new(Population::Reviews, 5, "s").finish();
    assert_eq!((none.population, none.indices.len()), (0, 0));
    assert_eq!(none.digest, crate::encode::sha256_hex(b""));
    assert!(draw(Population::Reviews, 0, "s").indices.is_empty());
}

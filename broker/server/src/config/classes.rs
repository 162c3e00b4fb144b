//! `[classes]`: what the values of a labelled column become.

use std::collections::BTreeMap;
use std::ops::Range;

use chunk_port::DateUnit;
use toml::Spanned;

use super::MaskConfig;
use super::check::Check;
use super::raw::{At, Named, RawClass};

pub(super) fn classes(check: &mut Check<'_>, raw: Named<RawClass>) -> BTreeMap<String, MaskConfig> {
    let mut classes = BTreeMap::new();
    for (name, raw) in raw {
        let good = name.get_ref().len() <= 63
            && name
                .get_ref()
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        if !good {
            check.faults.at(
                &name.span(),
                format!(
                    "class `{}` must be words of a–z, 0–9 and _ joined by dots",
                    name.get_ref().escape_default()
                ),
            );
        }
        // A mask that is wrong still defines the class: datasets that use it have no fault of their own.
        let mask = mask(check, &name.span(), raw.into_inner(), &format!("classes.{}", name.get_ref())).unwrap_or(MaskConfig::Redact);
        classes.insert(name.into_inner(), mask);
    }
    classes
}

fn mask(check: &mut Check<'_>, section: &Range<usize>, raw: RawClass, path: &str) -> Option<MaskConfig> {
    let field = check.required(raw.mask, section, &format!("{path}.mask"))?;
    let kind = field.get_ref().as_str();
    if kind != "partial" {
        check.not_here(&raw.keep_first, &format!("{path}.keep_first"), "is only for mask = \"partial\"");
        check.not_here(&raw.keep_last, &format!("{path}.keep_last"), "is only for mask = \"partial\"");
    }
    if kind != "tokenize" && kind != "shift" {
        let why = "is only for mask = \"tokenize\" and \"shift\"";
        check.not_here(&raw.generation, &format!("{path}.generation"), why);
    }
    if kind != "tokenize" {
        check.not_here(
            &raw.preserve_form,
            &format!("{path}.preserve_form"),
            "is only for mask = \"tokenize\"",
        );
    }
    if kind != "shift" {
        check.not_here(&raw.days, &format!("{path}.days"), "is only for mask = \"shift\"");
    }
    if kind != "generalize" {
        check.not_here(&raw.date, &format!("{path}.date"), "is only for mask = \"generalize\"");
        check.not_here(&raw.bucket, &format!("{path}.bucket"), "is only for mask = \"generalize\"");
        check.not_here(&raw.prefix, &format!("{path}.prefix"), "is only for mask = \"generalize\"");
    }
    match kind {
        "redact" => Some(MaskConfig::Redact),
        "drop" => Some(MaskConfig::Drop),
        "scan" => Some(MaskConfig::Scan),
        "partial" => {
            if raw.keep_first.is_none() && raw.keep_last.is_none() {
                check.missing(
                    section,
                    &format!("{path}.keep_last"),
                    "or `keep_first` is missing: partial must say what it keeps",
                );
            }
            let keep_first = check.number(raw.keep_first, &format!("{path}.keep_first"), 0..=64, 0);
            let keep_last = check.number(raw.keep_last, &format!("{path}.keep_last"), 0..=64, 0);
            Some(MaskConfig::Partial {
                keep_first: u8::try_from(keep_first).ok()?,
                keep_last: u8::try_from(keep_last).ok()?,
            })
        }
        "tokenize" => Some(MaskConfig::Tokenize {
            generation: generation(check, raw.generation, path)?,
            preserve: raw.preserve_form.is_some_and(Spanned::into_inner),
        }),
        "shift" => {
            let days = check.number(raw.days, &format!("{path}.days"), 1..=3650, 180);
            Some(MaskConfig::Shift {
                generation: generation(check, raw.generation, path)?,
                days_max: u32::try_from(days).ok()?,
            })
        }
        "generalize" => {
            let units = [("day", DateUnit::Day), ("month", DateUnit::Month), ("year", DateUnit::Year)];
            let date = match raw.date {
                Some(field) => check.word(&field, &format!("{path}.date"), &units)?,
                None => DateUnit::Month,
            };
            let bucket = check.optional_number(raw.bucket, &format!("{path}.bucket"), 1..=i64::MAX);
            let prefix = check.optional_number(raw.prefix, &format!("{path}.prefix"), 1..=64);
            Some(MaskConfig::Generalize {
                date,
                bucket: bucket.and_then(|n| u64::try_from(n).ok()),
                prefix: prefix.and_then(|n| u8::try_from(n).ok()),
            })
        }
        _ => {
            check.faults.at(
                &field.span(),
                format!("`{path}.mask` must be one of `redact`, `drop`, `partial`, `tokenize`, `shift`, `generalize`, `scan`"),
            );
            None
        }
    }
}

fn generation(check: &mut Check<'_>, field: At<i64>, path: &str) -> Option<u32> {
    u32::try_from(check.number(field, &format!("{path}.generation"), 1..=i64::from(u32::MAX), 1)).ok()
}

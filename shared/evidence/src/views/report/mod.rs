//! The report by control: one file of HTML that an auditor reads, prints and files.
//!
//! It needs nothing beside itself: no script, no font, no picture from elsewhere, and says so to the browser. Every figure stands
//! beside the query that gives it; entries are named by their index, and the bundle proves each. What other people wrote is
//! escaped and made visible before it gets here.

mod sections;

use std::fmt::Write as _;

use super::assess::Assessment;
use super::checks::Role;
use super::controls::{CONTROLS, Control};
use super::text::{count, html, plural, shell};
use super::{Source, text};
use crate::bundle::Answer;
use crate::civil::rfc3339;
use crate::encode::to_hex;

const STYLE: &str = include_str!("style.css");

/// The report.
#[must_use]
pub fn report(source: &Source<'_>, assessment: &Assessment) -> String {
    let found = source.verification;
    let mut out = String::with_capacity(128 * 1024);
    // Writing to a string does not fail, here and below.
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"chunkctl\">\n<title>Evidence by control: {}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#controls\">To the controls</a>\n<main>",
        html(&found.origin),
        margins(source)
    )
    .ok();
    cover(&mut out, source, assessment);
    summary(&mut out, assessment);
    sections::controls(&mut out, source, assessment);
    sections::kinds(&mut out, assessment);
    sections::checking(&mut out, source);
    sections::elsewhere(&mut out);
    writeln!(
        out,
        "</main>\n<footer>Made by chunkctl from the bundle <code>{}</code> and nothing else: the same bundle gives the same report, byte for byte. \
         It says what the log shows; whether a control is met is for the auditor to say.</footer>\n</body>\n</html>",
        html(&source.sha256)
    )
    .ok();
    out
}

/// Header and footer of printed pages. What stands in a style sheet is reduced to characters that cannot end a string there.
fn margins(source: &Source<'_>) -> String {
    let safe = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || " ._-/:@+".contains(c) {
                    c
                } else {
                    '?'
                }
            })
            .collect()
    };
    let head = source.sha256.get(..16).unwrap_or_default();
    format!(
        "@page {{ size: A4; margin: 22mm 17mm 20mm; font: 7.5pt Helvetica, Arial, sans-serif; color: #555;\n\
         @top-left {{ content: \"Evidence by control\"; }} @top-right {{ content: \"{}\"; }}\n\
         @bottom-left {{ content: \"bundle sha256 {}\"; }} @bottom-right {{ content: counter(page) \" / \" counter(pages); }} }}\n\
         @page :first {{ @top-left {{ content: none; }} @top-right {{ content: none; }} }}\n",
        safe(&text::short(&source.verification.origin, 60)),
        safe(head)
    )
}

fn cover(out: &mut String, source: &Source<'_>, assessment: &Assessment) {
    let found = source.verification;
    out.push_str("<section class=\"cover\">\n<p class=\"eyebrow\">chunkctl · evidence by control</p>\n");
    writeln!(
        out,
        "<h1>Who read which production data</h1>\n<p class=\"lead\">What the evidence log <code>{}</code> shows, by control of ISO/IEC 27001:2022.</p>",
        html(&found.origin)
    )
    .ok();
    let (tick, words) = match found.answer {
        Answer::True => (
            "Verified: every claim holds",
            "The bundle was checked offline, under keys from the reader's own trust, before anything here was derived from it.",
        ),
        Answer::CannotTell => (
            "Cannot tell",
            "Nothing speaks against the bundle, but the trust file does not say enough.",
        ),
        Answer::False => ("FALSE", "The bundle does not prove what it claims."),
    };
    writeln!(out, "<div class=\"verdict\"><strong>{tick}</strong><p>{words}</p></div>").ok();
    if let Some(filter) = &found.filter {
        writeln!(
            out,
            "<p class=\"note\">The export was filtered by <code>{}</code>. Other entries are counted by their headers only, so figures that look into bodies cover the filtered entries alone.</p>",
            html(filter)
        )
        .ok();
    }
    if found.level < 4 {
        writeln!(
            out,
            "<p class=\"note\">The export is of disclosure level {}: parts of the entries are withheld. Where a question needs them, the report says how many entries could not be judged.</p>",
            found.level
        )
        .ok();
    }
    let disposed = match found.counts.disposed {
        0 => String::new(),
        bodies => format!(", {} disposed of", count(bodies)),
    };
    let span = match assessment.span_ms() {
        Some((first, last)) => format!("{} to {}", time(first), time(last)),
        None => "no entry".to_owned(),
    };
    out.push_str("<table class=\"facts\">\n<caption>What was examined</caption>\n<tbody>\n");
    for (name, value) in [
        ("Log", format!("<code>{}</code>", html(&found.origin))),
        (
            "Entries",
            format!(
                "{}: #{} to before #{}",
                plural(found.counts.entries, "entry", "entries"),
                found.from,
                found.to
            ),
        ),
        ("Times", span),
        (
            "Shown",
            format!(
                "level {}: {} opened, {} by header only, {} erased{}; {} outside the range for context",
                found.level,
                count(found.counts.opened),
                count(found.counts.header_only),
                count(found.counts.erased),
                disposed,
                count(found.counts.context)
            ),
        ),
        ("Signatures", format!("{} by people, checked", count(found.counts.signatures))),
        (
            "Tree head",
            format!("size {}, root <code>{}</code>", count(found.head), to_hex(&source.head_root)),
        ),
        ("Log key", format!("<code>{}</code>", html(&source.log_key))),
        ("Trusted through", html(&source.trust)),
        (
            "Bundle",
            format!("<code>{}</code>, {} bytes", html(&source.file), count(source.bytes)),
        ),
        ("SHA-256", format!("<code>{}</code>", html(&source.sha256))),
    ] {
        writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>").ok();
    }
    out.push_str("</tbody>\n</table>\n");
    out.push_str("<table>\n<caption>What the verification proved</caption>\n<thead><tr><th scope=\"col\">Claim</th><th scope=\"col\">Holds</th><th scope=\"col\">In words</th></tr></thead>\n<tbody>\n");
    for claim in &found.claims {
        writeln!(
            out,
            "<tr><th scope=\"row\"><code class=\"name\">{}</code></th><td>{}</td><td>{}</td></tr>",
            claim.id,
            answer(claim.answer),
            html(claim.text)
        )
        .ok();
    }
    out.push_str("</tbody>\n</table>\n<div class=\"sign\"><div>Examined by</div><div>Date</div></div>\n</section>\n");
}

fn summary(out: &mut String, assessment: &Assessment) {
    out.push_str(
        "<section id=\"controls\">\n<h2>Controls at a glance</h2>\n\
         <p>An <em>exception</em> is an entry that somebody should know of. <span class=\"tag worked\">control at work</span> means that something was \
         refused or stopped as it should be; <span class=\"tag ask\">to ask about</span> means that the operator should be able to explain it. \
         Neither says that a control failed.</p>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">Control</th><th scope=\"col\">Title</th>\
         <th scope=\"col\">Evidence</th><th scope=\"col\" class=\"n\">Control at work</th><th scope=\"col\" class=\"n\">To ask about</th></tr></thead>\n<tbody>\n",
    );
    for control in CONTROLS {
        let sum = |role| -> u64 {
            let answers = control.checks.iter().filter_map(|id| assessment.answer(id));
            answers
                .filter(|(check, _)| check.role == role)
                .map(|(_, answer)| answer.value)
                .sum()
        };
        writeln!(
            out,
            "<tr><td class=\"w\"><a href=\"#{}\">{}</a></td><td>{}</td><td class=\"w\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            anchor(control),
            control.number,
            control.title,
            control.reach.word(),
            number(sum(Role::Worked)),
            number(sum(Role::Ask))
        )
        .ok();
    }
    out.push_str("</tbody>\n</table></div>\n</section>\n");
}

fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::True => "<span class=\"tag good\">yes</span>",
        Answer::CannotTell => "<span class=\"tag ask\">cannot tell</span>",
        Answer::False => "<span class=\"tag ask\">NO</span>",
    }
}

/// A figure; nothing is told from something at a glance.
fn number(n: u64) -> String {
    match n {
        0 => "<span class=\"zero\">0</span>".to_owned(),
        n => count(n),
    }
}

fn anchor(control: &Control) -> String {
    control.number.to_ascii_lowercase().replace('.', "-")
}

/// `2026-11-25 10:04:11 UTC`.
fn time(ms: i64) -> String {
    let text = rfc3339(ms);
    format!(
        "{} {} UTC",
        text.get(..10).unwrap_or_default(),
        text.get(11..19).unwrap_or_default()
    )
}

/// The bundle's file as it would be typed.
fn typed(source: &Source<'_>) -> String {
    html(&shell(&text::plain(&source.file)))
}

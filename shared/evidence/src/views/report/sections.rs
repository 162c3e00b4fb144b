//! The parts of a report after its cover.

use std::fmt::Write as _;

use super::{anchor, answer, number, time, typed};
use crate::views::Source;
use crate::views::assess::{Answer, Assessment};
use crate::views::checks::{Check, Role};
use crate::views::controls::{CONTROLS, Control, ELSEWHERE};
use crate::views::text::{count, html, indices, plural};

/// One section a control.
pub(super) fn controls(out: &mut String, source: &Source<'_>, assessment: &Assessment) {
    let mut listed = Vec::new();
    for control in CONTROLS {
        section(out, source, assessment, control, &mut listed);
    }
}

fn section(
    out: &mut String,
    source: &Source<'_>,
    assessment: &Assessment,
    control: &'static Control,
    listed: &mut Vec<(&'static str, &'static Control)>,
) {
    write!(
        out,
        "<section id=\"{}\">\n<h2><span class=\"num\">{}</span>{}</h2>\n<dl class=\"about\"><dt>What it asks</dt><dd>{}</dd>\
         <dt>What the log says</dt><dd>{}</dd><dt>What it cannot say</dt><dd>{}</dd><dt>Proven</dt><dd>",
        anchor(control),
        control.number,
        control.title,
        html(control.asks),
        code(control.answers),
        code(control.silent)
    )
    .ok();
    let mut proven = Vec::new();
    for id in control.claims {
        match source.verification.claims.iter().find(|claim| claim.id == *id) {
            Some(claim) => proven.push(format!("<code>{id}</code> {}", answer(claim.answer))),
            None => proven.push(format!("<code>{id}</code> <span class=\"tag plain\">not at this level</span>")),
        }
    }
    writeln!(out, "{}</dd></dl>", proven.join(" &ensp; ")).ok();

    out.push_str("<table class=\"checks\">\n<thead><tr><th scope=\"col\">Question, and the query that answers it</th><th scope=\"col\" class=\"n\">Answer</th><th scope=\"col\"></th></tr></thead>\n<tbody>\n");
    let answers: Vec<(&'static Check, &Answer)> = control.checks.iter().filter_map(|id| assessment.answer(id)).collect();
    for (check, answer) in &answers {
        let tag = match check.role {
            Role::Ask if answer.value > 0 => "<span class=\"tag ask\">to ask about</span>",
            Role::Worked if answer.value > 0 => "<span class=\"tag worked\">control at work</span>",
            Role::Ask | Role::Worked if answer.withheld == 0 => "<span class=\"tag good\">none</span>",
            _ => "",
        };
        let withheld = if answer.withheld > 0 {
            format!(
                "<br><span class=\"tag plain\">{} not judged</span>",
                plural(answer.withheld, "entry", "entries")
            )
        } else {
            String::new()
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{}<span class=\"how\"><code>{}</code></span></th><td class=\"n\">{}</td><td>{tag}{withheld}</td></tr>",
            html(check.title),
            html(&check.command()),
            number(answer.value)
        )
        .ok();
    }
    out.push_str("</tbody>\n</table>\n");

    for (check, answer) in answers {
        if check.role == Role::Figure || answer.value == 0 {
            continue;
        }
        if let Some((_, before)) = listed.iter().find(|(id, _)| *id == check.id) {
            writeln!(
                out,
                "<p class=\"more\">{}: listed under <a href=\"#{}\">{}</a>.</p>",
                html(check.title),
                anchor(before),
                before.number
            )
            .ok();
        } else {
            list(out, check, answer);
            listed.push((check.id, control));
        }
    }
    out.push_str("</section>\n");
}

/// The entries that a question selected.
fn list(out: &mut String, check: &Check, answer: &Answer) {
    writeln!(
        out,
        "<h3>{}: {}</h3>\n<div class=\"scroll\"><table class=\"entries\">\n<thead><tr><th scope=\"col\">Entry</th><th scope=\"col\">Time (UTC)</th><th scope=\"col\">Kind</th>\
         <th scope=\"col\">Who</th><th scope=\"col\">Dataset</th><th scope=\"col\">What it says</th></tr></thead>\n<tbody>",
        html(check.title),
        count(answer.value)
    )
    .ok();
    for entry in &answer.described {
        let at = time(entry.time_ms);
        writeln!(
            out,
            "<tr><td class=\"w\">#{}</td><td class=\"w\">{}</td><td class=\"w\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            entry.index,
            at.trim_end_matches(" UTC"),
            entry.kind.as_str(),
            html(&entry.who),
            html(&entry.dataset.replace(',', ", ")),
            html(&entry.words)
        )
        .ok();
    }
    out.push_str("</tbody>\n</table></div>\n");
    let shown = answer.described.len();
    let more = answer.indices.get(shown..).unwrap_or_default();
    out.push_str("<p class=\"more\">");
    if !more.is_empty() {
        write!(out, "Further: {}", indices(more)).ok();
        let left = answer.value - answer.indices.len() as u64;
        if left > 0 {
            write!(out, " and {} more, which the query above lists", count(left)).ok();
        }
        out.push_str(". ");
    }
    out.push_str("One entry whole: <code>chunkctl audit show INDEX</code>.");
    if let Some(kind) = check.search() {
        write!(out, " At the broker: <code>chunkctl audit search --kind {kind}</code>.").ok();
    }
    out.push_str("</p>\n");
}

/// What kinds of entries there are.
pub(super) fn kinds(out: &mut String, assessment: &Assessment) {
    out.push_str("<section class=\"page\">\n<h2>Entries by kind</h2>\n<table>\n<thead><tr><th scope=\"col\">Kind</th><th scope=\"col\" class=\"n\">Entries</th><th scope=\"col\">Check it</th></tr></thead>\n<tbody>\n");
    for (kind, entries) in assessment.by_kind() {
        let query = format!("jq -s 'map(select(.kind == \"{}\")) | length' entries.jsonl", kind.as_str());
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
            kind.as_str(),
            count(entries),
            html(&query)
        )
        .ok();
    }
    writeln!(
        out,
        "<tr><th scope=\"row\">all</th><td class=\"n\">{}</td><td><code>jq -s length entries.jsonl</code></td></tr>\n</tbody>\n</table>\n</section>",
        count(assessment.entries())
    )
    .ok();
}

/// How a reader checks this document.
pub(super) fn checking(out: &mut String, source: &Source<'_>) {
    let file = typed(source);
    writeln!(
        out,
        "<section>\n<h2>How to check this report</h2>\n<p>Everything here is derived from the bundle. You need the bundle, your own trust file \
         (<code>chunkctl audit trust init</code>; compare its key with the one the operator published), and no network.</p>\n\
         <pre><code>sha256sum {file}\nchunkctl audit verify {file} --trust trust.toml\n\
         chunkctl audit convert {file} --format jsonl --trust trust.toml -o entries.jsonl\n\
         chunkctl audit convert {file} --format html --trust trust.toml -o again.html</code></pre>\n\
         <p>The first line must print the SHA-256 on the cover. The second repeats the verification; a second verifier that shares no code with \
         chunkctl is <code>tests/verify.py</code> in its repository. The third gives the file over which every query of this report runs \
         (jq 1.6 or newer). The fourth makes this report again.</p>\n\
         <p>An entry is named by its index. <code>jq 'select(.index == 7)' entries.jsonl</code> shows number 7; \
         <code>chunkctl audit sample {file} --trust trust.toml --population fetches --sample 25 --seed WORDS</code> draws 25 that nobody chose.</p>\n</section>"
    )
    .ok();
}

/// Where the evidence for other catalogues stands.
pub(super) fn elsewhere(out: &mut String) {
    out.push_str("<section>\n<h2>Other catalogues</h2>\n<p>In brief, and in our words: where in this report the evidence for requirements of other catalogues stands.</p>\n<table>\n<thead><tr><th scope=\"col\">Catalogue</th><th scope=\"col\">Requirement</th><th scope=\"col\">Subject</th><th scope=\"col\">See</th></tr></thead>\n<tbody>\n");
    for (catalogue, requirement, subject, numbers) in ELSEWHERE {
        let links: Vec<String> = CONTROLS
            .iter()
            .filter(|control| numbers.contains(&control.number))
            .map(|control| format!("<a href=\"#{}\">{}</a>", anchor(control), control.number))
            .collect();
        writeln!(
            out,
            "<tr><td class=\"w\">{catalogue}</td><th scope=\"row\" class=\"w\">{requirement}</th><td>{}</td><td>{}</td></tr>",
            html(subject),
            links.join(", ")
        )
        .ok();
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

/// A text of ours in which words between backticks are code.
fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(n, part)| {
            if n % 2 == 1 {
                format!("<code>{}</code>", html(part))
            } else {
                html(part)
            }
        })
        .collect()
}

//! The pages: where a person would type the code that the device shows, or a password, and here picks who to be.

use super::super::people::PEOPLE;

/// Said on every page, in every line of the log, and in the banner.
pub(in super::super) const WARNING: &str = "INSECURE DEVELOPMENT ISSUER: no password is asked, anyone on this machine can be anyone";

/// Asks for the code, or shows it filled in, with everybody to choose from.
pub(super) fn ask(user_code: Option<&str>, client: Option<&str>, fault: Option<&str>) -> String {
    let mut body = String::new();
    if let Some(fault) = fault {
        body.push_str(&format!("<p class=fault role=alert>{}</p>", escaped(fault)));
    }
    match client {
        Some(client) => body.push_str(&format!(
            "<p><b>{}</b> asks to sign in. Check that the code is the one it shows.</p>",
            escaped(client)
        )),
        None => body.push_str("<p>Type the code that your device shows, and pick who you are.</p>"),
    }
    body.push_str("<form method=post action=/device>");
    body.push_str(&format!(
        "<label>Code <input name=user_code value=\"{}\" autocomplete=off autofocus required></label>",
        escaped(user_code.unwrap_or_default())
    ));
    body.push_str(&everybody());
    page("Sign in", &body)
}

/// Asks who comes with this authorization request.
pub(super) fn authorize(query: &str, client: &str) -> String {
    let body = format!(
        "<p><b>{}</b> on this machine asks to sign in.</p><form method=post action=\"/authorize?{}\">{}",
        escaped(client),
        escaped(query),
        everybody()
    );
    page("Sign in", &body)
}

/// Everybody to choose from, to the end of the form.
fn everybody() -> String {
    let mut body = "<fieldset><legend>Who are you?</legend>".to_owned();
    for (i, person) in PEOPLE.iter().enumerate() {
        body.push_str(&format!(
            "<label><input type=radio name=person value=\"{}\"{}> <b>{}</b> · {} · group {}</label>",
            escaped(person.subject),
            if i == 0 { " checked" } else { "" },
            escaped(person.name),
            escaped(person.role),
            escaped(&person.groups.join(", ")),
        ));
    }
    body.push_str("</fieldset><button name=decision value=allow>Sign in, no password</button> ");
    body.push_str("<button name=decision value=deny>Deny</button></form>");
    body
}

/// Says what became of it.
pub(super) fn done(title: &str, text: &str) -> String {
    page(
        title,
        &format!("<p role=status>{}</p><p>You can close this page.</p>", escaped(text)),
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{title} · development issuer</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}}\
         .warning{{background:#b00020;color:#fff;padding:.75rem 1rem;font-weight:700}}.fault{{color:#b00020}}\
         label{{display:block;margin:.5rem 0}}button{{font:inherit;padding:.4rem 1rem}}</style>\
         <p class=warning>{WARNING}.</p><h1>{title}</h1>{body}</html>"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_warns_and_nothing_sent_becomes_markup() {
        let asked = ask(Some("\"><script>"), Some("<b>"), Some("'&"));
        assert!(asked.contains(WARNING) && done("Done", "x").contains(WARNING));
        let request = authorize("a=\"><script>", "<b>");
        assert!(request.contains(WARNING) && !request.contains("<script>") && !request.contains("<b><b>"));
        assert!(!asked.contains("<script>") && !asked.contains("<b><b>") && asked.contains("&#39;&amp;"));
        assert!(PEOPLE.iter().all(|person| asked.contains(person.name)));
    }
}

//! The person's browser during a sign-in: enters a code and confirms it, or follows the address that the program shows; signs in,
//! consents, and is sent back.
//!
//! Every page of the identity provider is an HTML form, and redirects carry its cookies, so a few requests play it all.

use std::time::Duration;

use super::wait;

/// Approves the device code at the identity provider as this person.
pub(crate) fn approve(issuer: &str, user_code: &str, login: &str) {
    wait(play(issuer, user_code, Some(login)));
}

/// Refuses the device code.
pub(crate) fn refuse(issuer: &str, user_code: &str) {
    wait(play(issuer, user_code, None));
}

/// What a browser shows in the end, and where.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) url: url::Url,
    pub(crate) html: String,
}

/// Follows an authorization request as this person, to the page that the program serves in the end.
pub(crate) fn sign_in(address: &str, login: &str) -> Shown {
    wait(async {
        let mut browser = Browser::new();
        let login_page = browser.get(address).await;
        let answer = [("prompt", "login"), ("login", login), ("password", "any")];
        let consent = browser.post(&login_page.action(), &answer).await;
        let end = browser.post(&consent.action(), &[("prompt", "consent")]).await;
        Shown {
            url: end.url,
            html: end.html,
        }
    })
}

/// Follows an authorization request at the development issuer, where this person is picked.
pub(crate) fn pick(address: &str, person: &str) -> Shown {
    wait(async {
        let mut browser = Browser::new();
        let page = browser.get(address).await;
        let end = browser.post(&page.action(), &[("person", person), ("decision", "allow")]).await;
        Shown {
            url: end.url,
            html: end.html,
        }
    })
}

/// Follows an authorization request and turns back at the identity provider's first page.
pub(crate) fn turn_back(address: &str) -> Shown {
    wait(async {
        let mut browser = Browser::new();
        let page = browser.get(address).await;
        let abort = format!("{}/abort", page.action().trim_end_matches('/'));
        let end = browser.get(&abort).await;
        Shown {
            url: end.url,
            html: end.html,
        }
    })
}

async fn play(issuer: &str, user_code: &str, login: Option<&str>) {
    let mut browser = Browser::new();
    let enter = browser.get(&format!("{issuer}/device")).await;
    let confirm = browser
        .post(&enter.action(), &[("xsrf", &enter.field("xsrf")), ("user_code", user_code)])
        .await;
    let decision = if login.is_some() { ("confirm", "yes") } else { ("abort", "yes") };
    let next = browser
        .post(
            &confirm.action(),
            &[("xsrf", &confirm.field("xsrf")), ("user_code", user_code), decision],
        )
        .await;
    let Some(login) = login else { return };
    let consent = browser
        .post(&next.action(), &[("prompt", "login"), ("login", login), ("password", "any")])
        .await;
    let end = browser.post(&consent.action(), &[("prompt", "consent")]).await;
    assert!(
        end.html.contains("Sign-in Success"),
        "the identity provider did not let {login} in:\n{}",
        end.html
    );
}

/// A person's browser on its way from the broker's page to a SAML identity provider and back.
pub(crate) struct SamlBrowser {
    browser: Browser,
    page: Option<Page>,
}

/// What the identity provider has the browser carry back.
#[derive(Debug, Clone)]
pub(crate) struct SamlAnswer {
    pub(crate) acs: String,
    pub(crate) response: String,
    pub(crate) relay_state: String,
}

impl SamlBrowser {
    pub(crate) fn new() -> Self {
        let browser = wait(async { Browser::new() });
        Self { browser, page: None }
    }

    /// Opens an address of the broker.
    pub(crate) fn look(&mut self, address: &str) -> Shown {
        let page = wait(self.browser.get(address));
        self.keep(page)
    }

    /// Confirms the code on the page, and signs in; what the broker shows in the end.
    pub(crate) fn sign_in(&mut self, login: &str, password: &str) -> Shown {
        let answer = self.log_in(login, password);
        self.deliver(&answer)
    }

    /// Confirms the code on the page and signs in at the identity provider, as far as its answer.
    pub(crate) fn log_in(&mut self, login: &str, password: &str) -> SamlAnswer {
        let form = self.confirm();
        let fields = [("username", login), ("password", password), ("AuthState", &form.field("AuthState"))];
        answer(&wait(self.browser.post(&form.action(), &fields)))
    }

    /// Confirms the code on the page, where the identity provider still knows the person.
    pub(crate) fn confirm_and_come_back(&mut self) -> Shown {
        let answer = answer(&self.confirm());
        self.deliver(&answer)
    }

    /// Carries an answer to the broker.
    pub(crate) fn deliver(&mut self, answer: &SamlAnswer) -> Shown {
        let fields = [("SAMLResponse", answer.response.as_str()), ("RelayState", &answer.relay_state)];
        let page = wait(self.browser.post(&answer.acs, &fields));
        self.keep(page)
    }

    /// Says that the code on the page is none of theirs.
    pub(crate) fn refuse(&mut self) -> Shown {
        let page = self.decide("no");
        self.keep(page)
    }

    /// Sends what another site has this browser send.
    pub(crate) fn forge(&mut self, broker: &str, fields: &[(&str, &str)]) -> Shown {
        let page = wait(self.browser.post(&format!("{broker}/device"), fields));
        Shown {
            url: page.url,
            html: page.html,
        }
    }

    fn confirm(&mut self) -> Page {
        self.decide("yes")
    }

    fn decide(&mut self, decision: &str) -> Page {
        let page = self.page.as_ref().expect("a page of the broker");
        let (code, ticket) = (page.field("user_code"), page.field("ticket"));
        let fields = [("user_code", code.as_str()), ("ticket", &ticket), ("decision", decision)];
        wait(self.browser.post(&page.action(), &fields))
    }

    fn keep(&mut self, page: Page) -> Shown {
        let shown = Shown {
            url: page.url.clone(),
            html: page.html.clone(),
        };
        self.page = Some(page);
        shown
    }
}

/// The form that a script would send.
fn answer(page: &Page) -> SamlAnswer {
    SamlAnswer {
        acs: page.action(),
        response: page.field("SAMLResponse"),
        relay_state: page.field("RelayState"),
    }
}

struct Browser {
    http: reqwest::Client,
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

struct Page {
    url: url::Url,
    html: String,
}

impl Page {
    /// Where the form is sent.
    fn action(&self) -> String {
        let action = between(&self.html, "action=\"", "\"").unwrap_or_else(|| panic!("no form at {}:\n{}", self.url, self.html));
        self.url.join(&action).unwrap().into()
    }

    /// Value of a hidden field.
    fn field(&self, name: &str) -> String {
        between(&self.html, &format!("name=\"{name}\" value=\""), "\"").unwrap_or_else(|| panic!("no field {name}:\n{}", self.html))
    }
}

impl Browser {
    fn new() -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { http, cookies: Vec::new() }
    }

    async fn get(&mut self, url: &str) -> Page {
        self.follow(url.parse().unwrap(), None).await
    }

    async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        self.follow(url.parse().unwrap(), Some(form)).await
    }

    async fn follow(&mut self, mut url: url::Url, mut form: Option<&[(&str, &str)]>) -> Page {
        for _ in 0..10 {
            let request = match form {
                Some(form) => self.http.post(url.clone()).form(form),
                None => self.http.get(url.clone()),
            };
            let answer = request
                .header("cookie", self.cookies_for(url.path()))
                .send()
                .await
                .expect("the identity provider answers");
            self.keep(&answer);
            if answer.status().is_redirection() {
                url = url.join(answer.headers()["location"].to_str().unwrap()).unwrap();
                form = None;
                continue;
            }
            let html = answer.text().await.unwrap().replace("&amp;", "&");
            return Page { url, html };
        }
        panic!("too many redirects at {url}");
    }

    fn keep(&mut self, answer: &reqwest::Response) {
        for header in answer.headers().get_all("set-cookie") {
            let mut parts = header.to_str().unwrap().split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let path = parts
                .find_map(|part| part.strip_prefix("path=").or_else(|| part.strip_prefix("Path=")))
                .unwrap_or("/")
                .to_owned();
            self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
            if !value.is_empty() {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    path,
                });
            }
        }
    }

    fn cookies_for(&self, path: &str) -> String {
        let sent = self.cookies.iter().filter(|cookie| path.starts_with(&cookie.path));
        sent.map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}

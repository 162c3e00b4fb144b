//! Signing in at a SAML identity provider, a real one, with a code that the broker itself gives; and what is refused on the way.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_wire::audit::EntryView;
use chunk_wire::session::{GRANT_TYPE_DEVICE_CODE, SessionTokens, SignInBegun, WhoAmI};
use serde_json::{Value, json};

use crate::support::browser::SamlBrowser;
use crate::support::process::Running;
use crate::support::world::{free_port, repository};
use crate::support::{Answer, Api, Setup, World, poll};

/// A broker and the identity provider at which its people sign in.
struct Scene {
    world: World,
    issuer: String,
    _provider: Running,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// One whose people sign in there alone.
    fn new() -> Self {
        let mut setup = Setup::standard();
        setup.issuers.clear();
        Self::with(setup)
    }

    fn with(mut setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (dir, port) = (folder.path().join("provider"), free_port());
        std::fs::create_dir(&dir).unwrap();
        let script = repository().join("tests/servers/saml.sh");
        let mut provider = Running::start(
            Command::new("bash").arg(script).arg(&dir).arg(port.to_string()),
            &folder.path().join("provider.log"),
        );
        poll("SimpleSAMLphp", Duration::from_secs(60), || {
            assert!(provider.ended().is_none(), "SimpleSAMLphp ended: {}", provider.log_text());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let (issuer, base) = (format!("http://127.0.0.1:{port}/idp"), format!("http://127.0.0.1:{port}"));
        setup.more.push_str(&format!(
            "\n[[saml]]\nname = \"corp\"\nissuer = \"{issuer}\"\nsso_url = \"{base}/saml2/idp/SSOService.php\"\n\
             certificate_files = [{:?}]\n",
            dir.join("idp.crt")
        ));
        let world = World::with(setup);
        // As an administrator registers the broker.
        let metadata = world.anonymous().raw("GET", "/saml/metadata", None, &[]);
        assert_eq!(metadata.status, 200);
        std::fs::write(dir.join("sp.xml"), metadata.text()).unwrap();
        Self {
            world,
            issuer,
            _provider: provider,
            _folder: folder,
        }
    }

    /// A sign-in that this client begins, as a machine of this name.
    fn begin(&self, client: &Api, host: &str) -> SignInBegun {
        let answer = client.form(
            "/v1/device",
            &[("issuer", &self.issuer), ("client_version", "tests/1"), ("client_host", host)],
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

/// Asks whether somebody signed in.
fn ask(client: &Api, begun: &SignInBegun) -> Answer {
    client.form(
        "/v1/device/token",
        &[("grant_type", GRANT_TYPE_DEVICE_CODE), ("device_code", &begun.device_code)],
    )
}

/// The word of the protocol in a refusal.
fn word(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    serde_json::from_str::<Value>(&answer.text()).unwrap()["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_person_signs_in_by_saml_and_fetches() {
    let scene = Scene::new();
    let dana = scene.world.person("dana");
    let url = scene.world.url.clone();
    let mut shown = None;
    let done = dana
        .login_with(&["login", "--insecure-storage", "--json"], |code| {
            let mut browser = SamlBrowser::new();
            // Typed, and not followed: the page asks for the code.
            let empty = browser.look(&format!("{url}/device"));
            assert!(empty.html.contains("name=\"user_code\""), "{}", empty.html);
            shown = Some(browser.look(&format!("{url}/device?user_code={}", code.to_lowercase())));
            let end = browser.sign_in("dana", "dana-password");
            assert!(end.html.contains("signed in as Dana"), "{}", end.html);
        })
        .exits(0);
    let shown = shown.unwrap().html;
    let (code, finished) = (done.event("login.code"), done.event("login.done"));
    for seen in [&code["user_code"], &code["key"], &finished["key"]] {
        assert!(shown.contains(seen.as_str().unwrap()), "{seen} is not on the page:\n{shown}");
    }
    assert!(!shown.contains("<script"));

    let person = &finished["person"];
    assert_eq!((&person["issuer"], &person["subject"]), (&json!(scene.issuer), &json!("dana")));
    assert_eq!(person["email"], "dana@people.example");
    let who = dana.json(&["whoami"]).exits(0);
    assert!(
        who.stdout.contains("\"developers\"") && who.stdout.contains("\"oncall\""),
        "{}",
        who.stdout
    );
    dana.run(&["fetch", "small", "--reason", "looking", "--format", "csv"]).exits(0);
    assert!(dana.dir().join("small.csv").exists());

    // What the evidence says of it, read by somebody who came the same way.
    let anna = scene.world.anonymous();
    let begun = scene.begin(&anna, "auditors");
    let mut browser = SamlBrowser::new();
    browser.look(&begun.verification_uri_complete);
    browser.sign_in("anna", "anna-password");
    anna.keep(ask(&anna, &begun).json::<SessionTokens>());
    let session = finished["session"].as_str().unwrap();
    let opened = |entry: &EntryView| entry.header["k"] == "session.open" && entry.header["sid"] == session;
    let entry = anna.entries().into_iter().find(opened).unwrap();
    let who = &entry.body["who"];
    assert_eq!((&who["issuer"], &who["subject"]), (&json!(scene.issuer), &json!("dana")));
    assert_eq!((&who["flow"], &who["key_attested"]), (&json!("saml"), &json!(false)));
    assert!(
        who["auth_time"].is_i64() && who["amr"][0].as_str().unwrap().contains(":ac:classes:"),
        "{who}"
    );
}

#[test]
fn whoever_did_not_begin_a_sign_in_is_shown_that_and_nothing_begins_without_their_hand() {
    let scene = Scene::new();
    let mallory = scene.world.anonymous();
    let begun = scene.begin(&mallory, "mallory-<b>host</b>");
    // The link alone, opened by somebody who is signed in at the provider, does nothing.
    let mut dana = SamlBrowser::new();
    let page = dana.look(&begun.verification_uri_complete);
    assert!(page.html.contains(&mallory.thumbprint()), "{}", page.html);
    assert!(page.html.contains("mallory-&lt;b&gt;host&lt;/b&gt;"), "{}", page.html);
    assert_eq!(word(&ask(&mallory, &begun)), "authorization_pending");
    // Nor does a form that another site sends for them: it does not know what the page wrote into it.
    let refused = dana.forge(
        &scene.world.url,
        &[("user_code", &begun.user_code), ("decision", "yes"), ("ticket", "guessed")],
    );
    assert!(refused.html.contains("not made for this browser"), "{}", refused.html);
    let mut stranger = SamlBrowser::new();
    let refused = stranger.forge(&scene.world.url, &[("user_code", &begun.user_code), ("decision", "yes")]);
    assert!(refused.html.contains("not made for this browser"), "{}", refused.html);
    // They say no, and that is that.
    let end = dana.refuse();
    assert!(end.html.contains("Nobody was signed in"), "{}", end.html);
    let again = dana.look(&begun.verification_uri_complete);
    assert!(again.html.contains("no such sign-in"), "{}", again.html);
    assert_eq!(word(&ask(&mallory, &begun)), "access_denied");
    assert_eq!(word(&ask(&mallory, &begun)), "expired_token");
}

#[test]
fn a_sign_in_ends_at_the_key_that_began_it_and_once() {
    let scene = Scene::new();
    let (dana, thief) = (scene.world.anonymous(), scene.world.anonymous());
    let begun = scene.begin(&dana, "laptop");
    assert_eq!(word(&ask(&dana, &begun)), "authorization_pending");
    assert_eq!(word(&ask(&dana, &begun)), "slow_down");
    let mut browser = SamlBrowser::new();
    browser.look(&begun.verification_uri_complete);
    let answer = browser.log_in("dana", "dana-password");
    // Somebody else's browser cannot bring the answer, whatever it has of it.
    let elsewhere = SamlBrowser::new().deliver(&answer);
    assert!(elsewhere.html.contains("another browser"), "{}", elsewhere.html);
    let end = browser.deliver(&answer);
    assert!(end.html.contains("signed in as Dana"), "{}", end.html);
    // Nor can the same browser a second time.
    let twice = browser.deliver(&answer);
    assert!(twice.html.contains("no such sign-in"), "{}", twice.html);
    assert_eq!(word(&ask(&thief, &begun)), "invalid_dpop_proof");
    dana.keep(ask(&dana, &begun).json::<SessionTokens>());
    let who: WhoAmI = dana.get("/v1/whoami").json();
    assert_eq!((who.person.subject.as_str(), who.key), ("dana", dana.thumbprint()));
    dana.forget();
    assert_eq!(word(&ask(&dana, &begun)), "expired_token");
    // Brought into another sign-in, the answer is none to it.
    let second = scene.begin(&thief, "laptop");
    let mut other = SamlBrowser::new();
    other.look(&second.verification_uri_complete);
    let mut carried = other.log_in("mallory", "mallory-password");
    carried.response = answer.response;
    let refused = other.deliver(&carried);
    assert!(refused.html.contains("another request"), "{}", refused.html);
    assert_eq!(word(&ask(&thief, &second)), "access_denied");
}

#[test]
fn an_answer_that_was_changed_on_its_way_is_refused_and_the_terminal_told() {
    let scene = Scene::new();
    let mallory = scene.world.person("mallory");
    let url = scene.world.url.clone();
    let refused = mallory
        .login_with(&["login", "--insecure-storage"], |code| {
            let mut browser = SamlBrowser::new();
            browser.look(&format!("{url}/device?user_code={code}"));
            let mut answer = browser.log_in("mallory", "mallory-password");
            let message = String::from_utf8(STANDARD.decode(&answer.response).unwrap()).unwrap();
            let changed = message.replace(">guests<", ">reviewers<");
            assert_ne!(message, changed);
            answer.response = STANDARD.encode(changed);
            let end = browser.deliver(&answer);
            assert!(end.html.contains("cannot be believed"), "{}", end.html);
        })
        .exits(4);
    assert!(refused.stderr.contains("refused"), "{}", refused.stderr);
    assert!(scene.world.log_text().contains("was changed"), "the operator can see why");
}

#[test]
fn a_broker_that_is_started_again_forgets_who_was_on_their_way() {
    let mut scene = Scene::new();
    let dana = scene.world.anonymous();
    let begun = scene.begin(&dana, "laptop");
    let mut browser = SamlBrowser::new();
    browser.look(&begun.verification_uri_complete);
    let answer = browser.log_in("dana", "dana-password");
    scene.world.kill();
    scene.world.start();
    let end = browser.deliver(&answer);
    assert!(end.html.contains("no such sign-in"), "{}", end.html);
    assert_eq!(word(&ask(&dana, &begun)), "expired_token");
    // And signs in whoever begins anew.
    let begun = scene.begin(&dana, "laptop");
    browser.look(&begun.verification_uri_complete);
    let end = browser.confirm_and_come_back();
    assert!(end.html.contains("signed in as Dana"), "the provider remembers them: {}", end.html);
    dana.keep(ask(&dana, &begun).json::<SessionTokens>());
}

#[test]
fn where_both_are_configured_the_person_chooses_and_neither_speaks_for_the_other() {
    let scene = Scene::with(Setup::standard());
    let dana = scene.world.person("dana");
    let several = dana.run(&["login", "--insecure-storage"]).exits(3);
    assert!(several.stderr.contains(&scene.issuer), "{}", several.stderr);
    let url = scene.world.url.clone();
    let done = dana
        .login_with(&["login", "--insecure-storage", "--json", "--issuer", &scene.issuer], |code| {
            let mut browser = SamlBrowser::new();
            browser.look(&format!("{url}/device?user_code={code}"));
            browser.sign_in("dana", "dana-password");
        })
        .exits(0);
    assert_eq!(done.event("login.done")["person"]["issuer"], json!(scene.issuer));
    let refused = dana
        .run(&["login", "--browser", "--insecure-storage", "--issuer", &scene.issuer])
        .exits(1);
    assert!(refused.stderr.contains("SAML"), "{}", refused.stderr);
    // An ID token of the other provider is still what it was, and the codes of this one are no business of it.
    let oidc = scene.world.api("dana");
    let who: WhoAmI = oidc.get("/v1/whoami").json();
    assert_ne!(who.person.issuer, scene.issuer);
    let anonymous = scene.world.anonymous();
    let answer = anonymous.form("/v1/device", &[("issuer", &who.person.issuer)]);
    assert_eq!(word(&answer), "invalid_request");
}

#[test]
fn without_such_a_provider_there_are_no_such_pages() {
    let world = World::new();
    for path in ["/device", "/saml/metadata"] {
        assert_eq!(world.anonymous().raw("GET", path, None, &[]).status, 404, "{path}");
    }
}

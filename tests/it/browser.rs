//! Signing in with the browser of one's own machine, at a certified provider, and what it is for: whoever talks somebody into confirming
//! a code gets nothing where it is demanded.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_wire::audit::EntryView;
use chunk_wire::fetch::Format;
use chunk_wire::session::{BrokerInfo, ClientInfo, OpenBrowserSession, SessionTokens, SignIn, WhoAmI};
use serde_json::{Value, json};

use crate::second_verifier::python;
use crate::support::api::{id_token, slice};
use crate::support::issuer::{FakeIssuer, SigningKey};
use crate::support::{Answer, Api, Person, Setup, World, browser, person, poll, random, servers, wait};

const DEMANDED: &str = "sign_in = \"browser_required\"";

/// What the evidence says of who opened this session.
fn who(auditor: &Api, session: &str) -> Value {
    let entries = auditor.entries();
    let opened = |entry: &&EntryView| entry.header["k"] == "session.open" && entry.header["sid"] == session;
    let entry = entries.iter().find(opened).unwrap_or_else(|| panic!("no entry of {session}"));
    entry.body["who"].clone()
}

// ------------------------------------------------------------------------------------------------------------ the program

#[test]
fn a_person_signs_in_with_the_browser_and_fetches() {
    let world = World::new();
    let dana = world.person("dana");
    let mut page = None;
    let done = dana
        .login_in_browser(&["login", "--browser", "--insecure-storage", "--json"], |address| {
            page = Some(browser::sign_in(address, "dana"));
        })
        .exits(0);
    let page = page.unwrap();
    assert_eq!((page.url.host_str(), page.url.path()), (Some("127.0.0.1"), "/callback"));
    assert!(
        page.html.contains("Back to your terminal") && !page.html.contains("<script"),
        "{}",
        page.html
    );
    let port = page.url.port().unwrap();
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
        "nothing listens any more"
    );

    let (shown, done) = (done.event("login.browser"), done.event("login.done"));
    assert_eq!(shown["opened"], false, "there is no browser here");
    assert_eq!(done["person"]["subject"], "dana");
    dana.run(&["fetch", "small", "--reason", "looking", "--format", "csv"]).exits(0);
    assert!(dana.dir().join("small.csv").exists());

    let session = dana.run(&["sessions", "show", done["session"].as_str().unwrap()]).exits(0);
    assert!(session.stdout.contains("attested by the identity provider"), "{}", session.stdout);

    // The provider was told the session's key, and the evidence says that it vouches for it.
    let address: url::Url = shown["url"].as_str().unwrap().parse().unwrap();
    let asked: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
    assert_eq!(asked["nonce"], done["key"].as_str().unwrap());
    let recorded = who(&world.api("anna"), done["session"].as_str().unwrap());
    assert_eq!(
        (&recorded["flow"], &recorded["key_attested"]),
        (&json!("browser"), &json!(true)),
        "{recorded}"
    );
}

#[test]
fn what_the_broker_prefers_is_done_without_asking_and_a_code_may_still_be_chosen() {
    let world = World::with(Setup::standard().sign_in("sign_in = \"browser\""));
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    assert_eq!(info.issuers.first().unwrap().sign_in, SignIn::Browser);
    let dana = world.person("dana");
    let words = dana
        .login_in_browser(&["login", "--insecure-storage"], |address| {
            browser::sign_in(address, "dana");
        })
        .exits(0);
    assert!(
        words.stderr.contains("Open this address in a browser on this machine"),
        "{}",
        words.stderr
    );
    dana.run(&["logout"]).exits(0);
    dana.login_with(&["login", "--device", "--insecure-storage"], |code| {
        browser::approve(&servers::issuer(), code, "dana");
    })
    .exits(0);
    dana.run(&["whoami"]).exits(0);
}

#[test]
fn the_browser_that_browser_names_is_opened_with_the_address() {
    let world = World::new();
    let dana = world.person("dana");
    let (script, seen) = (dana.home.join("browser.sh"), dana.home.join("seen"));
    std::fs::write(
        &script,
        format!("printf '%s\\n' \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", seen.display()),
    )
    .unwrap();
    let mut command = dana.command();
    command
        .env("BROWSER", format!("/nonexistent/browser:sh {}", script.display()))
        .args(["login", "--browser", "--insecure-storage"]);
    let done = dana
        .login_shown(&mut command, person::address, |shown| {
            let opened = poll("the browser to be opened", std::time::Duration::from_secs(20), || {
                std::fs::read_to_string(&seen).ok()
            });
            assert_eq!(opened.trim_end(), shown);
            browser::sign_in(&opened, "dana");
        })
        .exits(0);
    assert!(done.stderr.contains("Your browser opens this address"), "{}", done.stderr);
}

#[test]
fn turning_back_in_the_browser_is_exit_4() {
    let world = World::new();
    let dana = world.person("dana");
    let mut page = None;
    let refused = dana
        .login_in_browser(&["login", "--browser", "--insecure-storage"], |address| {
            page = Some(browser::turn_back(address));
        })
        .exits(4);
    assert!(page.unwrap().html.contains("You are not signed in"));
    assert!(
        refused.stderr.contains("refused in the browser") && refused.stderr.contains("chunkctl login"),
        "{}",
        refused.stderr
    );
    dana.run(&["whoami"]).exits(4);
}

#[test]
fn where_the_provider_allows_no_codes_the_program_says_so_and_the_browser_still_does() {
    let mut setup = Setup::standard();
    setup.client = "chunkctl-browser".to_owned();
    let world = World::with(setup);
    let dana = world.person("dana");
    let refused = dana.run(&["login", "--insecure-storage"]).exits(2);
    assert!(refused.stderr.contains("does not offer sign-in with a code"), "{}", refused.stderr);
    assert!(refused.stderr.contains("chunkctl login --browser"), "{}", refused.stderr);
    dana.login_in_browser(&["login", "--browser", "--insecure-storage"], |address| {
        browser::sign_in(address, "dana");
    })
    .exits(0);
    dana.run(&["whoami"]).exits(0);
}

#[test]
fn when_somebody_last_authenticated_is_asked_for_and_checked() {
    let world = World::with(Setup::standard().sign_in("max_age_s = 600"));
    let dana = world.person("dana");
    dana.login_in_browser(&["login", "--browser", "--insecure-storage"], |address| {
        assert!(address.contains("max_age=600"), "{address}");
        browser::sign_in(address, "dana");
    })
    .exits(0);
    // The same for a code, where the provider understands the question.
    dana.login_with(&["login", "--device", "--insecure-storage"], |code| {
        browser::approve(&servers::issuer(), code, "dana");
    })
    .exits(0);
    // Who did not ask gets a token that does not say, and it is not enough.
    let answer = world.anonymous().open(&id_token(&servers::issuer(), "chunkctl", "dana"));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_id_token"),
        "{}",
        answer.text()
    );
}

#[test]
fn somebody_finds_a_key_that_is_not_theirs_and_ends_it() {
    let world = World::new();
    let dana = world.person("dana");
    let done = dana
        .login_in_browser(&["login", "--browser", "--insecure-storage", "--json"], |address| {
            browser::sign_in(address, "dana");
        })
        .exits(0)
        .event("login.done");
    let thief = world.api("dana");
    let (own, foreign) = (done["key"].as_str().unwrap().to_owned(), thief.thumbprint());
    let listed = dana.json(&["keys", "list"]).exits(0).stdout;
    let keys: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| {
        keys.iter()
            .find(|event| event["key"] == key)
            .unwrap_or_else(|| panic!("{key} is not in {listed}"))
    };
    assert_eq!((&of(&own)["key_attested"], &of(&own)["current"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&of(&foreign)["key_attested"], &of(&foreign)["current"]),
        (&json!(false), &json!(false))
    );
    // Only one's own: nobody else's key is found, whoever asks.
    world.signed_in("drew").run(&["keys", "revoke", &foreign]).exits(1);
    assert_eq!(thief.get("/v1/whoami").status, 200);
    dana.run(&["keys", "revoke", &foreign]).exits(0);
    assert_eq!(thief.get("/v1/whoami").code(), "session_ended");
    assert!(!dana.json(&["keys", "list"]).exits(0).stdout.contains(&foreign));
    dana.run(&["keys", "revoke", &own]).exits(0);
    dana.run(&["whoami"]).exits(4);
}

#[test]
fn a_client_with_a_secret_is_the_brokers_and_the_person_needs_none() {
    let folder = tempfile::Builder::new().prefix("chunkctl-it-secret.").tempdir().unwrap();
    let secret = folder.path().join("oidc");
    std::fs::write(&secret, "a secret of the tests: 32 characters & more\n").unwrap();
    let lines = format!(
        "sign_in = \"browser_required\"\nclient_secret = {{ file = \"{}\" }}",
        secret.display()
    );
    let mut setup = Setup::standard().sign_in(&lines);
    setup.client = "chunkctl-secret".to_owned();
    let world = World::with(setup);
    let dana = world.person("dana");
    let login = |code: i32| {
        dana.login_in_browser(&["login", "--insecure-storage"], |address| {
            browser::sign_in(address, "dana");
        })
        .exits(code)
    };
    login(0);
    dana.run(&["whoami"]).exits(0);
    // It is read when it is used, and what is wrong with it is not the person's to know.
    std::fs::write(&secret, "another secret\n").unwrap();
    let refused = login(2);
    let told = refused.all();
    assert!(!told.contains("another secret") && !told.contains("invalid_client"), "{told}");
}

#[test]
fn the_development_issuer_knows_the_browser_too() {
    let home = tempfile::Builder::new().prefix("chunkctl-it-dev.").tempdir().unwrap();
    let mut dev = Command::new(servers::program("chunk-broker"))
        .args(["dev", "--orders", "10", "--json", "--until-stdin-closes", "--dir"])
        .arg(home.path().join("dev"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(dev.stdout.take().unwrap());
    let events = said.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let ready = events.into_iter().find(|event| event["event"] == "dev.ready").unwrap();
    let dana = Person::new("dana", &home.path().join("dana"), ready["broker"].as_str().unwrap(), None);
    let mut page = None;
    let done = dana
        .login_in_browser(&["login", "--browser", "--insecure-storage", "--json"], |address| {
            page = Some(browser::pick(address, "dana"));
        })
        .exits(0);
    assert!(page.unwrap().html.contains("Back to your terminal"));
    assert_eq!(done.event("login.done")["person"]["subject"], "dana");
    assert_eq!(dana.json(&["keys", "list"]).exits(0).event("key")["key_attested"], true);
    drop(dev.stdin.take());
    assert!(dev.wait().unwrap().success());
}

// ------------------------------------------------------------------------------------------------------------- the auditor

#[test]
fn an_auditor_takes_the_identity_providers_word_for_a_reviewers_key_and_not_the_operators() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.person("rita"));
    rita.login_in_browser(&["login", "--browser", "--insecure-storage"], |address| {
        browser::sign_in(address, "rita");
    })
    .exits(0);
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.run(&["approve", request.id.as_str(), "--reason", "fine"]).exits(0);
    assert!(dana.fetch(&request).complete);
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "--reviewer-keys", "pinned", "-o", "trust.toml"])
        .exits(0);
    anna.run(&["audit", "export", "-o", "all.bundle"]).exits(0);
    let (bundle, trust) = (anna.dir().join("all.bundle"), anna.dir().join("trust.toml"));
    let judged = || {
        let ours = anna.run(&["audit", "verify", "all.bundle", "--trust", "trust.toml"]).code;
        (ours, python(&bundle, &trust))
    };
    assert_eq!(judged(), (2, 2), "nobody but the operator says whose key it is");

    let nobody = std::fs::read_to_string(&trust).unwrap();
    let believe = |client: &str, jwks: &str| {
        let issuer = servers::issuer();
        let section = format!("\n[[issuer]]\nissuer = \"{issuer}\"\nclients = [\"{client}\"]\njwks = '{jwks}'\n");
        std::fs::write(&trust, format!("{nobody}{section}")).unwrap();
    };
    let jwks = published_keys();
    believe("chunkctl", &jwks);
    assert_eq!(judged(), (0, 0));
    believe("another", &jwks);
    assert_eq!(judged(), (2, 2), "what the provider says to another client is not about this log");
    // The same ids, and other keys under them: somebody else's word.
    believe("chunkctl", &other_keys(&jwks));
    assert_eq!(judged(), (1, 1));
}

/// The keys of the identity provider, as it publishes them.
fn published_keys() -> String {
    wait(async {
        let get = async |url: String| reqwest::get(url).await.unwrap().text().await.unwrap();
        let document = get(format!("{}/.well-known/openid-configuration", servers::issuer())).await;
        let document: Value = serde_json::from_str(&document).unwrap();
        get(document["jwks_uri"].as_str().unwrap().to_owned()).await
    })
}

/// Keys of the same kinds and names that are not those.
fn other_keys(jwks: &str) -> String {
    let mut jwks: Value = serde_json::from_str(jwks).unwrap();
    for key in jwks["keys"].as_array_mut().unwrap() {
        for part in ["n", "x"] {
            let Some(text) = key[part].as_str() else { continue };
            let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
            bytes[9] ^= 1;
            key[part] = URL_SAFE_NO_PAD.encode(bytes).into();
        }
    }
    jwks.to_string()
}

// --------------------------------------------------------------------------------------------------------------- the phish

#[test]
fn a_phished_device_code_opens_a_session_unless_the_browser_is_demanded() {
    let (open, demanding) = (World::new(), World::with(Setup::standard().sign_in(DEMANDED)));
    // The attacker starts a sign-in, and the victim, called by a friendly help desk, confirms the code and signs in.
    let stolen = || id_token(&servers::issuer(), "chunkctl", "dana");
    let mallory = open.anonymous();
    mallory.keep(mallory.open(&stolen()).json());
    let me: WhoAmI = mallory.get("/v1/whoami").json();
    assert_eq!(me.person.subject, "dana", "the attack works where codes are taken");

    let mallory = demanding.anonymous();
    let answer = mallory.open(&stolen());
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_id_token"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("chunkctl login --browser"), "{}", answer.text());
    assert_eq!(mallory.get("/v1/whoami").status, 401);

    // The victim's own program does what the broker demands, and says no to what it does not take.
    let dana = demanding.person("dana");
    let refused = dana.run(&["login", "--device", "--insecure-storage"]).exits(1);
    assert!(refused.stderr.contains("chunkctl login --browser"), "{}", refused.stderr);
    dana.login_in_browser(&["login", "--insecure-storage"], |address| {
        browser::sign_in(address, "dana");
    })
    .exits(0);
    dana.run(&["whoami"]).exits(0);
}

/// Some providers copy the nonce of a device authorization request into the ID token: the attacker's own key is in the token that the
/// victim's sign-in gives. Nothing about that token is wrong but the way it came.
#[test]
fn a_phished_code_whose_token_names_the_attackers_key_is_worth_no_more() {
    let key = SigningKey::new("first");
    let issuer = FakeIssuer::start(&[&key]);
    let only_attested = "@id(\"attested-only\") forbid(principal, action == Action::\"fetch\", resource) unless { context.key_attested };";
    let open = World::with(Setup::standard().issuer("fake", &issuer.url).policy(only_attested));
    let demanding = World::with(Setup::standard().issuer("fake", &issuer.url).sign_in(DEMANDED));
    let stolen = |mallory: &Api| {
        let mut claims = issuer.claims("dana");
        claims["nonce"] = json!(mallory.thumbprint());
        key.sign(&key.header(), &claims)
    };
    let mallory = demanding.anonymous();
    let answer = mallory.open(&stolen(&mallory));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_id_token"),
        "{}",
        answer.text()
    );

    // Where codes are taken, what the policy keeps for attested keys stays out of reach.
    let mallory = open.anonymous();
    let tokens: SessionTokens = mallory.open(&stolen(&mallory)).json();
    mallory.keep(tokens.clone());
    let plan: Value = mallory.plan(&slice("small", None, None), Format::Csv, "looking").json();
    assert_eq!(
        (&plan["decision"], &plan["policies"]),
        (&json!("denied"), &json!(["attested-only"])),
        "{plan}"
    );
    let recorded = who(&open.api("anna"), tokens.session.as_str());
    assert_eq!(
        (&recorded["flow"], &recorded["key_attested"]),
        (&json!("id_token"), &json!(false)),
        "{recorded}"
    );
}

// -------------------------------------------------------------------------------------------------------- the code itself

/// An authorization request of the test's own, and what the provider sent back to it.
struct Asked {
    code: String,
    verifier: String,
    redirect_uri: String,
}

/// Signs dana in for a program that listens on a port which nobody answers, and reads the code from the address.
fn ask(nonce: &str) -> Asked {
    let verifier = URL_SAFE_NO_PAD.encode(random::<32>());
    let challenge = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect_uri = format!("http://{}/callback", listener.local_addr().unwrap());
    let mut address: url::Url = format!("{}/auth", servers::issuer()).parse().unwrap();
    address
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "chunkctl")
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("scope", "openid profile email groups")
        .append_pair("state", "s")
        .append_pair("nonce", nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .append_pair("code_challenge_method", "S256");
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream.try_clone().unwrap()), &mut line).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        line
    });
    let end = browser::sign_in(address.as_str(), "dana");
    served.join().unwrap();
    let answered: BTreeMap<String, String> = end.url.query_pairs().into_owned().collect();
    Asked {
        code: answered["code"].clone(),
        verifier,
        redirect_uri,
    }
}

fn redeem(api: &Api, asked: &Asked) -> Answer {
    let body = OpenBrowserSession {
        issuer: servers::issuer(),
        code: asked.code.clone(),
        code_verifier: asked.verifier.clone(),
        redirect_uri: asked.redirect_uri.clone(),
        client: ClientInfo::default(),
    };
    api.post("/v1/sessions/browser", &body)
}

#[test]
fn a_code_is_good_once_with_its_verifier_its_address_and_the_key_it_was_asked_for() {
    let world = World::with(Setup::standard().sign_in(DEMANDED));
    let dana = world.anonymous();
    assert_eq!(redeem(&dana, &ask(&dana.thumbprint())).status, 201);
    let refused = |what: &str, api: &Api, asked: &Asked| {
        let answer = redeem(api, asked);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_id_token"),
            "{what}: {}",
            answer.text()
        );
    };
    refused("another key's code", &world.anonymous(), &ask(&dana.thumbprint()));
    refused("a code that names no key", &dana, &ask(""));
    let used = ask(&dana.thumbprint());
    assert_eq!(redeem(&dana, &used).status, 201);
    refused("a used code", &dana, &used);
    let mut other = ask(&dana.thumbprint());
    other.verifier = URL_SAFE_NO_PAD.encode(random::<32>());
    refused("another verifier", &dana, &other);
    let mut elsewhere = ask(&dana.thumbprint());
    elsewhere.redirect_uri = "http://127.0.0.1:1/callback".to_owned();
    refused("another port", &dana, &elsewhere);
    elsewhere.redirect_uri = "https://evil.example/callback".to_owned();
    refused("another host", &dana, &elsewhere);
}

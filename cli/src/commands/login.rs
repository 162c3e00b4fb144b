//! `chunkctl login`: from nobody to a session that is kept.
//!
//! The place for the session is found and tried first; the broker's log key is pinned at the first meeting; a session that
//! could not be kept after all is ended, so that none is left lying around.

use chunk_evidence::note::VerifierKey;
use chunk_wire::session::{BrokerInfo, ClientInfo, IssuerInfo, OpenBrowserSession, OpenSession, SessionTokens, SignIn};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::auth::credentials::Credentials;
use crate::auth::keyring::{self, Store};
use crate::auth::keys::Key;
use crate::auth::vault::Storage;
use crate::auth::{browser, ci, device};
use crate::client::{Broker, Proof};
use crate::config::{BrokerUrl, Config, PinnedLog};
use crate::context::{Context, block_on};
use crate::error::{Exit, Failure, Result};
use crate::output::Ui;
use crate::{figures, text};

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Sign in with the browser of this machine (the default where the broker prefers it).
    #[arg(long, conflicts_with = "device")]
    browser: bool,
    /// Sign in with a code that any browser can confirm (the default elsewhere).
    #[arg(long)]
    device: bool,
    /// Sign a CI job in with its own token: GitHub Actions, GitLab `id_tokens`, Kubernetes, `CHUNKCTL_ID_TOKEN[_FILE]`.
    #[arg(long, conflicts_with_all = ["browser", "device", "issuer", "storage", "insecure_storage", "no_browser_hint"])]
    ci: bool,
    /// Identity provider to sign in at, where the broker accepts several.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Where to keep the session.
    #[arg(long, value_enum, value_name = "PLACE", default_value_t = Place::Auto)]
    storage: Place,
    /// Keep the session in a plaintext file that only you may read (mode 0600).
    #[arg(long, conflicts_with = "storage")]
    insecure_storage: bool,
    /// Show address and code without explaining what to do with them, and leave the clipboard alone.
    #[arg(long)]
    no_browser_hint: bool,
}

/// Which way somebody signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a code (RFC 8628).
    Device,
    /// With the browser of this machine (RFC 8252).
    Browser,
    /// With a code that the broker itself gives, for a provider that speaks SAML.
    Saml,
}

/// Choices of `--storage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    /// The keyring; without one, an encrypted file; without a passphrase, memory
    Auto,
    /// The system's keyring
    Keyring,
    /// The Linux kernel's keyring, until the next start
    Keyutils,
    /// A file encrypted with a passphrase
    File,
    /// Nowhere: every command signs in for itself
    Memory,
}

#[derive(Serialize)]
struct Done<'a> {
    broker: &'a str,
    profile: &'a str,
    session: &'a str,
    person: &'a chunk_wire::session::Person,
    storage: Storage,
    session_expires_ms: i64,
    key: &'a str,
    origin: &'a str,
    log_key: &'a str,
}

pub(crate) fn run(cx: &Context<'_>, args: &LoginArgs) -> Result<()> {
    let url = cx.broker_url()?;
    let job = if args.ci { Some(ci::Source::required()?) } else { None };
    let storage = if args.ci { Storage::Tmpfs } else { choose_storage(cx, args)? };
    let vault = cx.vault(storage)?;
    if storage != Storage::Keyring && storage != Storage::Keyutils {
        vault.probe()?; // the keyrings have been tried while choosing
    }
    block_on(async {
        let broker = cx.broker()?;
        let way = match (args.browser, args.device) {
            (true, _) => Some(Way::Browser),
            (false, true) => Some(Way::Device),
            (false, false) => None,
        };
        let (credentials, info) = match &job {
            Some(job) => ci::open_session(cx, &broker, job).await?,
            None => open_session(cx, &broker, args.issuer.as_deref(), way, !args.no_browser_hint).await?,
        };
        let kept = vault.save(&credentials).and_then(|()| remember(cx, url.as_str(), storage, &info));
        let key = credentials.key()?;
        if kept.is_err() || storage == Storage::Memory {
            // Nobody could use it again, so it is not left open; that the broker could not be told changes nothing.
            let end = broker.delete(&["v1", "sessions", "current"]);
            broker.send(&end, Proof::Session(&key, &credentials.access_token)).await.ok();
        }
        kept.map_err(|failure| failure.why("the session was ended again, because it could not be kept"))?;
        cx.ui.event(
            "login.done",
            &Done {
                broker: url.as_str(),
                profile: &cx.profile_name,
                session: &credentials.session,
                person: &credentials.person,
                storage,
                session_expires_ms: credentials.session_expires_ms,
                key: key.thumbprint(),
                origin: &credentials.origin,
                log_key: &credentials.log_key,
            },
        )?;
        cx.ui.say(&format!(
            "Signed in to {} as {}.",
            url.as_str(),
            text::line(&credentials.person.name)
        ));
        if storage == Storage::Memory {
            cx.ui
                .say("Nothing is kept: this session has ended again, and every command will ask you to sign in.");
        } else {
            let expires = figures::from_now(credentials.session_expires_ms, figures::now_ms());
            cx.ui
                .say(&format!("The session ends {expires} and is kept in {}.", storage.words()));
        }
        cx.ui.next("chunkctl datasets");
        Ok(())
    })
}

/// Signs in and opens a session bound to a fresh key; the broker says which way, where the person does not.
///
/// # Errors
/// When the broker or the identity provider cannot be reached, or either says no.
pub(crate) async fn open_session(
    cx: &Context<'_>,
    broker: &Broker,
    issuer: Option<&str>,
    way: Option<Way>,
    hint: bool,
) -> Result<(Credentials, BrokerInfo)> {
    let info: BrokerInfo = broker.json(&broker.get(&["v1", "info"]), Proof::None).await?;
    check_address(&broker.url, &info)?;
    check_log_key(cx, broker, &info).await?;
    let issuer = choose_issuer(&info.issuers, issuer)?;
    let way = choose_way(issuer, way)?;
    if issuer.insecure_development {
        cx.ui
            .warn("this broker runs with its built-in development issuer: anybody can be anybody; use it for trying only");
    }
    cx.ui.say(&format!(
        "Signing in to {} ({}) at {}.",
        text::line(&info.name),
        broker.url.as_str(),
        text::line(&issuer.issuer)
    ));
    let (key, seed) = Key::generate()?;
    let client = client_info();
    let tokens: SessionTokens = match way {
        Way::Device => {
            let tokens = device::sign_in(cx.ui, issuer, cx.ca_file(), hint).await?;
            let body = OpenSession {
                id_token: tokens.id_token.to_string(),
                access_token: issuer.userinfo.then(|| tokens.access_token.to_string()),
                client,
            };
            let call = broker.post(&["v1", "sessions"]).body(&body)?;
            broker.json(&call, Proof::Key(&key)).await?
        }
        Way::Browser => {
            let code = browser::sign_in(cx.ui, issuer, cx.ca_file(), key.thumbprint(), hint).await?;
            let body = OpenBrowserSession {
                issuer: issuer.issuer.clone(),
                code: code.code.to_string(),
                code_verifier: code.verifier.to_string(),
                redirect_uri: code.redirect_uri,
                client,
            };
            let call = broker.post(&["v1", "sessions", "browser"]).body(&body)?;
            broker.json(&call, Proof::Key(&key)).await?
        }
        Way::Saml => device::at_broker::sign_in(cx.ui, broker, issuer, &key, client, hint).await?,
    };
    let credentials = Credentials::new(broker.url.as_str(), &seed, tokens, &info.origin, &info.log_key);
    Ok((credentials, info))
}

/// What this client says about itself.
pub(crate) fn client_info() -> ClientInfo {
    ClientInfo {
        version: concat!("chunkctl/", env!("CARGO_PKG_VERSION")).to_owned(),
        host: host_name(),
    }
}

/// The way that was asked for, if the broker takes it; else the one that it prefers.
fn choose_way(issuer: &IssuerInfo, asked: Option<Way>) -> Result<Way> {
    match (asked, issuer.sign_in) {
        (Some(Way::Device), SignIn::BrowserRequired) => Err(Failure::no(
            "browser_required",
            format!("the broker takes no sign-in with a code from people of {}", issuer.issuer),
        )
        .why("codes can be phished, so its operator demands the browser of your own machine")
        .hint("chunkctl login --browser")),
        (Some(Way::Browser), SignIn::Saml) => Err(Failure::no(
            "device_required",
            format!("the broker signs people of {} in by SAML, with a code of its own", issuer.issuer),
        )
        .hint("chunkctl login")),
        (_, SignIn::Saml) => Ok(Way::Saml),
        (Some(way), _) => Ok(way),
        (None, SignIn::Browser | SignIn::BrowserRequired) => Ok(Way::Browser),
        (None, SignIn::Device) => Ok(Way::Device),
    }
}

/// Finds a place that works, before anybody types a code.
fn choose_storage(cx: &Context<'_>, args: &LoginArgs) -> Result<Storage> {
    if args.insecure_storage {
        cx.ui
            .warn("the session will be kept in a plaintext file; whoever can read your files can use it until it ends");
        return Ok(Storage::Plaintext);
    }
    match args.storage {
        Place::Keyring => cx.vault(Storage::Keyring)?.probe().map(|()| Storage::Keyring),
        Place::Keyutils => cx.vault(Storage::Keyutils)?.probe().map(|()| Storage::Keyutils),
        Place::File => Ok(Storage::File),
        Place::Memory => Ok(Storage::Memory),
        Place::Auto => Ok(match keyring::probe(Store::Keyring) {
            Ok(()) => Storage::Keyring,
            Err(why) => without_keyring(cx.ui, &why, cx.passphrase.available()),
        }),
    }
}

/// The next best place, said before anybody signs in.
fn without_keyring(ui: &Ui, why: &str, passphrase_available: bool) -> Storage {
    if passphrase_available {
        ui.say(&format!("The system's keyring cannot be used: {}.", text::line(why)));
        ui.say("The session will be kept in a file encrypted with a passphrase instead.");
        return Storage::File;
    }
    ui.warn(&format!(
        "the system's keyring cannot be used ({}), and nobody can be asked for a passphrase: the session will be in memory only, \
         so that nothing is kept and every command signs in for itself",
        text::line(why)
    ));
    ui.say("To keep it, stop here and choose:");
    ui.say("  an encrypted file     chunkctl login --storage file --passphrase-fd 3 3< PASSPHRASE-FILE");
    ui.say("  the kernel's keyring  chunkctl login --storage keyutils");
    ui.say("  a plaintext file      chunkctl login --insecure-storage");
    Storage::Memory
}

fn choose_issuer<'i>(issuers: &'i [IssuerInfo], wanted: Option<&str>) -> Result<&'i IssuerInfo> {
    let names = || issuers.iter().map(|issuer| issuer.issuer.as_str()).collect::<Vec<_>>().join(", ");
    let matching: Vec<&IssuerInfo> = match wanted {
        None => issuers.iter().collect(),
        Some(wanted) => match issuers.iter().find(|issuer| issuer.issuer == wanted) {
            Some(exact) => vec![exact],
            None => issuers.iter().filter(|issuer| issuer.issuer.contains(wanted)).collect(),
        },
    };
    match (matching.as_slice(), wanted) {
        ([one], _) => Ok(one),
        ([], None) => {
            Err(Failure::cannot_tell("sign_in", "the broker accepts no identity provider").why("its operator has to configure one"))
        }
        ([], Some(wanted)) => {
            Err(Failure::usage(format!("the broker accepts no identity provider called `{wanted}`"))
                .why(format!("it accepts: {}", names())))
        }
        _ => Err(Failure::usage("the broker accepts several identity providers")
            .why(format!("choose one of: {}", names()))
            .hint("chunkctl login --issuer NAME")),
    }
}

/// A proof of possession is good for one address only, so another name for the same broker would fail after the sign-in.
///
/// # Errors
/// With exit code 3 when the broker is known under another address than the one that was typed.
pub(crate) fn check_address(typed: &BrokerUrl, info: &BrokerInfo) -> Result<()> {
    let failure = Failure::usage(format!("{} is not the address under which this broker is known", typed.as_str())).why(format!(
        "it calls itself {}, and proofs are made for that address only",
        info.public_url
    ));
    match BrokerUrl::parse(&info.public_url) {
        Ok(known) if known == *typed => Ok(()),
        Ok(known) => Err(failure.hint(format!("chunkctl login --broker {}", text::shell(known.as_str())))),
        Err(wrong) => Err(wrong
            .why
            .into_iter()
            .fold(failure, Failure::why)
            .why("its operator has to mend `public_url`")),
    }
}

/// The log key is believed at the first meeting only. Afterwards another key is somebody else's log, unless the log proves that it took
/// the old one's place.
pub(crate) async fn check_log_key(cx: &Context<'_>, broker: &Broker, info: &BrokerInfo) -> Result<()> {
    let named = VerifierKey::parse(&info.log_key).ok().filter(|key| key.name() == info.origin);
    if named.is_none() {
        return Err(Failure::cannot_tell("log_key", "the broker's log key is none")
            .why("it must be a C2SP verifier key named after the log's origin"));
    }
    let is_other = |pinned: &PinnedLog| pinned.origin != info.origin || pinned.key != info.log_key;
    let Some(pinned) = cx.pinned_log().filter(|pinned| is_other(pinned)) else {
        return Ok(());
    };
    let other = |why: Option<String>| {
        let failure = Failure::no(
            "log_key",
            format!(
                "{} shows another evidence log than the one pinned at your first sign-in",
                broker.url.as_str()
            ),
        );
        why.into_iter()
            .fold(failure, Failure::why)
            .why(format!("pinned {}: {}", figures::time(pinned.pinned_ms), pinned.key))
            .why(format!("shown now: {}", info.log_key))
            .why("ask the operator, by another way than this broker, whether the log was replaced; only then forget the old key")
            .hint("chunkctl config unpin")
    };
    if pinned.origin != info.origin {
        return Err(other(None));
    }
    match cx.meet(broker).await {
        Ok(_) if cx.pinned_log().is_some_and(is_other) => Err(other(None)),
        Ok(_) => Ok(()),
        Err(failure) if failure.exit == Exit::No && failure.code == "evidence_false" => Err(other(failure.why.into_iter().next())),
        Err(failure) => Err(failure),
    }
}

/// Writes the choices of this sign-in into the profile. The file is read again: another command may have changed it.
fn remember(cx: &Context<'_>, broker: &str, storage: Storage, info: &BrokerInfo) -> Result<()> {
    let mut config = Config::read(&cx.paths.config)?;
    let profile = config.profiles.entry(cx.profile_name.clone()).or_default();
    profile.broker = Some(broker.to_owned());
    profile.storage = Some(storage);
    if let Some(ca_file) = cx.ca_file() {
        // An absolute path, so that it means the same from every working directory.
        profile.ca_file = Some(std::path::absolute(ca_file).map_err(|error| Failure::file("find", ca_file, &error))?);
    }
    config.logs.entry(broker.to_owned()).or_insert_with(|| shown_log(info));
    config.write(&cx.paths.config)
}

/// Pins the log that a broker shows, for a command that signs in without being told to. An earlier pin stays.
///
/// # Errors
/// When the configuration cannot be read or written.
pub(crate) fn pin(cx: &Context<'_>, broker: &str, info: &BrokerInfo) -> Result<PinnedLog> {
    let mut config = Config::read(&cx.paths.config)?;
    if let Some(pinned) = config.logs.get(broker) {
        return Ok(pinned.clone());
    }
    let pinned = shown_log(info);
    config.logs.insert(broker.to_owned(), pinned.clone());
    config.write(&cx.paths.config)?;
    Ok(pinned)
}

fn shown_log(info: &BrokerInfo) -> PinnedLog {
    PinnedLog {
        origin: info.origin.clone(),
        key: info.log_key.clone(),
        pinned_ms: figures::now_ms(),
        earlier: Vec::new(),
    }
}

/// This machine's name, which the broker records and never believes.
fn host_name() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let from_shell = || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    from_kernel
        .map(|name| name.trim().to_owned())
        .or_else(from_shell)
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::client::scripted::{Scripted, answer};

    fn issuer(name: &str) -> IssuerInfo {
        IssuerInfo {
            issuer: name.into(),
            client_id: "c".into(),
            scopes: vec![],
            insecure_development: false,
            sign_in: SignIn::default(),
            max_age_s: None,
            acr_values: vec![],
            userinfo: false,
        }
    }

    #[test]
    fn the_broker_prefers_a_way_and_the_person_may_choose_another_unless_it_demands_one() {
        let at = |sign_in| IssuerInfo {
            sign_in,
            ..issuer("https://a.example")
        };
        for (sign_in, asked, way) in [
            (SignIn::Device, None, Way::Device),
            (SignIn::Device, Some(Way::Browser), Way::Browser),
            (SignIn::Browser, None, Way::Browser),
            (SignIn::Browser, Some(Way::Device), Way::Device),
            (SignIn::BrowserRequired, None, Way::Browser),
            (SignIn::BrowserRequired, Some(Way::Browser), Way::Browser),
            (SignIn::Saml, None, Way::Saml),
            (SignIn::Saml, Some(Way::Device), Way::Saml),
        ] {
            assert_eq!(choose_way(&at(sign_in), asked).unwrap(), way, "{sign_in:?} {asked:?}");
        }
        let refused = choose_way(&at(SignIn::BrowserRequired), Some(Way::Device)).unwrap_err();
        assert_eq!(
            (refused.exit, refused.hint.as_deref()),
            (Exit::No, Some("chunkctl login --browser"))
        );
        let refused = choose_way(&at(SignIn::Saml), Some(Way::Browser)).unwrap_err();
        assert_eq!((refused.exit, refused.hint.as_deref()), (Exit::No, Some("chunkctl login")));
    }

    #[test]
    fn one_issuer_needs_no_choice_and_several_do() {
        let one = [issuer("https://a.example")];
        let two = [issuer("https://a.example"), issuer("https://a.example/realm")];
        assert_eq!(choose_issuer(&one, None).unwrap().issuer, "https://a.example");
        assert!(choose_issuer(&two, None).is_err());
        assert_eq!(choose_issuer(&two, Some("realm")).unwrap().issuer, "https://a.example/realm");
        assert_eq!(choose_issuer(&two, Some("https://a.example")).unwrap().issuer, "https://a.example");
        assert!(choose_issuer(&two, Some("a.example")).is_err());
        assert!(choose_issuer(&two, Some("https://evil")).is_err());
        assert!(choose_issuer(&[], None).is_err());
    }

    #[test]
    fn without_a_keyring_a_passphrase_is_next_and_then_memory_and_never_plaintext() {
        let ui = Ui::new(false, false, true);
        assert_eq!(without_keyring(&ui, "no bus", true), Storage::File);
        let ui = Ui::new(false, true, true);
        assert_eq!(without_keyring(&ui, "no bus", false), Storage::Memory);
        let heard = ui.heard().join("\n");
        assert!(
            heard.contains("no bus") && heard.contains("in memory only"),
            "quiet silences no warning: {heard}"
        );
    }

    fn info(public_url: &str) -> BrokerInfo {
        BrokerInfo {
            name: "b".into(),
            version: "1".into(),
            public_url: public_url.into(),
            origin: "o".into(),
            log_key: "k".into(),
            issuers: vec![],
            time_ms: 0,
        }
    }

    #[test]
    fn another_name_for_the_broker_is_told_the_one_to_use() {
        let check = |typed: &str, known: &str| check_address(&BrokerUrl::parse(typed).unwrap(), &info(known));
        check("http://127.0.0.1:7341", "http://127.0.0.1:7341/").unwrap();
        check("b.example", "https://B.example:443").unwrap();
        for (typed, known) in [
            ("http://localhost:7341", "http://127.0.0.1:7341"),
            ("https://b.example", "https://b.example:8443"),
            ("https://b.example", "https://b.example/base"),
            ("https://b", "https://b.example"),
        ] {
            let failure = check(typed, known).unwrap_err();
            assert_eq!(
                (failure.exit, failure.hint),
                (Exit::Usage, Some(format!("chunkctl login --broker {known}")))
            );
        }
        let failure = check("https://b.example", "http://b.example").unwrap_err();
        assert_eq!((failure.exit, failure.hint), (Exit::Usage, None));
    }

    #[test]
    fn the_wrong_address_is_noticed_before_anybody_signs_in() {
        let folder = tempfile::tempdir().unwrap();
        let answered = serde_json::to_string(&info("https://b.example")).unwrap();
        let server = Scripted::start(vec![answer(200, "", &answered)]);
        let ui = Ui::new(false, true, true);
        let log = crate::testing::release(b"").log_key;
        let cx = Context::for_tests(&ui, folder.path(), &server.url, Storage::Plaintext, &log);
        let failure = block_on(async { open_session(&cx, &cx.broker()?, None, None, true).await.map(|_| ()) }).unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("chunkctl login --broker https://b.example"));
        assert_eq!(server.asked().len(), 1);
    }
}

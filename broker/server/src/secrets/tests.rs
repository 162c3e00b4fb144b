#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::sync::Arc;

use chunk_port::{PostgresTarget, Secrets as _};

use super::directories::DirectorySecrets;
use super::master::MasterKey;
use super::{Credentials, SecretReader, sealed};
use crate::config::env::{MASTER_KEY, MASTER_KEY_FILE};
use crate::config::{Connection, Env, SecretRef};

fn master() -> MasterKey {
    MasterKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()
}

fn credentials(place: SecretRef, env: Env) -> Credentials {
    let target = PostgresTarget {
        connection: "pg".into(),
        host: "db".into(),
        port: 5432,
        database: "d".into(),
        user: "u".into(),
        ca_file: None,
        plaintext: false,
        statement_timeout_s: 1,
    };
    let connection = Connection::Postgres {
        target: Arc::new(target),
        password: place,
    };
    Credentials::new(&std::iter::once(("pg".to_owned(), connection)).collect(), env, master())
}

#[test]
fn a_sealed_secret_opens_under_its_key_and_purpose_only() {
    let text = sealed::seal(&master(), sealed::CREDENTIAL, b"hunter2").unwrap();
    assert_eq!(sealed::open(&master(), sealed::CREDENTIAL, &text).unwrap().as_slice(), b"hunter2");
    assert!(!text.contains("hunter2"));
    assert!(sealed::open(&master(), sealed::LOG_KEY, &text).is_err());
    assert!(sealed::open(&MasterKey::generate().unwrap(), sealed::CREDENTIAL, &text).is_err());
}

#[test]
fn a_changed_byte_of_a_sealed_secret_is_noticed() {
    let text = sealed::seal(&master(), sealed::CREDENTIAL, b"hunter2").unwrap();
    for i in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        let byte = bytes.get_mut(i).unwrap();
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(sealed::open(&master(), sealed::CREDENTIAL, &changed).is_err(), "byte {i}");
    }
}

#[test]
fn a_directory_s_token_is_long_enough_one_issuer_s_and_fit_for_a_header() {
    let long = "0123456789abcdef0123456789abcdef";
    let env = Env::of(&[
        ("A", long),
        ("B", long),
        ("SHORT", "0123456789abcdef0123456789abcde"),
        ("SPACED", "0123456789abcdef 0123456789abcdef"),
    ]);
    let faults = |names: &[&str]| {
        let places = names
            .iter()
            .enumerate()
            .map(|(n, name)| (format!("https://id{n}"), SecretRef::Env((*name).into())));
        DirectorySecrets::new(places.collect(), SecretReader::new(env.clone(), master())).faults()
    };
    assert!(faults(&["A"]).is_empty());
    for (names, expected) in [
        (&["A", "B"][..], "is another issuer's, too"),
        (&["SHORT"], "is shorter than 32 characters"),
        (&["SPACED"], "has characters that no bearer token may have"),
        (&["MISSING"], "`scim.token` of https://id0"),
    ] {
        let found = faults(names);
        assert!(found.len() == 1 && found.concat().contains(expected), "{found:?}");
        assert!(!found.concat().contains("0123456789"), "{found:?}");
    }
}

#[test]
fn sealing_twice_gives_two_texts() {
    let seal = || sealed::seal(&master(), sealed::CREDENTIAL, b"x").unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn a_password_comes_from_where_the_configuration_says() {
    let sealed = sealed::seal(&master(), sealed::CREDENTIAL, b"from-seal").unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from-file\n").unwrap();
    let env = Env::of(&[("PG_PASSWORD", "from-env")]);
    let read = |place| credentials(place, env.clone()).password("pg").unwrap().to_string();
    assert_eq!(read(SecretRef::Env("PG_PASSWORD".into())), "from-env");
    assert_eq!(read(SecretRef::File(file.path().into())), "from-file");
    assert_eq!(read(SecretRef::Sealed(sealed)), "from-seal");
}

#[test]
fn a_password_that_cannot_be_read_is_named_and_not_shown() {
    let env = Env::of(&[]);
    let why = credentials(SecretRef::Env("PG_PASSWORD".into()), env.clone())
        .password("pg")
        .unwrap_err();
    assert_eq!(
        why,
        "password of connection `pg`: the environment variable PG_PASSWORD is not set, or empty"
    );
    let other = sealed::seal(&MasterKey::generate().unwrap(), sealed::CREDENTIAL, b"hunter2").unwrap();
    let why = credentials(SecretRef::Sealed(other.clone()), env.clone())
        .password("pg")
        .unwrap_err();
    assert!(!why.contains(&other) && !why.contains("hunter2"), "{why}");
    assert!(credentials(SecretRef::Env("X".into()), env).password("other").is_err());
}

#[test]
fn debug_output_holds_no_secret() {
    let sealed = sealed::seal(&master(), sealed::CREDENTIAL, b"x").unwrap();
    let shown = format!("{:?} {:?}", credentials(SecretRef::Sealed(sealed.clone()), Env::of(&[])), master());
    assert!(!shown.contains(&sealed) && !shown.contains(master().encode().as_str()), "{shown}");
}

#[test]
fn mask_keys_differ_by_class_and_generation_and_stay_the_same() {
    let key = |class, generation| hex::encode(master().mask_key(class, generation).secret.as_slice());
    assert_ne!(key("pii.email", 1), key("pii.email", 2));
    assert_ne!(key("pii.email", 1), key("pii.name", 1));
    assert_eq!(key("pii.email", 1), key("pii.email", 1));
    assert_eq!(master().mask_key("pii.email", 3).id, "pii.email/3");
}

#[test]
fn a_derived_key_is_hkdf_sha256() {
    // HKDF-SHA256(salt "chunkctl.dev/master/v1", key 00..1f, info u64 7 || "seal/v1"), by Python's hmac module.
    assert_eq!(
        hex::encode(master().derive(&[b"seal/v1"]).as_slice()),
        "dedad87a0285b267aa1bc04ea9a7570de65143ac72eda2359e8a84e421135ecd"
    );
}

#[test]
fn the_environment_wins_over_the_file_and_a_public_file_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    let other = MasterKey::generate().unwrap();
    std::fs::write(file.path(), other.encode().as_bytes()).unwrap();
    let same = |a: &MasterKey, b: &MasterKey| a.encode().as_str() == b.encode().as_str();
    assert!(same(&MasterKey::load(&Env::of(&[]), Some(file.path())).unwrap(), &other));
    let env = Env::of(&[(MASTER_KEY, master().encode().as_str())]);
    assert!(same(&MasterKey::load(&env, Some(file.path())).unwrap(), &master()));
    let env = Env::of(&[(MASTER_KEY_FILE, file.path().to_str().unwrap())]);
    assert!(same(&MasterKey::load(&env, None).unwrap(), &other));
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(MasterKey::load(&env, None).unwrap_err().contains("chmod o="));
    assert!(MasterKey::load(&Env::of(&[]), None).unwrap_err().contains(MASTER_KEY));
}

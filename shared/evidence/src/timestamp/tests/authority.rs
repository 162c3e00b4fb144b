//! An authority for tests, built byte by byte and apart from what it tests; other crates include this file.

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

/// Somebody who stamps time with a key that everybody knows.
pub(crate) struct Authority {
    key: EcdsaKeyPair,
    serial: u8,
    certificate: Vec<u8>,
}

/// A value of this tag and these contents.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut out = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long @ 0x80..=0xff => out.extend([0x81, long as u8]),
        long => out.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    out.extend(contents);
    out
}

/// Of the private key 0x0707…07.
const PUBLIC_KEY: [u8; 65] = [
    0x04, 0x1e, 0x18, 0x53, 0x2f, 0xd4, 0x75, 0x4c, 0x02, 0xf3, 0x04, 0x1d, 0x9c, 0x75, 0xce, 0xb3, 0x3b, 0x83, 0xff, 0xd8, 0x1a, 0xc7,
    0xce, 0x4f, 0xe8, 0x82, 0xcc, 0xb1, 0xc9, 0x8b, 0xc5, 0x89, 0x6e, 0xa4, 0x6c, 0x31, 0x1c, 0x4e, 0x2f, 0xf4, 0x0d, 0xd9, 0x6a, 0x36,
    0x53, 0xe6, 0xe4, 0x54, 0x45, 0xd3, 0x2d, 0xfe, 0x48, 0x6e, 0xce, 0xd7, 0x5c, 0x7a, 0x90, 0xc6, 0xa1, 0x88, 0x81, 0xc0, 0xa3,
];
const ANSI: [u8; 5] = [0x2a, 0x86, 0x48, 0xce, 0x3d];
const PKCS: [u8; 6] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d];

/// The name 1.2.840.10045.4.3.2.
fn ecdsa_sha256() -> Vec<u8> {
    der(0x30, &[&der(0x06, &[&ANSI, &[4, 3, 2]])])
}

/// A name below 1.2.840.113549.
fn pkcs(rest: &[u8]) -> Vec<u8> {
    der(0x06, &[&PKCS, rest])
}

fn sha256() -> Vec<u8> {
    der(0x30, &[&[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0]])
}

impl Authority {
    /// The authority whose certificate has this serial number, and no other that stamps.
    pub(crate) fn new(serial: u8) -> Self {
        Self::with_purpose(serial, true)
    }

    /// One whose certificate may also be for something else.
    pub(crate) fn with_purpose(serial: u8, only_stamps: bool) -> Self {
        let key =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &[7; 32], &PUBLIC_KEY, &SystemRandom::new());
        let key = key.unwrap();
        let key_info = der(
            0x30,
            &[
                &der(0x30, &[&der(0x06, &[&ANSI, &[2, 1]]), &der(0x06, &[&ANSI, &[3, 1, 7]])]),
                &der(0x03, &[&[0], &PUBLIC_KEY]),
            ],
        );
        let purposes = match only_stamps {
            true => der(0x30, &[&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8]]),
            false => der(
                0x30,
                &[&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8], &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1]],
            ),
        };
        let usage = der(0x30, &[&[0x06, 3, 0x55, 0x1d, 0x25, 1, 1, 0xff], &der(0x04, &[&purposes])]);
        let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x18, &[b"21000101000000Z"])]);
        let content = der(
            0x30,
            &[
                &[0xa0, 3, 2, 1, 2],
                &[0x02, 1, serial],
                &ecdsa_sha256(),
                &name(),
                &validity,
                &name(),
                &key_info,
                &der(0xa3, &[&der(0x30, &[&usage])]),
            ],
        );
        // Whoever pins a certificate does not ask who signed it, and so that it is always the same nobody did.
        let signature = der(0x03, &[&[0], &der(0x30, &[&[0x02, 1, 1, 0x02, 1, 1]])]);
        let certificate = der(0x30, &[&content, &ecdsa_sha256(), &signature]);
        Self { key, serial, certificate }
    }

    /// Its certificate in DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// A reply that grants a stamp over this hash. The time is as in GeneralizedTime; the nonce a number's bytes.
    pub(crate) fn stamp(&self, imprint: &[u8], time: &str, nonce: Option<&[u8]>) -> Vec<u8> {
        let nonce = nonce.map(|nonce| der(0x02, &[nonce])).unwrap_or_default();
        let content = der(
            0x30,
            &[
                &[0x02, 1, 1, 0x06, 3, 0x2a, 3, 4],
                &der(0x30, &[&sha256(), &der(0x04, &[imprint])]),
                &[0x02, 1, 9],
                &der(0x18, &[time.as_bytes()]),
                &der(0x30, &[&[0x02, 1, 1, 0x80, 2, 1, 0xf4]]),
                &nonce,
            ],
        );
        let hash = |bytes: &[u8]| der(0x04, &[digest(&SHA256, bytes).as_ref()]);
        let attribute = |name: Vec<u8>, value: Vec<u8>| der(0x30, &[&name, &der(0x31, &[&value])]);
        let own = der(0x30, &[&der(0x30, &[&der(0x30, &[&hash(&self.certificate)])])]);
        let attributes = [
            attribute(pkcs(&[1, 9, 3]), pkcs(&[1, 9, 16, 1, 4])),
            attribute(pkcs(&[1, 9, 4]), hash(&content)),
            attribute(pkcs(&[1, 9, 16, 2, 47]), own),
        ]
        .concat();
        let signature = sign(&self.key, &der(0x31, &[&attributes]));
        let signer = der(
            0x30,
            &[
                &[0x02, 1, 1],
                &der(0x30, &[&name(), &[0x02, 1, self.serial]]),
                &sha256(),
                &der(0xa0, &[&attributes]),
                &ecdsa_sha256(),
                &der(0x04, &[&signature]),
            ],
        );
        let data = der(
            0x30,
            &[
                &[0x02, 1, 3],
                &der(0x31, &[&sha256()]),
                &der(0x30, &[&pkcs(&[1, 9, 16, 1, 4]), &der(0xa0, &[&der(0x04, &[&content])])]),
                &der(0xa0, &[&self.certificate]),
                &der(0x31, &[&signer]),
            ],
        );
        let token = der(0x30, &[&pkcs(&[1, 7, 2]), &der(0xa0, &[&data])]);
        der(0x30, &[&[0x30, 3, 2, 1, 0], &token])
    }
}

/// GeneralizedTime of a time as `2026-01-31T12:34:56.789Z`.
pub(crate) fn general(rfc3339: &str) -> String {
    let digits = rfc3339.replace(['-', ':', 'T', 'Z'], "");
    let (seconds, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction}Z"),
    }
}

fn name() -> Vec<u8> {
    let common = der(0x30, &[&[0x06, 3, 0x55, 4, 3], &der(0x0c, &[b"Stamps of tests"])]);
    der(0x30, &[&der(0x31, &[&common])])
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

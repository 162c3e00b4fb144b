#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod authority;

use authority::{Authority, general};

use super::*;
use crate::encode::{b64_std, sha256};

const TEXT: &[u8] = b"example.org/prod/7f3a\n";

/// Stamps over [`TEXT`] as OpenSSL 3 makes them, and the certificates of their signers.
const FOREIGN: [(&str, &[u8], &[u8]); 5] = [
    ("RSA, SHA-256", include_bytes!("rsa-sha256.tsr"), include_bytes!("rsa-sha256.cer")),
    (
        "RSA, SHA-512, ESSCertID of RFC 2634",
        include_bytes!("rsa-sha512-old.tsr"),
        include_bytes!("rsa-sha512-old.cer"),
    ),
    (
        "P-256, SHA-256",
        include_bytes!("p256-sha256.tsr"),
        include_bytes!("p256-sha256.cer"),
    ),
    (
        "P-256, SHA-384",
        include_bytes!("p256-sha384.tsr"),
        include_bytes!("p256-sha384.cer"),
    ),
    (
        "P-384, SHA-384",
        include_bytes!("p384-sha384.tsr"),
        include_bytes!("p384-sha384.cer"),
    ),
];

fn time(text: &str) -> String {
    general(text)
}

#[test]
fn stamps_that_another_program_made_are_judged_by_their_certificate() {
    for (what, stored, certificate) in FOREIGN {
        let (token, certificate) = (Token::parse_stored(stored).unwrap(), Certificate::from_der(certificate).unwrap());
        assert!(token.is_over(TEXT) && !token.is_over(b"another"), "{what}");
        assert!(token.claims(&certificate), "{what}");
        assert_eq!(token.verify(&certificate), Ok(()), "{what}");
        assert_eq!(token.certificate(), Some(certificate), "{what}");
        assert_eq!(token.time_ms() / 1000, 1_796_000_052, "{what}");
        assert_eq!(token.accuracy_ms(), 1501, "{what}");
        for (other, _, stranger) in FOREIGN.iter().filter(|(other, ..)| *other != what) {
            let stranger = Certificate::from_der(stranger).unwrap();
            assert!(!token.claims(&stranger), "{what} by {other}");
            assert_eq!(token.verify(&stranger), Err(StampError::Signer), "{what} by {other}");
        }
    }
}

/// Where in a stamp the certificates stand that it carries along, which no signature covers and nobody judges by.
fn carried(stored: &[u8]) -> std::ops::Range<usize> {
    use super::der::{Der, INTEGER, SEQUENCE, SET, holding};
    let at = |part: &[u8]| part.as_ptr() as usize - stored.as_ptr() as usize;
    let mut reply = Der::only(stored, SEQUENCE).unwrap().values();
    reply.take(SEQUENCE).unwrap();
    let mut info = reply.take(SEQUENCE).unwrap().values();
    info.any().unwrap();
    let mut data = Der::only(info.take(holding(0)).unwrap().contents, SEQUENCE).unwrap().values();
    data.take(INTEGER).unwrap();
    data.take(SET).unwrap();
    data.take(SEQUENCE).unwrap();
    let certificates = data.take(holding(0)).unwrap().contents;
    at(certificates)..at(certificates) + certificates.len()
}

#[test]
fn no_byte_of_a_stamp_is_free_but_for_the_certificates_that_it_carries_along() {
    for (what, stored, certificate) in FOREIGN {
        let certificate = Certificate::from_der(certificate).unwrap();
        let holds = |stored: &[u8]| {
            let token = Token::parse_stored(stored);
            token.is_ok_and(|token| token.is_over(TEXT) && token.verify(&certificate).is_ok())
        };
        assert!(holds(stored));
        let carried = carried(stored);
        let token = Token::parse_stored(stored).unwrap();
        let algorithm = token.algorithm.as_ptr() as usize - stored.as_ptr() as usize + token.algorithm.len() - 1;
        let mut free = Vec::new();
        for at in (0..stored.len()).filter(|at| !carried.contains(at)) {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = stored.to_vec();
                changed[at] ^= flip;
                if holds(&changed) {
                    free.push((at, flip));
                }
            }
        }
        // What is carried along may be called something else; and an RSA signature's algorithm has two names.
        free.retain(|(at, _)| *at != algorithm && stored[*at] != 0xa0);
        assert_eq!(free, [], "{what}");
        for length in 0..stored.len() {
            assert!(!holds(&stored[..length]), "{what}: {length} bytes");
        }
        assert!(!holds(&[stored, &[0]].concat()), "{what}");
    }
}

#[test]
fn a_certificate_is_for_stamping_alone_and_read_as_pem_or_base64() {
    let good = Authority::new(7);
    let base64 = b64_std(good.certificate());
    let certificate = Certificate::from_der(good.certificate()).unwrap();
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    for text in [base64.as_str(), &pem, &pem.replace('\n', "\r\n")] {
        assert_eq!(Certificate::parse(text).as_ref(), Ok(&certificate));
    }
    for text in ["", "nonsense", &pem[..pem.len() - 5], &format!("{pem}{pem}"), &base64[4..]] {
        assert_eq!(Certificate::parse(text), Err(StampError::Certificate), "{text}");
    }
    let other = Authority::with_purpose(7, false);
    assert_eq!(Certificate::from_der(other.certificate()), Err(StampError::Purpose));
    // Every change of a certificate makes another certificate, or none.
    let stamp = good.stamp(&sha256(TEXT), "20260101000000Z", None);
    let token = Token::parse_stored(&stamp).unwrap();
    for at in 0..good.certificate().len() {
        let mut changed = good.certificate().to_vec();
        changed[at] ^= 1;
        let believed = Certificate::from_der(&changed).is_ok_and(|certificate| token.verify(&certificate).is_ok());
        assert!(!believed, "byte {at}");
    }
}

#[test]
fn a_stamp_outside_of_its_certificate_s_time_or_by_the_same_key_under_another_certificate_is_false() {
    let authority = Authority::new(7);
    let certificate = Certificate::from_der(authority.certificate()).unwrap();
    let verdict = |time: &str| {
        let stamp = authority.stamp(&sha256(TEXT), time, None);
        Token::parse_stored(&stamp).unwrap().verify(&certificate)
    };
    assert_eq!(verdict("20200101000000Z"), Ok(()));
    assert_eq!(verdict("21000101000000.999Z"), Ok(()));
    assert_eq!(verdict("20191231235959.999Z"), Err(StampError::Validity));
    assert_eq!(verdict("21000101000001Z"), Err(StampError::Validity));
    let renewed = Certificate::from_der(Authority::new(8).certificate()).unwrap();
    let stamp = authority.stamp(&sha256(TEXT), "20260101000000Z", None);
    let token = Token::parse_stored(&stamp).unwrap();
    assert!(!token.claims(&renewed));
    assert_eq!(token.verify(&renewed), Err(StampError::Signer));
}

#[test]
fn a_reply_is_believed_when_it_answers_the_question() {
    let authority = Authority::new(7);
    let nonce = [0xff, 2, 3, 4, 5, 6, 7, 8];
    let sent = [0x7f, 2, 3, 4, 5, 6, 7, 8];
    let asked = request(TEXT, nonce);
    assert_eq!(
        crate::encode::to_hex(&asked),
        format!(
            "3043020101303130 0d06096086480165030402010500 0420{} 0208{} 0101ff",
            crate::encode::sha256_hex(TEXT),
            crate::encode::to_hex(&sent)
        )
        .replace(' ', "")
    );
    let at = time("2026-01-31T12:34:56.789Z");
    let good = authority.stamp(&sha256(TEXT), &at, Some(&sent));
    assert_eq!(read_reply(&good, TEXT, nonce).as_ref(), Ok(&good));
    // What else an authority says of it is not kept.
    let wordy = {
        let token = &good[9..];
        let status = [&[0x30, 9, 2, 1, 1, 0x30, 4, 0x0c, 2][..], b"ok"].concat();
        let mut reply = vec![0x30, 0x82, 0, 0];
        reply.extend([status.as_slice(), token].concat());
        let length = u16::try_from(reply.len() - 4).unwrap().to_be_bytes();
        reply[2..4].copy_from_slice(&length);
        reply
    };
    assert_eq!(read_reply(&wordy, TEXT, nonce).as_ref(), Ok(&good));

    let refused = [0x30, 5, 0x30, 3, 2, 1, 2];
    assert_eq!(read_reply(&refused, TEXT, nonce), Err(ReplyError::Refused(2)));
    let granted = [0x30, 5, 0x30, 3, 2, 1, 0];
    assert_eq!(read_reply(&granted, TEXT, nonce), Err(ReplyError::Malformed));
    assert_eq!(read_reply(b"<html>", TEXT, nonce), Err(ReplyError::Malformed));
    assert_eq!(read_reply(&good, b"another", nonce), Err(ReplyError::Imprint));
    assert_eq!(read_reply(&good, TEXT, [1; 8]), Err(ReplyError::Nonce));
    let silent = authority.stamp(&sha256(TEXT), &at, None);
    assert_eq!(read_reply(&silent, TEXT, nonce), Err(ReplyError::Nonce));
    let purpose = Authority::with_purpose(7, false).stamp(&sha256(TEXT), &at, Some(&sent));
    assert_eq!(read_reply(&purpose, TEXT, nonce), Err(ReplyError::Certificate));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(read_reply(&forged, TEXT, nonce), Err(ReplyError::Token(StampError::Signature)));
}

//! What an authority is asked, and whether its reply answers that (RFC 3161, 2.4).

use super::der::{BOOLEAN, Der, INTEGER, Malformed, OCTET_STRING, OID, Read, SEQUENCE, value};
use super::token::{Token, stored};
use super::{StampError, oid};
use crate::encode::sha256;

/// Why a reply is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not a `TimeStampResp`.
    #[error("it did not answer with a reply of RFC 3161 in DER")]
    Malformed,
    /// It says no.
    #[error("it refused (PKIStatus {0})")]
    Refused(u64),
    /// About something else.
    #[error("it stamped something else than it was asked to")]
    Imprint,
    /// To another question.
    #[error("its token answers another question: the nonce is not the one that was sent")]
    Nonce,
    /// Nobody can be told to pin it.
    #[error("its token does not carry its signer's certificate, although it was asked to, or that is not for stamping time alone")]
    Certificate,
    /// The token is none, or is not signed by the certificate it carries.
    #[error("its token is not one that can be verified: {0}")]
    Token(#[from] StampError),
}

/// The question for a time stamp over these bytes (`TimeStampReq`), which asks for the signer's certificate too.
#[must_use]
pub fn request(bytes: &[u8], nonce: [u8; 8]) -> Vec<u8> {
    let algorithm = value(SEQUENCE, &[value(OID, oid::SHA256), vec![5, 0]].concat());
    let imprint = value(SEQUENCE, &[algorithm, value(OCTET_STRING, &sha256(bytes))].concat());
    let nonce = value(INTEGER, &number(nonce));
    value(SEQUENCE, &[value(INTEGER, &[1]), imprint, nonce, value(BOOLEAN, &[0xff])].concat())
}

/// The token in a reply to that question, in the form in which bundles hold it. That its signer is to be believed is for others to
/// say; that the certificate it carries along fits is checked, so that nothing is kept which nobody could verify.
///
/// # Errors
/// When it is not granted, or the token is not an answer to the question.
pub fn read_reply(reply: &[u8], bytes: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, ReplyError> {
    let (status, token) = read(reply).map_err(|Malformed| ReplyError::Malformed)?;
    let token = match (status, token) {
        // With modifications is granted too: what could be modified is checked below.
        (0 | 1, Some(token)) => token.whole,
        (0 | 1, None) => return Err(ReplyError::Malformed),
        (status, _) => return Err(ReplyError::Refused(status)),
    };
    let read = Token::parse(token)?;
    if !read.is_over(bytes) {
        return Err(ReplyError::Imprint);
    }
    let asked = number(nonce);
    if read.nonce() != Some(&asked) {
        return Err(ReplyError::Nonce);
    }
    read.verify(&read.certificate().ok_or(ReplyError::Certificate)?)?;
    Ok(stored(token))
}

fn read(reply: &[u8]) -> Read<(u64, Option<Der<'_>>)> {
    let mut values = Der::only(reply, SEQUENCE)?.values();
    let status = values.take(SEQUENCE)?.values().take(INTEGER)?.number()?;
    let token = values.take_if(SEQUENCE)?;
    values.end()?;
    Ok((status, token))
}

/// A positive number of eight bytes: two bits are given up so that it has one form, and no authority finds it too long.
fn number(nonce: [u8; 8]) -> [u8; 8] {
    let [first, rest @ ..] = nonce;
    let [a, b, c, d, e, f, g] = rest;
    [first & 0x3f | 0x40, a, b, c, d, e, f, g]
}

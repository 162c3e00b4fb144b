//! Plays the person at the development issuer's page: types the code the device shows and picks a name.
//!
//! A browser would send exactly this form. It works with the development issuer only, because that one asks for no password.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Failure, Result};

const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Answers the sign-in that waits under `user_code` as `subject`.
pub(super) fn sign_in(issuer: &str, user_code: &str, subject: &str) -> Result<()> {
    let failed = |why: String| Failure::cannot_tell("demo", "the development issuer's page did not take the code").why(why);
    let authority = issuer
        .strip_prefix("http://")
        .ok_or_else(|| failed(format!("`{issuer}` is no development issuer")))?;
    let address: SocketAddr = authority
        .parse()
        .map_err(|_| failed(format!("`{issuer}` is no development issuer")))?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("user_code", user_code)
        .append_pair("person", subject)
        .append_pair("decision", "allow")
        .finish();
    let request = format!(
        "POST /device HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    let mut answer = Vec::new();
    TcpStream::connect_timeout(&address, PATIENCE)
        .and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)
        })
        .map_err(|error| failed(crate::error::io_words(&error)))?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let status: String = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    Err(failed(format!("it answered `{status}`")))
}

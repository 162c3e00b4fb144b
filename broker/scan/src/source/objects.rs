//! Objects of an S3 bucket, and files behind an HTTP address, as places where files of one schema are.
//!
//! What a request reads is listed once, and each object is held to that moment by its ETag: every later answer must say that it
//! is of that version. Servers answer wrongly (the whole object for a range, another range, fewer bytes than they say), so nothing of
//! an answer is taken on trust: status, range, length and version are compared with what was asked for, and what differs is
//! not read. Only this speaks HTTP to sources; signing is `rusty-s3`'s, which does nothing else (decision 22).

mod ask;
mod remote;
mod store;

pub(crate) use remote::Remote;
pub(crate) use store::Store;

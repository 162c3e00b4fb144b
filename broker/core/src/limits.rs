//! Every bound of the broker, on one page, unit in the name.

pub use chunk_port::SQL_BYTES_MAX;

/// Access tokens live this long.
pub const ACCESS_TOKEN_S: i64 = 15 * 60;
/// Sessions live this long unless configured shorter.
pub const SESSION_S_DEFAULT: i64 = 12 * 3600;
/// An ID token must have been issued within this time to open a session.
pub const ID_TOKEN_AGE_S_MAX: i64 = 5 * 60;
/// A workload's session lives this long unless its rule says otherwise.
pub const WORKLOAD_SESSION_S_DEFAULT: i64 = 15 * 60;
/// It never lives longer, and nothing renews it.
pub const WORKLOAD_SESSION_S_MAX: i64 = 60 * 60;
/// A rule may accept a workload's token until this long after it was issued. Used tokens are remembered for longer than that.
pub const WORKLOAD_TOKEN_AGE_S_MAX: i64 = 50 * 60;
/// A code that the broker gives is good for this long.
pub const SIGN_IN_S_MAX: i64 = 10 * 60;
/// Once the person has signed in, the client takes the session within this time.
pub const SIGN_IN_TAKEN_S_MAX: i64 = 3 * 60;
/// A client waits this long between two questions whether the person has signed in.
pub const SIGN_IN_ASKED_EVERY_S: u64 = 2;
/// Sign-ins that wait for a browser at once …
pub const SIGN_INS_WAITING_MAX: usize = 10_000;
/// … and those of clients of one address.
pub const SIGN_INS_WAITING_OF_ONE_MAX: usize = 200;
/// Bytes of an identity provider's SAML message.
pub const SAML_RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// A SAML assertion must have been issued within this time.
pub const ASSERTION_AGE_S_MAX: i64 = 5 * 60;
/// Clocks of identity providers and clients may differ from ours by this much.
pub const CLOCK_SKEW_S_MAX: i64 = 60;
/// A DPoP proof is good for this long, both ways.
pub const DPOP_PROOF_AGE_S_MAX: i64 = 60;
/// A DPoP nonce is good for this long.
pub const DPOP_NONCE_AGE_S_MAX: i64 = 5 * 60;
/// Proof ids remembered at most; the oldest window is refused rather than forgotten.
pub const DPOP_SEEN_MAX: usize = 1_000_000;
/// Whoever enrols an SSH key must have signed in within this time.
pub const ENROLL_SIGNED_IN_S_MAX: i64 = 15 * 60;
/// What a key signs to be enrolled is good for this long; a token wants to be found and touched.
pub const ENROLL_NONCE_AGE_S_MAX: i64 = 5 * 60;
/// SSH keys that one person may have, without those that were taken back.
pub const SSH_KEYS_PER_PERSON_MAX: usize = 20;
/// A plan may be submitted for this long.
pub const PLAN_S: i64 = 10 * 60;
/// A pending request waits this long for reviewers unless the dataset says otherwise.
pub const PENDING_S_DEFAULT: i64 = 24 * 3600;
/// An approval may be used for this long unless the dataset says otherwise.
pub const GRANT_S_DEFAULT: i64 = 3600;
/// A standing grant lasts at least this long.
pub const STANDING_S_MIN: u32 = 60;
/// A window of time lasts at least this long.
pub const WINDOW_S_MIN: u32 = 60;
/// Numbers in signed documents and entries: larger ones have no canonical text.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// A reason, ticket or justification.
pub const REASON_BYTES_MAX: usize = 2000;
/// Bytes that may leave after the last durable progress entry.
pub const UNRECORDED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Rows one fetch may carry unless the dataset says otherwise.
pub const FETCH_ROWS_DEFAULT: u64 = 50_000_000;
/// Bytes one fetch may carry unless the dataset says otherwise.
pub const FETCH_BYTES_DEFAULT: u64 = 64 * 1024 * 1024 * 1024;
/// One delivery lasts at most this long.
pub const FETCH_DURATION_S_MAX: u32 = 60 * 60;
/// Frames between the scan and the socket.
pub const FRAMES_IN_FLIGHT_MAX: usize = 4;
/// Commands that wait for the log's writer.
pub const COMMANDS_QUEUED_MAX: usize = 4096;
/// Commands committed together at most.
pub const COMMIT_COMMANDS_MAX: usize = 1024;
/// Bytes of a directory's token: 32 hexadecimal digits are 128 bits.
pub const DIRECTORY_TOKEN_BYTES_MIN: usize = 32;
/// Pending requests one person may have.
pub const PENDING_PER_PERSON_MAX: usize = 100;
/// Pending requests that one reviewer's stream begins with.
pub const INBOX_LISTED_MAX: usize = 10_000;
/// Requests that a reviewer's stream reads together.
pub const INBOX_READ_TOGETHER: usize = 64;
/// Plans and requests one person may ask for a minute, over time.
pub const ASKED_PER_MINUTE_MAX: i64 = 600;
/// Plans and requests one person may ask for at once.
pub const ASKED_AT_ONCE_MAX: i64 = 200;
/// Deliveries of one person that run at once.
pub const DELIVERIES_PER_PERSON_MAX: usize = 8;
/// A result that is being delivered in chunks is held at its source for this long after the last of them ended.
pub const CUT_HELD_MS: i64 = 2 * 60 * 1000;
/// Deliveries that run at once.
pub const DELIVERIES_RUNNING_MAX: usize = 64;
/// Recordings that are read at once. Reading one lasts as long as a delivery at most.
pub const REPLAYS_RUNNING_MAX: usize = 8;
/// A day, as bounds for one count it.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

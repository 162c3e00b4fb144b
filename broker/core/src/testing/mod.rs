//! A broker in memory: a clock that stands still, a journal that fails on command, a scanner that plays a script, an identity
//! provider with one key. The stories below run the whole road in milliseconds.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

pub(crate) mod receivers;
mod recordings;
mod roles;
pub(crate) mod ssh;
mod stories;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chunk_evidence::encode::b64;
use chunk_log::data_keys::DataKeys;
use chunk_log::journal::{AppendError, Journal, JournalReader, ReadError, Record, Urgency};
use chunk_log::signer::LogSigner;
use chunk_wire::dpop::{self, ProofClaims};
use chunk_wire::fetch::{ChunkQuery, Format, Params, PlanAnswer, PlanRequest, Query, REQUEST_PAYLOAD_TYPE, RequestView, SubmitRequest};
use chunk_wire::id::RequestId;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict};
use chunk_wire::session::{ClientInfo, OpenBrowserSession, OpenSession, RefreshSession, SessionTokens, SignIn};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::broker::{Broker, Parts};
use crate::catalog::{Catalog, Class, Dataset, Unclassified};
use crate::clock::Clock;
use crate::context::Context;
use crate::delivery::{Cut, Delivery};
use crate::error::Error;
use crate::fetch::Submitted;
use crate::identity::directory::DirectoryTokens;
use crate::identity::{Caller, HttpGet, Presented};
use crate::notify::Notifying;
use crate::policy::PolicySet;
use crate::recording::Keep;
use crate::retention::Retention;
use crate::rotate::{RotateParts, rotate};
use crate::settings::{IssuerSettings, Settings};
use crate::sinks::Sinking;
use crate::state::State;
use crate::timestamp::Timestamping;
use crate::witness::Witnessing;
pub(crate) use recordings::MemRecordings;

use chunk_port::{
    Chunked, FileFormat, Frame, Frames, Inspection, Look, Mask, MaskCount, MaskCounts, ScanError, ScanErrorKind, ScanOrder, ScanPlan,
    Scanner, Source, SourceColumn, Table,
};

pub(crate) const ISSUER: &str = "https://id.example.test";
const CLIENT: &str = "chunkctl";

/// People may describe and fetch, owners review, auditors read and export.
pub(crate) const POLICIES: &str = r#"
@id("engineers-fetch")
permit(principal in Group::"data-eng", action in [Action::"describe", Action::"fetch"], resource);
@id("owners-review")
permit(principal in Group::"data-owners", action == Action::"review", resource);
@id("auditors")
permit(principal in Group::"auditors", action in [Action::"audit_read", Action::"audit_export"], resource);
"#;

/// People who may end what is others'.
pub(crate) const ADMINISTRATORS: &str = r#"
@id("administrators") permit(principal in Group::"admins", action == Action::"administer", resource);
"#;

/// Time that moves when told.
pub(crate) struct StillClock(watch::Sender<i64>);

impl Clock for StillClock {
    fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }

    fn reached(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        let mut time = self.0.subscribe();
        async move { drop(time.wait_for(|now_ms| *now_ms >= at_ms).await) }.boxed()
    }
}

/// A journal in memory that several owners may look at.
#[derive(Clone, Default)]
pub(crate) struct MemJournal {
    records: Arc<Mutex<Vec<Record>>>,
    /// Every append fails as if the disk were full (for what opens something) or broken.
    pub(crate) full: Arc<AtomicBool>,
    pub(crate) broken: Arc<AtomicBool>,
    pub(crate) appends: Arc<AtomicU64>,
    /// Somebody reads older pages, so that what is taken away stays in them.
    pub(crate) read: Arc<AtomicBool>,
    /// Older pages hold what was taken away.
    pub(crate) old_pages: Arc<AtomicBool>,
    /// So many appends more find no space, whatever they are for.
    pub(crate) refusals: Arc<AtomicU64>,
    /// Appends wait while this is set.
    pub(crate) held: Arc<(Mutex<bool>, Condvar)>,
    /// An append has come as far as where it may have to wait.
    pub(crate) begun: Arc<AtomicU64>,
}

impl MemJournal {
    pub(crate) fn hold(&self, held: bool) {
        *self.held.0.lock().unwrap() = held;
        self.held.1.notify_all();
    }

    /// Puts a copy from when there were so many entries in its place.
    pub(crate) fn roll_back(&self, size: usize) {
        self.records.lock().unwrap().truncate(size);
    }
}

impl Journal for MemJournal {
    fn size(&self) -> u64 {
        self.records.lock().unwrap().len() as u64
    }

    fn append(&mut self, expected: u64, records: &[Record], urgency: Urgency) -> Result<u64, AppendError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(AppendError::Failed("input/output error".into()));
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        drop(self.held.1.wait_while(self.held.0.lock().unwrap(), |held| *held).unwrap());
        let refused = self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            return Err(AppendError::NoSpace);
        }
        if self.full.load(Ordering::SeqCst) && urgency == Urgency::Normal {
            return Err(AppendError::NoSpace);
        }
        let mut stored = self.records.lock().unwrap();
        if stored.len() as u64 != expected {
            return Err(AppendError::Conflict {
                expected,
                found: stored.len() as u64,
            });
        }
        stored.extend_from_slice(records);
        self.appends.fetch_add(1, Ordering::SeqCst);
        Ok(stored.len() as u64)
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError> {
        Ok(self
            .records
            .lock()
            .unwrap()
            .iter()
            .skip(usize::try_from(from).unwrap())
            .take(max)
            .cloned()
            .collect())
    }

    fn forget(&mut self, indices: &[u64]) -> Result<bool, AppendError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(AppendError::Failed("input/output error".into()));
        }
        let mut stored = self.records.lock().unwrap();
        for index in indices {
            let record = &mut stored[usize::try_from(*index).unwrap()];
            (record.sealed, record.data_key) = (Vec::new(), None);
        }
        let read = self.read.load(Ordering::SeqCst);
        if !indices.is_empty() || !read {
            self.old_pages.store(read, Ordering::SeqCst);
        }
        Ok(!read)
    }

    fn reader(&self) -> Result<Box<dyn JournalReader>, ReadError> {
        Ok(Box::new(self.clone()))
    }
}

impl JournalReader for MemJournal {
    fn size(&self) -> u64 {
        Journal::size(self)
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError> {
        Journal::read(self, from, max)
    }
}

/// Gives the frames it was told to, and counts how often it was opened.
#[derive(Default)]
pub(crate) struct ScriptedScanner {
    script: Arc<Script>,
    pub(crate) rows_estimated: Mutex<Option<u64>>,
    /// Happens while the next plan is made.
    pub(crate) meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Chunks of the next cut, and what tells its moment.
    pub(crate) cut: Mutex<(u32, Option<[u8; 32]>)>,
    /// Cuts that are held.
    pub(crate) held: Arc<()>,
}

impl std::ops::Deref for ScriptedScanner {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}

/// What its streams do.
#[derive(Default)]
pub(crate) struct Script {
    /// Frames of the next scan, or the fault after them.
    pub(crate) frames: Mutex<Vec<Result<Frame, ScanErrorKind>>>,
    pub(crate) opened: AtomicU64,
    /// The order of the newest scan.
    pub(crate) order: Mutex<Option<ScanOrder>>,
    /// The stream ends only when this is not set.
    pub(crate) hold: Arc<AtomicBool>,
    /// Opening never comes back.
    pub(crate) stuck: AtomicBool,
    /// The stream panics instead of ending.
    pub(crate) panics: Arc<AtomicBool>,
}

struct ScriptedCut {
    script: Arc<Script>,
    count: u32,
    state: Option<[u8; 32]>,
    _held: Arc<()>,
}

#[async_trait]
impl Chunked for ScriptedCut {
    fn count(&self) -> u32 {
        self.count
    }

    fn state(&self) -> Option<[u8; 32]> {
        self.state
    }

    async fn open(&self, _: u32, order: ScanOrder) -> Result<Frames, ScanError> {
        self.script.open(order).await
    }
}

struct ScriptedLook {
    inspection: Inspection,
    columns: Vec<SourceColumn>,
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
    rows_estimated: Option<u64>,
    script: Arc<Script>,
}

#[async_trait]
impl Look for ScriptedLook {
    fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    fn columns(&self, dataset: &str) -> Option<Vec<SourceColumn>> {
        self.inspection.datasets.iter().any(|d| d == dataset).then(|| self.columns.clone())
    }

    async fn plan(&mut self, _order: &ScanOrder) -> Result<ScanPlan, ScanError> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        Ok(ScanPlan {
            columns: Vec::new(),
            rows_estimated: self.rows_estimated,
            bytes_estimated: None,
            explain: Vec::new(),
        })
    }

    async fn read(self: Box<Self>, order: ScanOrder) -> Result<Frames, ScanError> {
        self.script.open(order).await
    }
}

struct NoCounts;

impl MaskCounts for NoCounts {
    fn counts(&self) -> Vec<MaskCount> {
        vec![MaskCount {
            dataset: "customers".into(),
            column: "email".into(),
            class: Some("pii.email".into()),
            mask: "redact".into(),
            values: 3,
            altered: 3,
        }]
    }
}

fn fault(kind: ScanErrorKind) -> ScanError {
    ScanError {
        kind,
        public: "The source could not be read.".into(),
        operator: Some("secret driver text 4711".into()),
    }
}

#[async_trait]
impl Scanner for ScriptedScanner {
    async fn describe(&self, _table: &Table) -> Result<Vec<SourceColumn>, ScanError> {
        let column = |name: &str| SourceColumn {
            name: name.into(),
            data_type: "Utf8".into(),
            nullable: true,
        };
        Ok(vec![column("customer_id"), column("email"), column("city")])
    }

    async fn look(&self, query: &Query, tables: &[Table], _: &str) -> Result<Box<dyn Look>, ScanError> {
        let Query::Slice { dataset, .. } = query else {
            return Err(fault(ScanErrorKind::Refused));
        };
        let table = tables
            .iter()
            .find(|t| t.dataset == *dataset)
            .ok_or_else(|| fault(ScanErrorKind::UnknownDataset))?;
        let columns = self.describe(table).await?;
        Ok(Box::new(ScriptedLook {
            inspection: Inspection {
                statement: "slice".into(),
                datasets: vec![dataset.clone()],
                columns: columns.iter().map(|c| (dataset.clone(), c.name.clone())).collect(),
                functions: Vec::new(),
            },
            columns,
            meanwhile: Mutex::new(self.meanwhile.lock().unwrap().take()),
            rows_estimated: *self.rows_estimated.lock().unwrap(),
            script: Arc::clone(&self.script),
        }))
    }

    async fn cut(&self, _: ScanOrder, _: u64) -> Result<Arc<dyn Chunked>, ScanError> {
        let (count, state) = *self.cut.lock().unwrap();
        Ok(Arc::new(ScriptedCut {
            script: Arc::clone(&self.script),
            count: count.max(1),
            state,
            _held: Arc::clone(&self.held),
        }))
    }
}

impl Script {
    async fn open(&self, order: ScanOrder) -> Result<Frames, ScanError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        *self.order.lock().unwrap() = Some(order);
        let frames: Vec<_> = self.frames.lock().unwrap().drain(..).collect();
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let (hold, panics) = (Arc::clone(&self.hold), Arc::clone(&self.panics));
        let frames = futures::stream::iter(frames).map(|f| f.map_err(fault));
        let end = futures::stream::once(async move {
            while hold.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            assert!(!panics.load(Ordering::SeqCst), "the scanner fails in a way that nobody foresaw");
            Ok(Frame {
                bytes: Bytes::from_static(b"end"),
                rows: 0,
            })
        });
        Ok(Frames {
            stream: frames.chain(end).boxed(),
            counts: Arc::new(NoCounts),
        })
    }
}

/// The identity provider's documents.
struct Provider {
    jwks: String,
}

#[async_trait]
impl HttpGet for Provider {
    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        match url {
            "https://id.example.test/.well-known/openid-configuration" => Ok(
                json!({ "issuer": ISSUER, "jwks_uri": "https://id.example.test/jwks", "token_endpoint": "https://id.example.test/token" })
                    .to_string()
                    .into_bytes(),
            ),
            "https://id.example.test/jwks" => Ok(self.jwks.clone().into_bytes()),
            other => Err(format!("nothing at {other}")),
        }
    }

    async fn get_as(&self, url: &str, _: Zeroizing<String>) -> Result<(u16, Vec<u8>), String> {
        Err(format!("nothing at {url}"))
    }

    fn client_secret(&self, _: &str) -> Result<Option<Zeroizing<String>>, String> {
        Ok(None)
    }

    async fn post(&self, url: &str, form: Zeroizing<String>, _: Option<Zeroizing<String>>) -> Result<(u16, Vec<u8>), String> {
        // Whatever the code is, it is the ID token: who would send a code decides who signs in, and with which nonce.
        let code = url::form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "code");
        match (url, code) {
            ("https://id.example.test/token", Some((_, token))) => Ok((200, json!({ "id_token": token }).to_string().into_bytes())),
            (other, _) => Err(format!("nothing at {other}")),
        }
    }
}

/// Every directory's token.
pub(crate) const DIRECTORY_TOKEN: &str = "directory-0123456789-abcdef-0123456789";

struct OneToken;

impl DirectoryTokens for OneToken {
    fn token(&self, _: &str) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new(DIRECTORY_TOKEN.to_owned()))
    }
}

/// What a broker starts with. A story may change it before a restart.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) policies: String,
    pub(crate) log_seed: [u8; 32],
    /// A key prepared to take its place.
    pub(crate) next_seed: Option<[u8; 32]>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: settings(),
            policies: POLICIES.to_owned(),
            log_seed: [1; 32],
            next_seed: None,
        }
    }
}

/// A broker with all its parts in reach.
pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    pub(crate) setup: Setup,
    pub(crate) journal: MemJournal,
    pub(crate) scanner: Arc<ScriptedScanner>,
    pub(crate) clock: Arc<StillClock>,
    provider: Arc<Ed25519KeyPair>,
    dir: tempfile::TempDir,
    pub(crate) recordings: MemRecordings,
    serial: AtomicU64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with_policies(policies: &str) -> Self {
        let policies = policies.to_owned();
        Self::with(Setup {
            policies,
            ..Setup::default()
        })
        .await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        Self::with_witness(setup, None).await.unwrap()
    }

    /// A broker whose log is stamped.
    pub(crate) async fn with_timestamps(timestamps: Option<Timestamping>) -> Self {
        let others = Others {
            timestamps,
            ..Others::default()
        };
        Self::with_others(Setup::default(), others).await.unwrap()
    }

    /// A broker whose log has witnesses, and which may refuse to start.
    pub(crate) async fn with_witness(setup: Setup, witness: Option<Witnessing>) -> Result<Self, Error> {
        let others = Others {
            witness,
            ..Others::default()
        };
        Self::with_others(setup, others).await
    }

    /// A broker that talks to others about its log, and which may refuse to start.
    pub(crate) async fn with_others(setup: Setup, others: Others) -> Result<Self, Error> {
        let dir = tempfile::tempdir().unwrap();
        drop(DataKeys::create(dir.path().join("keys.db"), &[9; 32]).unwrap());
        let journal = MemJournal::default();
        let clock = Arc::new(StillClock(watch::channel(1_790_000_000_000).0));
        let provider = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap());
        let scanner = Arc::new(ScriptedScanner::default());
        *scanner.rows_estimated.lock().unwrap() = Some(10);
        let recordings = MemRecordings::default();
        let broker = start(&setup, &journal, &scanner, &clock, &provider, &dir, &recordings, others).await?;
        Ok(Self {
            broker,
            setup,
            journal,
            scanner,
            clock,
            provider,
            dir,
            recordings,
            serial: AtomicU64::new(0),
        })
    }

    /// Forgets the running broker without stopping it and starts another on the same journal, as after `kill -9`.
    pub(crate) async fn crash_and_restart(self) -> Self {
        self.try_restart().await.unwrap()
    }

    /// As [`World::crash_and_restart`], with what the crash left of recordings.
    pub(crate) async fn crash_and_restart_with(self, left: impl FnOnce(&MemRecordings)) -> Self {
        let (mut world, recordings) = (self, MemRecordings::default());
        left(&recordings);
        // The dying broker writes where nobody looks any more.
        world.recordings = recordings;
        world.crash_and_restart().await
    }

    /// As [`World::crash_and_restart`], for a broker that may refuse to start.
    pub(crate) async fn try_restart(self) -> Result<Self, Error> {
        self.try_restart_with(None).await
    }

    pub(crate) async fn try_restart_with(self, witness: Option<Witnessing>) -> Result<Self, Error> {
        let others = Others {
            witness,
            ..Others::default()
        };
        self.try_restart_with_others(others).await
    }

    pub(crate) async fn try_restart_with_others(self, others: Others) -> Result<Self, Error> {
        self.try_restart_after(async |_, _, _, _| Ok(()), others).await
    }

    /// As [`World::try_restart`], with another log key put in the place of the present one while no broker runs. The key's file is still
    /// the old one, as after `kill -9` before it was replaced.
    pub(crate) async fn try_rotate(mut self, seed: u8, witness: Option<Witnessing>, others: Others) -> Result<Self, Error> {
        self.setup.next_seed = Some([seed; 32]);
        let rotate = async |setup: &Setup, journal: &MemJournal, clock: &Arc<StillClock>, keys: &Path| {
            let signer = |seed| LogSigner::from_seed(&setup.settings.origin, &seed).unwrap();
            let parts = RotateParts {
                clock: Arc::clone(clock) as Arc<dyn Clock>,
                journal: Box::new(journal.clone()),
                data_keys: DataKeys::open(keys, &[9; 32]).unwrap(),
                signer: signer(setup.log_seed),
                successor: signer([seed; 32]),
                witness,
            };
            rotate(parts).await.map(|_| ())
        };
        self.try_restart_after(rotate, others).await
    }

    async fn try_restart_after(
        self,
        meanwhile: impl AsyncFnOnce(&Setup, &MemJournal, &Arc<StillClock>, &Path) -> Result<(), Error>,
        others: Others,
    ) -> Result<Self, Error> {
        let Self {
            broker,
            setup,
            journal,
            scanner,
            clock,
            provider,
            dir,
            recordings,
            serial,
        } = self;
        broker.stopping.cancel();
        broker.jobs.close();
        // What the dying broker would still have said is lost with it.
        journal.broken.store(true, Ordering::SeqCst);
        broker.jobs.wait().await;
        broker.forget_sinks().await;
        drop(broker);
        journal.broken.store(false, Ordering::SeqCst);
        let keys = dir.path().join("keys.db");
        let_go(&keys).await;
        meanwhile(&setup, &journal, &clock, &keys).await?;
        let_go(&keys).await;
        let broker = start(&setup, &journal, &scanner, &clock, &provider, &dir, &recordings, others).await?;
        Ok(Self {
            broker,
            setup,
            journal,
            scanner,
            clock,
            provider,
            dir,
            recordings,
            serial,
        })
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock.0.send_modify(|now_ms| *now_ms += ms);
    }

    /// Signs somebody in with a fresh key.
    pub(crate) async fn sign_in(&self, subject: &str, groups: &[&str]) -> Someone {
        let mut someone = self.someone();
        someone.sign_in_again(self, subject, groups).await;
        someone
    }

    /// Signs somebody in of whom the identity provider says who their manager is.
    pub(crate) async fn sign_in_managed(&self, subject: &str, groups: &[&str], manager: &str) -> Someone {
        let mut someone = self.someone();
        let token = self.id_token_with(subject, groups, Some(("manager", manager)));
        someone.open(self, token).await;
        someone
    }

    /// Somebody with a fresh key and no session.
    pub(crate) fn someone(&self) -> Someone {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(serial + 1).to_be_bytes());
        Someone {
            key: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
            tokens: None,
            serial: AtomicU64::new(serial << 32),
        }
    }

    pub(crate) fn id_token(&self, subject: &str, groups: &[&str]) -> String {
        self.id_token_for(subject, groups, None)
    }

    /// An ID token that names a key.
    pub(crate) fn id_token_for(&self, subject: &str, groups: &[&str], nonce: Option<&str>) -> String {
        self.id_token_with(subject, groups, nonce.map(|nonce| ("nonce", nonce)))
    }

    /// An ID token with one more claim.
    fn id_token_with(&self, subject: &str, groups: &[&str], more: Option<(&str, &str)>) -> String {
        let now = self.clock.now_ms() / 1000;
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let mut claims = json!({
            "iss": ISSUER, "sub": subject, "aud": CLIENT, "iat": now, "exp": now + 300, "groups": groups, "jti": serial.to_string(),
            "email": format!("{subject}@example.test"), "email_verified": true, "name": subject,
        });
        if let Some((name, value)) = more {
            claims[name] = json!(value);
        }
        let signed = format!(
            "{}.{}",
            b64(br#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#),
            b64(claims.to_string().as_bytes())
        );
        format!("{signed}.{}", b64(self.provider.sign(signed.as_bytes()).as_ref()))
    }

    pub(crate) fn script(&self, frames: Vec<Result<&'static [u8], ScanErrorKind>>) {
        *self.scanner.frames.lock().unwrap() = frames
            .into_iter()
            .map(|f| {
                f.map(|bytes| Frame {
                    bytes: Bytes::from_static(bytes),
                    rows: 1,
                })
            })
            .collect();
    }

    pub(crate) fn script_frames(&self, frames: impl IntoIterator<Item = Result<Frame, ScanErrorKind>>) {
        *self.scanner.frames.lock().unwrap() = frames.into_iter().collect();
    }

    /// Puts policies in force while the next plan is made.
    pub(crate) fn reload_meanwhile(&self, policies: &str) {
        let (broker, policies) = (Arc::clone(&self.broker), policy_set(policies));
        let reload = async move { broker.reload_policies(policies).await.unwrap() };
        *self.scanner.meanwhile.lock().unwrap() = Some(reload.boxed());
    }

    pub(crate) fn dataset(&mut self, name: &str) -> &mut Dataset {
        self.setup.settings.catalog.datasets.get_mut(name).unwrap()
    }

    /// Waits for the state to become so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut changes = self.broker.log.watch();
        let became = async {
            while !holds(&self.broker.log.published().state) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), became).await.expect(what);
    }

    /// Kinds of all entries, in order.
    pub(crate) async fn kinds(&self) -> Vec<&'static str> {
        let entries = self.broker.log.read(0, usize::MAX).await.unwrap();
        entries.iter().map(|e| e.leaf.header.kind.as_str()).collect()
    }
}

/// Waits until something holds that jobs of the broker bring about.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let became = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), became).await.expect(what);
}

/// Waits until the log's thread lets go of the key file, which it does when its last command is done.
async fn let_go(keys: &Path) {
    for _ in 0..1000 {
        if DataKeys::open(keys, &[9; 32]).is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// Whom a broker talks to about its log.
#[derive(Default)]
pub(crate) struct Others {
    pub(crate) witness: Option<Witnessing>,
    pub(crate) timestamps: Option<Timestamping>,
    pub(crate) sinks: Vec<Sinking>,
    pub(crate) notifiers: Vec<Notifying>,
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the broker that a story reaches")]
async fn start(
    setup: &Setup,
    journal: &MemJournal,
    scanner: &Arc<ScriptedScanner>,
    clock: &Arc<StillClock>,
    provider: &Arc<Ed25519KeyPair>,
    dir: &tempfile::TempDir,
    recordings: &MemRecordings,
    others: Others,
) -> Result<Arc<Broker>, Error> {
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": b64(provider.public_key().as_ref()) }] });
    Broker::start(Parts {
        settings: setup.settings.clone(),
        policies: policy_set(&setup.policies),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        journal: Box::new(journal.clone()),
        data_keys: DataKeys::open(dir.path().join("keys.db"), &[9; 32]).unwrap(),
        signer: LogSigner::from_seed(&setup.settings.origin, &setup.log_seed).unwrap(),
        successor: setup
            .next_seed
            .map(|seed| LogSigner::from_seed(&setup.settings.origin, &seed).unwrap()),
        scanner: Arc::clone(scanner) as Arc<dyn Scanner>,
        http: Arc::new(Provider { jwks: jwks.to_string() }),
        directory_tokens: Arc::new(OneToken),
        recordings: Arc::new(recordings.clone()),
        token_seed: [2; 32],
        nonce_key: [4; 32],
        witness: others.witness,
        timestamps: others.timestamps,
        sinks: others.sinks,
        notifiers: others.notifiers,
    })
    .await
}

pub(crate) fn policy_set(text: &str) -> PolicySet {
    PolicySet::load(&[("test.cedar".to_owned(), text.to_owned())]).unwrap()
}

fn settings() -> Settings {
    let customers = Dataset {
        name: "customers".into(),
        description: "people".into(),
        connection: "crm".into(),
        kind: "parquet",
        source: Source::Files {
            root: "/".into(),
            path: "/nowhere".into(),
            format: FileFormat::Parquet,
        },
        classes: BTreeMap::from([("email".to_owned(), "pii.email".to_owned())]),
        unclassified: Unclassified::Open,
        row_filter: None,
        subject: None,
        quorum: 1,
        ssh_verdicts: false,
        stages: Vec::new(),
        escalation: None,
        labels: Vec::new(),
        rows_max: 1000,
        bytes_max: 1 << 30,
        rows_per_day: None,
        bytes_per_day: None,
        pending_s: 3600,
        grant_s: 600,
        standing_s_max: 8 * 3600,
        standing_rows_max: 1000,
        standing_bytes_max: 1 << 30,
        recording: Keep::Digest,
    };
    let two = Dataset {
        name: "salaries".into(),
        quorum: 2,
        ..customers.clone()
    };
    let signed = Dataset {
        name: "patients".into(),
        ssh_verdicts: true,
        ..customers.clone()
    };
    Settings {
        name: "test".into(),
        public_url: "https://broker.example.test".parse().unwrap(),
        origin: "example.test/log".into(),
        instance: "i1".into(),
        version: "0".into(),
        issuers: vec![IssuerSettings {
            name: "id".into(),
            issuer: ISSUER.into(),
            client_id: CLIENT.into(),
            audience: CLIENT.into(),
            scopes: vec!["openid".into()],
            groups_claim: "groups".into(),
            manager_claim: Some("manager".into()),
            groups_from: Default::default(),
            email_claim: "email".into(),
            name_claim: "name".into(),
            insecure_development: false,
            sign_in: SignIn::default(),
            max_age_s: None,
            directory: None,
            acr_values: Vec::new(),
        }],
        saml: Vec::new(),
        workloads: Vec::new(),
        session_s: 12 * 3600,
        chunk_rows: 1000,
        claims_age_max_s: 12 * 3600,
        catalog: Catalog {
            datasets: [customers, two, signed].into_iter().map(|d| (d.name.clone(), d)).collect(),
            classes: BTreeMap::from([(
                "pii.email".to_owned(),
                Class {
                    name: "pii.email".into(),
                    mask: Mask::Redact,
                },
            )]),
        },
        retention: Retention::default(),
        config_digest: "c0ffee".into(),
    }
}

pub(crate) fn cx() -> Context {
    Context {
        request_id: "r1".into(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

pub(crate) fn slice(dataset: &str) -> PlanRequest {
    PlanRequest {
        query: Query::Slice {
            dataset: dataset.to_owned(),
            columns: None,
            filter: None,
            order_by: None,
            limit: None,
            params: Params::new(),
        },
        format: Format::Csv,
        reason: "incident 42".into(),
        ticket: None,
        break_glass: false,
        standing: None,
        window: None,
    }
}

/// A person with a client: a key and the broker's tokens.
pub(crate) struct Someone {
    key: Ed25519KeyPair,
    pub(crate) tokens: Option<SessionTokens>,
    serial: AtomicU64,
}

impl Someone {
    pub(crate) fn present(&self, world: &World, method: &str, path: &str, with_token: bool) -> Presented {
        let url = format!("https://broker.example.test{path}");
        let token = with_token.then(|| self.tokens.as_ref().unwrap().access_token.clone());
        let claims = ProofClaims {
            jti: self.serial.fetch_add(1, Ordering::SeqCst).to_string(),
            htm: method.into(),
            htu: url.clone(),
            iat: world.clock.now_ms() / 1000,
            ath: token.as_deref().map(dpop::access_token_hash),
            nonce: Some(world.broker.nonce()),
        };
        Presented {
            access_token: token,
            proof: Some(dpop::sign(&self.key, &claims)),
            method: method.into(),
            url,
        }
    }

    /// RFC 7638 thumbprint of the key.
    pub(crate) fn thumbprint(&self) -> String {
        dpop::thumbprint(&chunk_evidence::dsse::public_key(&self.key))
    }

    /// What a browser sign-in presents that ended with this ID token.
    pub(crate) fn with_code(&self, world: &World, id_token: &str) -> (Presented, OpenBrowserSession) {
        let open = OpenBrowserSession {
            issuer: ISSUER.into(),
            code: id_token.to_owned(),
            code_verifier: "v".repeat(43),
            redirect_uri: "http://127.0.0.1:50123/callback".into(),
            client: ClientInfo::default(),
        };
        (self.present(world, "POST", "/v1/sessions/browser", false), open)
    }

    /// Signs in again with the same key, as whom the identity provider says it is by now.
    pub(crate) async fn sign_in_again(&mut self, world: &World, subject: &str, groups: &[&str]) {
        self.open(world, world.id_token(subject, groups)).await;
    }

    async fn open(&mut self, world: &World, id_token: String) {
        let presented = self.present(world, "POST", "/v1/sessions", false);
        let open = OpenSession {
            id_token,
            access_token: None,
            client: ClientInfo::default(),
        };
        self.tokens = Some(crate::identity::open_session(&world.broker, &cx(), presented, open).await.unwrap());
    }

    /// Gets new tokens under the same session.
    pub(crate) async fn refresh(&mut self, world: &World) {
        let presented = self.present(world, "POST", "/v1/sessions/refresh", false);
        let refresh_token = self.tokens.as_ref().unwrap().refresh_token.clone();
        let refresh = RefreshSession { refresh_token };
        self.tokens = Some(
            crate::identity::refresh_session(&world.broker, &cx(), presented, refresh)
                .await
                .unwrap(),
        );
    }

    pub(crate) fn envelope(&self, document: &str) -> SubmitRequest {
        let keyid = chunk_evidence::dsse::key_id(&chunk_evidence::dsse::public_key(&self.key));
        let envelope = chunk_evidence::dsse::sign(&self.key, REQUEST_PAYLOAD_TYPE, document.as_bytes(), &keyid);
        SubmitRequest { envelope }
    }

    /// Submits a document to be delivered at once.
    pub(crate) async fn submit_and_fetch(&self, world: &World, document: &str) -> Result<Submitted, Error> {
        let caller = self.caller(world).await?;
        crate::fetch::submit_and_fetch(&world.broker, &cx(), caller, self.envelope(document)).await
    }

    pub(crate) async fn caller(&self, world: &World) -> Result<Caller, Error> {
        crate::identity::authenticate(&world.broker, &cx(), self.present(world, "GET", "/v1/whoami", true)).await
    }

    pub(crate) async fn plan(&self, world: &World, request: PlanRequest) -> Result<PlanAnswer, Error> {
        crate::fetch::plan(&world.broker, &cx(), self.caller(world).await?, request).await
    }

    pub(crate) async fn submit(&self, world: &World, document: &str) -> Result<RequestView, Error> {
        crate::approval::submit(&world.broker, &cx(), self.caller(world).await?, self.envelope(document)).await
    }

    pub(crate) async fn ask(&self, world: &World, dataset: &str) -> RequestView {
        let plan = self.plan(world, slice(dataset)).await.unwrap();
        self.submit(world, &plan.document.unwrap()).await.unwrap()
    }

    pub(crate) async fn review(&self, world: &World, request: &RequestView, verdict: Verdict) -> Result<RequestView, Error> {
        self.review_digest(world, request, verdict, &request.digest).await
    }

    pub(crate) async fn review_digest(
        &self,
        world: &World,
        request: &RequestView,
        verdict: Verdict,
        digest: &str,
    ) -> Result<RequestView, Error> {
        self.review_with(world, request, verdict, digest, |_| None).await
    }

    /// A verdict, and what an SSH key makes of its payload.
    pub(crate) async fn review_with(
        &self,
        world: &World,
        request: &RequestView,
        verdict: Verdict,
        digest: &str,
        ssh: impl FnOnce(&str) -> Option<String>,
    ) -> Result<RequestView, Error> {
        let caller = self.caller(world).await?;
        let document = ReviewDocument {
            v: 1,
            request: request.id.clone(),
            digest: digest.to_owned(),
            verdict,
            reason: "looked at it".into(),
            issuer: caller.person().issuer.clone(),
            subject: caller.person().subject.clone(),
            key: caller.key().to_owned(),
            signed_ms: world.clock.now_ms(),
        };
        let text = chunk_evidence::encode::canonical_of(&document).unwrap();
        let keyid = chunk_evidence::dsse::key_id(&chunk_evidence::dsse::public_key(&self.key));
        let envelope = chunk_evidence::dsse::sign(&self.key, REVIEW_PAYLOAD_TYPE, text.as_bytes(), &keyid);
        let ssh = ssh(&text);
        crate::approval::review(&world.broker, &cx(), caller, request.id.clone(), SubmitReview { envelope, ssh }).await
    }

    pub(crate) async fn fetch(&self, world: &World, id: &RequestId) -> Result<Delivery, Error> {
        self.fetch_chunk(world, id, 0, ChunkQuery::default()).await
    }

    pub(crate) async fn fetch_chunk(&self, world: &World, id: &RequestId, chunk: u32, asked: ChunkQuery) -> Result<Delivery, Error> {
        let presented = self.present(world, "POST", &format!("/v1/requests/{id}/chunks/{chunk}"), true);
        crate::fetch::fetch(&world.broker, &cx(), presented, id.clone(), chunk, asked).await
    }
}

/// Reads a delivery to its end.
pub(crate) async fn drain(mut delivery: Delivery) -> Result<Vec<u8>, Cut> {
    let mut all = Vec::new();
    while let Some(piece) = delivery.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

//! Tokens: who may write, read and administer. Kept as hashes in a file beside the data; a running server follows the
//! file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ingest::admission::Agents;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The file's name in the data directory.
const FILE: &str = "tokens.toml";
/// Every token starts like this, so that scanners for leaked secrets can know it.
const PREFIX: &str = "fn9";
/// How often a running server looks whether the file has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send rows.
    Write,
    /// Ask SQL, read metrics.
    Read,
    /// Flush, compact, snapshot, delete.
    Admin,
}

impl Scope {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Write => "write",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }
}

/// A token as it is kept: without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret, in hexadecimal digits. The secret has 256 random bits, so no slower hash is needed.
    hash: String,
    /// When it was made, as RFC 3339 has it.
    pub created: String,
    /// What it may write.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What a token with the scope `write` may write; what is empty limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Only to these schemas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
    /// Only these measurements; one that ends in `*` stands for all that begin so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<String>,
    /// Only series whose tags have one of these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Vec<String>>,
}

impl Limits {
    /// In one line, for people; empty if there are none.
    pub fn summary(&self) -> String {
        let list = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let tags = self.tags.iter().map(|(tag, values)| format!("{tag}={}", values.join("|")));
        let lists = [list("schemas", &self.schemas), list("measurements", &self.measurements)];
        lists.into_iter().flatten().chain(tags).collect::<Vec<_>>().join("; ")
    }
}

/// Tokens by their numbers.
pub type Table = BTreeMap<String, Kept>;

/// The file of tokens in a data directory.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// The tokens in a file; none if it is not there.
pub fn load(path: &Path) -> Result<Table> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not right", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Changes the tokens in a file: one at a time, and never half.
pub fn change<T>(path: &Path, change: impl FnOnce(&mut Table) -> Result<T>) -> Result<T> {
    let folder = path.parent().context("the file of tokens is in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let draft = path.with_extension("toml.new");
    // Only one can make it; what a crash left behind is in the way until somebody has looked.
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    let mut file = open.with_context(|| {
        format!("make {} (is another change under way? if not, remove it and try again)", draft.display())
    })?;
    let outcome = (|| {
        let mut table = load(path)?;
        let outcome = change(&mut table)?;
        file.write_all(toml::to_string(&table)?.as_bytes())?;
        file.sync_all()?;
        tsdb::inherit_owner(&draft)?;
        std::fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()?;
        Ok(outcome)
    })();
    if outcome.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    outcome
}

/// A new token with some limits: its number, what is kept, and the token itself, which is shown once.
pub fn create(name: &str, scopes: &[Scope], limits: Limits) -> Result<(String, Kept, String)> {
    let mut random = [0; 36];
    if SystemRandom::new().fill(&mut random).is_err() {
        bail!("the system gives no random numbers");
    }
    let (id, secret) = (hex(&random[..4]), URL_SAFE_NO_PAD.encode(&random[4..]));
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    let created = format!("{:.0}", Timestamp::now());
    let kept = Kept { name: name.into(), scopes, hash: hash(&secret), created, limits };
    Ok((id.clone(), kept, format!("{PREFIX}_{id}_{secret}")))
}

fn hash(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into memory does not fail");
        text
    })
}

/// What a request may do, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    /// As whom it may write.
    pub agent: Arc<Agents>,
    /// Those of the scopes that were asked for which it has.
    pub scopes: Vec<Scope>,
}

impl Granted {
    /// May it do what needs this scope, one of those that were asked for?
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Why a request may not do what it asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// No token, or none that is known.
    Unknown,
    /// A token that allows other things.
    Scope,
}

/// Whoever has a token.
#[derive(Debug)]
struct Holder {
    scopes: Vec<Scope>,
    hash: String,
    agent: Arc<Agents>,
}

fn holders(table: Table) -> BTreeMap<String, Holder> {
    let holder = |kept: Kept| {
        let Limits { schemas, measurements, tags } = &kept.limits;
        let agent = Agents::limited(schemas, measurements, tags).into();
        Holder { scopes: kept.scopes, hash: kept.hash, agent }
    };
    table.into_iter().map(|(id, kept)| (id, holder(kept))).collect()
}

/// What a server knows of tokens.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    table: ArcSwap<BTreeMap<String, Holder>>,
    /// Whoever comes while there are no tokens.
    anybody: Arc<Agents>,
    /// There are tokens, or were since the start: then a request without one is let in no more, even if all are
    /// revoked.
    is_closed: AtomicBool,
    started: Instant,
    /// When the file was looked at last, in ms since the start.
    looked_ms: AtomicU64,
    /// As the file was then.
    seen: ArcSwap<Option<(SystemTime, u64)>>,
}

impl Guard {
    /// Guards with the tokens of a data directory. As long as there are none, everything is allowed.
    pub fn open(data_dir: &Path) -> Result<Guard> {
        let path = path(data_dir);
        let (seen, table) = (stamp(&path), load(&path)?);
        Ok(Guard {
            path,
            is_closed: AtomicBool::new(!table.is_empty()),
            table: ArcSwap::from_pointee(holders(table)),
            anybody: Arc::default(),
            started: Instant::now(),
            looked_ms: AtomicU64::new(0),
            seen: ArcSwap::from_pointee(seen),
        })
    }

    /// Are there tokens, or were there since the start?
    pub fn has_tokens(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Which of these scopes does whoever shows this token have, and as whom? All of them as long as there are no
    /// tokens.
    ///
    /// # Errors
    ///
    /// None of them.
    pub fn check(&self, token: Option<&str>, scopes: &[Scope]) -> std::result::Result<Granted, Denied> {
        self.follow();
        if !self.has_tokens() {
            return Ok(Granted { agent: self.anybody.clone(), scopes: scopes.to_vec() });
        }
        let table = self.table.load();
        let token = token.ok_or(Denied::Unknown)?;
        let (id, secret) = token
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('_')?.split_once('_'))
            .ok_or(Denied::Unknown)?;
        let holder = table.get(id).ok_or(Denied::Unknown)?;
        let is_right = bool::from(hash(secret).as_bytes().ct_eq(holder.hash.as_bytes()));
        let scopes: Vec<Scope> = scopes.iter().copied().filter(|scope| holder.scopes.contains(scope)).collect();
        match (is_right, scopes.is_empty()) {
            (false, _) => Err(Denied::Unknown),
            (true, true) => Err(Denied::Scope),
            (true, false) => Ok(Granted { agent: holder.agent.clone(), scopes }),
        }
    }

    /// Reads the file again if it has changed, once a second at the most.
    fn follow(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        let looked = self.looked_ms.load(Ordering::Relaxed);
        if now < looked + LOOK_INTERVAL.as_millis() as u64
            || self.looked_ms.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let seen = stamp(&self.path);
        if seen == **self.seen.load() {
            return;
        }
        match load(&self.path) {
            // A file that is gone does not open the door to everybody.
            Ok(table) if table.is_empty() && self.has_tokens() && seen.is_none() => {
                tracing::error!("{} is gone: the tokens that were in it go on", self.path.display());
            }
            Ok(table) => {
                self.is_closed.fetch_or(!table.is_empty(), Ordering::Relaxed);
                self.table.store(holders(table).into());
            }
            Err(error) => tracing::error!("the tokens stay as they are: {error:#}"),
        }
        self.seen.store(seen.into());
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// The token of a request: `Bearer TOKEN`, InfluxDB's `Token TOKEN`, or `Basic` with the token as password.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let (kind, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match kind.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Some(rest.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    /// What a check comes to, whoever it is.
    fn outcome(guard: &Guard, headers: &HeaderMap, scope: Scope) -> std::result::Result<(), Denied> {
        guard.check(token(headers).as_deref(), &[scope]).map(drop)
    }

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_token_allows_its_scopes_and_only_its_hash_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::open(dir.path()).unwrap();
        assert_eq!(outcome(&guard, &HeaderMap::new(), Scope::Admin), Ok(()), "without tokens everything is allowed");
        let (id, kept, token) = create("probe", &[Scope::Write], Limits::default()).unwrap();
        change(&path(dir.path()), |table| Ok(table.insert(id.clone(), kept))).unwrap();
        let text = std::fs::read_to_string(path(dir.path())).unwrap();
        // A secret may have underscores of its own.
        let secret = token.splitn(3, '_').nth(2).unwrap();
        assert!(!text.contains(secret) && text.contains(&id), "{text}");

        let guard = Guard::open(dir.path()).unwrap();
        let basic = format!("Basic {}", STANDARD.encode(format!("anyone:{token}")));
        for value in [format!("Bearer {token}"), format!("Token {token}"), basic] {
            assert_eq!(outcome(&guard, &headers(&value), Scope::Write), Ok(()), "{value}");
            assert_eq!(outcome(&guard, &headers(&value), Scope::Read), Err(Denied::Scope));
        }
        let others = [format!("Bearer {token}x"), "Bearer fn9_00000000_x".into(), "Bearer".into(), "Basic %".into()];
        for value in others {
            assert_eq!(outcome(&guard, &headers(&value), Scope::Write), Err(Denied::Unknown), "{value}");
        }
        assert_eq!(outcome(&guard, &HeaderMap::new(), Scope::Write), Err(Denied::Unknown));
    }

    #[test]
    fn a_running_guard_follows_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (id, kept, token) = create("a", &[Scope::Read], Limits::default()).unwrap();
        change(&path(dir.path()), |table| Ok(table.insert(id.clone(), kept))).unwrap();
        let guard = Guard::open(dir.path()).unwrap();
        let look = |guard: &Guard| {
            guard.looked_ms.store(0, Ordering::Relaxed);
            std::thread::sleep(LOOK_INTERVAL);
            outcome(guard, &headers(&format!("Bearer {token}")), Scope::Read)
        };
        assert_eq!(look(&guard), Ok(()));
        std::fs::remove_file(path(dir.path())).unwrap();
        assert_eq!(look(&guard), Ok(()), "it goes on with the tokens that it knows");
        assert_eq!(outcome(&guard, &HeaderMap::new(), Scope::Read), Err(Denied::Unknown), "nobody else comes in");
        let (other, kept, _) = create("b", &[Scope::Read], Limits::default()).unwrap();
        change(&path(dir.path()), |table| Ok(table.insert(other, kept))).unwrap();
        assert_eq!(look(&guard), Err(Denied::Unknown), "revoked");
        change(&path(dir.path()), |table| Ok(std::mem::take(table))).unwrap();
        assert_eq!(look(&guard), Err(Denied::Unknown));
        assert_eq!(
            outcome(&guard, &HeaderMap::new(), Scope::Read),
            Err(Denied::Unknown),
            "the last one was no open door"
        );
        change(&path(dir.path()), |table| {
            Ok(table.insert("c".into(), create("c", &[Scope::Read], Limits::default())?.1))
        })
        .unwrap();
        assert!(change(&path(dir.path()), |_| -> Result<()> { bail!("no") }).is_err());
        assert_eq!(load(&path(dir.path())).unwrap().len(), 1, "a change that fails changes nothing");
    }
}

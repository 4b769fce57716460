//! A rotation that a test can stop after any change, and the state that it leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use service_only::issue::{PublicJwk, SignError, Signer};
use service_only::{Algorithm, KeySet};
use service_only_signer::KeyDevice;
use service_only_store::VerifierReport;
use tempfile::TempDir;

use crate::config::Config;
use crate::device::Device;
use crate::new_file;
use crate::reference::Reference;
use crate::rotation::*;
use crate::store;

const DAY: u64 = 24 * 3600;
pub(crate) const ISSUER: &str = "bakery-auth";

/// Where the private keys of a bench are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File,
    Device,
}

/// A device in memory. It can be cut off after any call: what was called has happened, and its answer is lost.
#[derive(Default)]
pub(crate) struct FakeDevice {
    keys: Mutex<BTreeMap<String, Arc<SigningKey>>>,
    pub(crate) created: AtomicUsize,
    /// How many calls are still answered.
    pub(crate) calls_left: Mutex<Option<usize>>,
}

impl FakeDevice {
    fn answer<T>(&self, answer: T) -> Result<T, SignError> {
        let mut left = self.calls_left.lock().unwrap();
        match left.as_mut() {
            Some(0) => Err(SignError::new("cut off")),
            Some(left) => {
                *left -= 1;
                Ok(answer)
            }
            None => Ok(answer),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.keys.lock().unwrap().keys().cloned().collect()
    }
}

impl KeyDevice for FakeDevice {
    fn find(&self, _: Algorithm, name: &str) -> Result<Option<PublicJwk>, SignError> {
        let found = self.keys.lock().unwrap().get(name).and_then(|key| key.public_jwk());
        self.answer(found)
    }

    fn create(&self, algorithm: Algorithm, _: Option<u32>, name: &str) -> Result<PublicJwk, SignError> {
        let mut keys = self.keys.lock().unwrap();
        let key = keys.entry(name.to_owned()).or_insert_with(|| {
            self.created.fetch_add(1, Ordering::Relaxed);
            Arc::new(SigningKey::generate(algorithm).unwrap())
        });
        let public = key.public_jwk().unwrap();
        self.answer(public)
    }

    fn destroy(&self, name: &str) -> Result<(), SignError> {
        self.keys.lock().unwrap().remove(name);
        self.answer(())
    }

    fn signer(&self, name: &str, public: PublicJwk) -> Box<dyn Signer> {
        Box::new(FakeSigner { key: self.keys.lock().unwrap().get(name).cloned(), public })
    }

    fn reference(&self, name: &str) -> String {
        format!("fake:{name}")
    }
}

struct FakeSigner {
    key: Option<Arc<SigningKey>>,
    public: PublicJwk,
}

impl Signer for FakeSigner {
    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.key.as_ref().ok_or_else(|| SignError::new("destroyed"))?;
        key.sign(message).map_err(|error| SignError::new(error.to_string()))
    }
}

/// A folder with a key that is old enough to be replaced, and a key that must retire.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) site: Site,
    pub(crate) device: Arc<FakeDevice>,
}

/// The state after a run, without key ids, which every run generates again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) stages: Vec<KeyState>,
    pub(crate) published: usize,
    pub(crate) files: Vec<String>,
}

fn load(folder: &TempDir, device: Option<Arc<FakeDevice>>) -> Site {
    let text = format!(
        "issuer = \"{ISSUER}\"\n[key]\nfile = \"key.pem\"\nalgorithm = \"EdDSA\"\n[rotation]\nkey_life = \"90d\"\n"
    );
    let path = folder.path().join("service-token.toml");
    fs::write(&path, text).unwrap();
    let mut config = Config::load(&path).unwrap();
    config.key.device = device.map(|device| Device(device));
    Site::of(&config).unwrap()
}

pub(crate) fn with_store<T>(folder: &TempDir, work: impl AsyncFnOnce(&Store) -> Outcome<T>) -> Outcome<T> {
    let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
    store::run(async { work(&Store::create(&url).await.map_err(|error| refused(&error))?).await })
}

pub(crate) fn record(key: &SigningKey, state: KeyState, age: u64) -> KeyRecord {
    let at = now().minus(Duration::from_secs(age));
    KeyRecord {
        issuer: ISSUER.to_owned(),
        kid: key.kid().to_string(),
        algorithm: "EdDSA".to_owned(),
        state,
        file: None,
        public_jwk: Some(public_half(key).unwrap().to_string()),
        prepared_at: at,
        active_at: Some(at),
        retiring_at: (state == KeyState::Retiring).then_some(at),
        retired_at: None,
        expires_at: None,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::at(Place::File)
    }

    pub(crate) fn at(place: Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let device = Arc::new(FakeDevice::default());
        let site = load(&folder, (place == Place::Device).then(|| Arc::clone(&device)));
        let older = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let old = match place {
            Place::File => {
                let old = SigningKey::generate(Algorithm::EdDSA).unwrap();
                let file = new_file::NewFile::secret(&site.file, old.to_secret_bytes().unwrap());
                new_file::write_all(&[file], new_file::Overwrite::Refuse).unwrap();
                old
            }
            Place::Device => Device(Arc::clone(&device) as _)
                .create(Algorithm::EdDSA, None, &site.file, new_file::Overwrite::Refuse)
                .unwrap(),
        };
        with_store(&folder, async |store| {
            store.add_key(&record(&older, KeyState::Retiring, 500 * DAY)).await.unwrap();
            store.add_key(&record(&old, KeyState::Active, 80 * DAY)).await.unwrap();
            Ok(())
        })
        .unwrap();
        let bench = Self { folder, site, device };
        // Publish the state of the previous rotation.
        let journal = bench.journal();
        bench.site.publish(&journal, None).unwrap();
        bench
    }

    pub(crate) fn journal(&self) -> Journal {
        with_store(&self.folder, async |store| Ok(store.journal(ISSUER).await.unwrap())).unwrap()
    }

    /// Runs until it is done, or stops it after so many changes. Returns whether it was done.
    pub(crate) fn run(&self, run: Run, leaked: Option<&str>, cut_after: usize) -> bool {
        let mut changes = 0;
        let mut go_on = || {
            changes += 1;
            if changes > cut_after { Err(Problem::usage("cut off")) } else { Ok(()) }
        };
        let outcome = with_store(&self.folder, async |store| {
            let rotation = Rotation::new(store, &self.site, &mut go_on);
            match run {
                Run::Due => rotation.advance().await.map(drop),
                Run::Emergency(successor) => rotation.emergency(leaked, successor).await.map(drop),
            }
        });
        match outcome {
            Ok(()) => true,
            Err(problem) => {
                assert!(problem.reason().ends_with("cut off"), "{problem}");
                false
            }
        }
    }

    /// Reports, as a verifier, that it has all published keys.
    pub(crate) fn report(&self) {
        let report = VerifierReport {
            id: "orders-1".to_owned(),
            issuer: ISSUER.to_owned(),
            kids: self.published(),
            refresh_interval: Duration::from_secs(60),
            last_seen: now(),
        };
        with_store(&self.folder, async |store| {
            store.report_verifier(&report).await.unwrap();
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn published(&self) -> Vec<String> {
        let set = KeySet::from_jwks(&fs::read(&self.site.jwks).unwrap()).unwrap();
        set.keys().iter().map(|key| key.kid().unwrap().to_string()).collect()
    }

    /// Checks at any moment: the signing key is published, and exactly one key is active.
    pub(crate) fn check(&self, run: Run) {
        let journal = self.journal();
        let signing = self.site.current().unwrap().kid().to_string();
        let active: Vec<_> = journal.keys.iter().filter(|key| key.state == KeyState::Active).collect();
        assert_eq!(active.len(), 1, "{journal:?}");
        let is_retired =
            |kid: &str| journal.keys.iter().any(|key| key.kid == kid && key.state == KeyState::Retired);
        if run == Run::Due {
            assert!(self.published().contains(&signing) && !is_retired(&signing));
        }
        let there = self.site.next().unwrap().is_some_and(|key| key.kid().as_str() == active[0].kid);
        assert!(signing == active[0].kid || there, "the active key's private half is here");
    }

    pub(crate) fn left(&self) -> Left {
        let journal = self.journal();
        let mut stages: Vec<_> = journal.keys.iter().map(|key| key.state).collect();
        stages.sort_by_key(|stage| stage.as_str());
        let live = journal.keys.iter().filter(|key| key.state != KeyState::Retired);
        let mut live: Vec<_> = live.map(|key| key.kid.clone()).collect();
        let mut published = self.published();
        live.sort();
        published.sort();
        assert_eq!(published, live, "all that is not retired is published, and nothing else");
        assert_eq!(self.site.current().unwrap().kid().as_str(), kid_in(&journal, KeyState::Active).unwrap());
        if !self.device.names().is_empty() {
            let files = ["key.pem", "key-next.pem"].map(|name| self.folder.path().join(name));
            let mut used: Vec<_> = files
                .iter()
                .filter_map(|path| Reference::read(path).unwrap())
                .map(|reference| reference.name().to_owned())
                .collect();
            used.sort();
            assert_eq!(self.device.names(), used, "the device has the keys that sign, and no other");
        }
        let next = self.site.next().unwrap().map(|key| key.kid().to_string());
        assert_eq!(next.as_deref(), kid_in(&journal, KeyState::Prepared));
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        Left { stages, published: published.len(), files }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Due,
    Emergency(Successor),
}

pub(crate) const ALL: usize = usize::MAX;

//! An immutable set of keys, and the selection of one for a token.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{
    Algorithm, AlgorithmSet, KeyError, KeyId, VerifyingKey,
    jwks::{self, MAX_KEYS, SkippedKey},
};
use crate::{
    denial::{Code, Denial, quoted},
    watched_file,
};

/// Up to this number of keys, a linear search is faster than a map. The common set is a key and its successor.
const FEW_KEYS: usize = 4;

/// An immutable set of keys. It is cheap to clone.
#[derive(Clone)]
pub struct KeySet(Arc<Keys>);

struct Keys {
    keys: Vec<VerifyingKey>,
    by_kid: HashMap<KeyId, usize>,
    algorithms: Vec<Algorithm>,
    accepts: AlgorithmSet,
    /// By algorithm: the key for a token without `kid`.
    alone: [Alone; Algorithm::ALL.len()],
    /// A key for development, if there is one. It is read for every token.
    development: Option<KeyId>,
    skipped: Vec<SkippedKey>,
}

impl Keys {
    fn new(keys: Vec<VerifyingKey>, by_kid: HashMap<KeyId, usize>, skipped: Vec<SkippedKey>) -> Self {
        let development = keys.iter().filter_map(VerifyingKey::kid).find(|kid| kid.is_development());
        let accepts: AlgorithmSet = keys.iter().flat_map(VerifyingKey::algorithms).collect();
        Self {
            algorithms: accepts.iter().collect(),
            accepts,
            alone: Alone::by_algorithm(&keys),
            development: development.cloned(),
            keys,
            by_kid,
            skipped,
        }
    }
}

/// How many keys are for an algorithm, and which one if there is only one. It is computed once: a set may have
/// [`KeySet::MAX_KEYS`], and an unauthenticated token may omit the `kid`.
#[derive(Copy, Clone, Default)]
enum Alone {
    #[default]
    None,
    Key(usize),
    Several,
}

impl Alone {
    fn by_algorithm(keys: &[VerifyingKey]) -> [Self; Algorithm::ALL.len()] {
        let mut alone = [Self::default(); Algorithm::ALL.len()];
        for (index, key) in keys.iter().enumerate() {
            // If entries of a JWK set share a `kid`, a key lists an algorithm more than once.
            for algorithm in key.algorithms() {
                if let Some(place) = alone.get_mut(algorithm as usize) {
                    *place = match place {
                        Self::None => Self::Key(index),
                        Self::Key(_) | Self::Several => Self::Several,
                    };
                }
            }
        }
        alone
    }
}

impl KeySet {
    /// The maximum number of keys in one set: far more than a rotation needs, and few enough to load quickly.
    pub const MAX_KEYS: usize = jwks::MAX_KEYS;

    /// The maximum size of a JWK set, in bytes: [`KeySet::MAX_KEYS`] of about 400 bytes each.
    pub const MAX_JWKS_BYTES: usize = jwks::MAX_JWKS_BYTES;

    /// How many different keys for one algorithm may share a `kid`. Each costs one signature check for an
    /// unauthenticated token. An issuer that reuses a name while it rotates has two.
    pub const MAX_KEYS_PER_KID: usize = jwks::MAX_KEYS_PER_KID;

    /// Creates a set of these keys.
    ///
    /// # Errors
    /// For an empty list, for more than [`KeySet::MAX_KEYS`] keys, and for two keys with the same `kid`.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        Self::assemble(keys.into_iter().collect(), Vec::new())
    }

    /// Reads the keys of a JWK set (RFC 7517 section 5). A member that is unknown, weak or not for
    /// signatures does not affect the other members: it is skipped and listed in
    /// [`KeySet::skipped`].
    ///
    /// Members with one `kid` are one [`VerifyingKey`]. A token uses those that are for its `alg`. If there are
    /// several, up to [`KeySet::MAX_KEYS_PER_KID`], each is tried.
    ///
    /// The text is UTF-8 or UTF-16, with or without a byte order mark.
    ///
    /// # Errors
    /// When the text is not a JWK set, is too large, or contains no usable key.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        Self::from_jwks_of(json, MAX_KEYS)
    }

    /// Reads a set of at most so many members, usable or not.
    pub(crate) fn from_jwks_of(json: &[u8], members: usize) -> Result<Self, KeyError> {
        let (keys, skipped) = jwks::parse(json, members)?;
        Self::assemble(keys, skipped)
    }

    /// Reads the keys of a JWK set in a file; see [`KeySet::from_jwks`].
    ///
    /// # Errors
    /// As [`KeySet::from_jwks`], and when the file cannot be read. The message names the file.
    pub fn from_jwks_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let json = read_bounded(path, jwks::MAX_JWKS_BYTES)?;
        Self::from_jwks(&json)
            .map_err(|error| KeyError { message: format!("{}: {error}", path.display()), ..error })
    }

    fn assemble(keys: Vec<VerifyingKey>, skipped: Vec<SkippedKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::unusable(format!("no usable key{}", reasons(&skipped))));
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyError::unusable(format!("{} keys, more than {MAX_KEYS}", keys.len())));
        }
        let mut by_kid = HashMap::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let Some(kid) = key.kid() else { continue };
            if by_kid.insert(kid.clone(), index).is_some() {
                return Err(KeyError::unusable(format!(
                    "two keys have the `kid` `{}`; give each key its own",
                    quoted(kid.as_str())
                )));
            }
        }
        Ok(Self(Arc::new(Keys::new(keys, by_kid, skipped))))
    }

    /// The members of the JWK set that were skipped, with the reason.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.0.skipped
    }

    /// Logs each member that was skipped, with the reason.
    pub(crate) fn log_skipped(&self, place: &dyn fmt::Display) {
        for skipped in self.skipped().iter().take(MAX_REASONS) {
            tracing::warn!(target: "service_only", %place, %skipped, "a key of the set is not used");
        }
        if let Some(more @ 1..) = self.skipped().len().checked_sub(MAX_REASONS) {
            tracing::warn!(target: "service_only", %place, more, "further keys of the set are not used");
        }
    }

    /// The keys. Members of a JWK set with one `kid` are one key.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0.keys
    }

    /// The number of keys, which is never zero.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.0.keys.len()
    }

    /// The algorithms that the keys are for, each once, in the order of [`Algorithm::ALL`].
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.0.algorithms
    }

    pub(crate) fn accepts(&self) -> AlgorithmSet {
        self.0.accepts
    }

    /// A key that is for development, if there is one.
    pub(crate) fn development_key(&self) -> Option<&KeyId> {
        self.0.development.as_ref()
    }

    /// Whether both are the same set: clones of each other, not sets of equal keys.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether a key has this name.
    pub fn has(&self, kid: &str) -> bool {
        self.0.by_kid.contains_key(kid)
    }

    /// Selects the one key for a token that has this `algorithm` and `kid`.
    ///
    /// If no key has the `kid`, the token is refused and no other key is tried. A token without `kid` gets the only
    /// key for its algorithm, if there is exactly one.
    pub(crate) fn key_for(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<&VerifyingKey, Denial> {
        let key = match kid {
            Some(kid) => self.named(kid)?,
            None => self.only_one_for(algorithm)?,
        };
        if key.is_for(algorithm) {
            return Ok(key);
        }
        let own = key.algorithms().collect::<AlgorithmSet>();
        let own = own.iter().map(Algorithm::as_str).collect::<Vec<_>>().join(", ");
        let reason = format!("the token's `alg` is `{algorithm}`, and its key is for {own}");
        Err(Denial::new(Code::KeyAlgMismatch, reason))
    }

    fn named(&self, kid: &str) -> Result<&VerifyingKey, Denial> {
        let is_named = |key: &&VerifyingKey| key.kid().is_some_and(|own| own.as_str() == kid);
        let named = if self.len() <= FEW_KEYS {
            self.keys().iter().find(is_named)
        } else {
            self.0.by_kid.get(kid).and_then(|&index| self.0.keys.get(index))
        };
        let unnamed = match self.keys() {
            [only] if only.answers_any_kid => Some(only),
            _ => None,
        };
        named.or(unnamed).ok_or_else(|| {
            let reason = format!("the token's `kid` is `{}`, and no key has that name", quoted(kid));
            Denial::new(Code::UnknownKey, reason)
        })
    }

    fn only_one_for(&self, algorithm: Algorithm) -> Result<&VerifyingKey, Denial> {
        let alone = self.0.alone.get(algorithm as usize).copied().unwrap_or_default();
        let key = match alone {
            Alone::Key(index) => self.0.keys.get(index),
            Alone::None | Alone::Several => None,
        };
        match (key, alone) {
            (Some(only), _) => Ok(only),
            (None, Alone::Several) => {
                let reason = format!("the token has no `kid`, and several keys are for `{algorithm}`");
                Err(Denial::new(Code::UnknownKey, reason))
            }
            (None, _) => {
                let reason = format!("the token has no `kid`, and no key is for `{algorithm}`");
                Err(Denial::new(Code::KeyAlgMismatch, reason))
            }
        }
    }
}

impl From<VerifyingKey> for KeySet {
    fn from(key: VerifyingKey) -> Self {
        let by_kid = key.kid().cloned().map(|kid| (kid, 0)).into_iter().collect();
        Self(Arc::new(Keys::new(vec![key], by_kid, Vec::new())))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

/// The maximum number of reasons in one message, because a set may be full of unusable keys.
const MAX_REASONS: usize = 8;

fn reasons(skipped: &[SkippedKey]) -> String {
    let mut reasons: Vec<_> = skipped.iter().take(MAX_REASONS).map(SkippedKey::to_string).collect();
    match skipped.len().checked_sub(MAX_REASONS) {
        None | Some(0) => {}
        Some(more) => reasons.push(format!("and {more} more")),
    }
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
}

/// Reads a file like [`watched_file::read_bounded`], and names the file in the error.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    watched_file::read_bounded(path, limit)
        .map_err(|error| KeyError::unreadable(format!("{}: {error}", path.display())))
}

//! Merges the entries of a set that are one key.

use std::collections::HashMap;

use jsonwebtoken::DecodingKey;

use super::super::{Algorithm, KeyError, KeyId, VerifyingKey, prepared::Prepared};

/// See [`KeySet::MAX_KEYS_PER_KID`](crate::KeySet::MAX_KEYS_PER_KID).
pub(crate) const MAX_KEYS_PER_KID: usize = 4;

/// One usable member of a set.
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) kid: Option<KeyId>,
    pub(crate) material: Material,
    pub(crate) prepared: Vec<(Algorithm, Prepared)>,
}

/// The numbers of a public key. Two entries with the same material are the same key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point in the uncompressed form of SEC 1.
    Ec(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    pub(crate) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::Ec(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
        }
    }
}

/// Merges entries that are the same key: those with the same `kid`, and identical ones without a `kid`.
#[derive(Default)]
pub(crate) struct Shelves {
    shelves: Vec<Shelf>,
    by_name: HashMap<KeyId, usize>,
    unnamed: HashMap<Material, usize>,
}

struct Shelf {
    kid: Option<KeyId>,
    held: Vec<Held>,
}

struct Held {
    /// The position of its entry in the set.
    index: usize,
    material: Material,
    algorithm: Algorithm,
    prepared: Prepared,
}

impl Shelves {
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), KeyError> {
        let Entry { index, kid, material, prepared } = entry;
        let next = self.shelves.len();
        let place = match &kid {
            Some(kid) => *self.by_name.entry(kid.clone()).or_insert(next),
            None => *self.unnamed.entry(material.clone()).or_insert(next),
        };
        match self.shelves.get_mut(place) {
            Some(shelf) => shelf.add(index, &material, prepared),
            None => {
                let mut shelf = Shelf { kid, held: Vec::new() };
                let added = shelf.add(index, &material, prepared);
                self.shelves.push(shelf);
                added
            }
        }
    }

    pub(crate) fn into_keys(self) -> Vec<VerifyingKey> {
        let key = |shelf: Shelf| {
            let prepared = shelf.held.into_iter().map(|held| (held.algorithm, held.prepared));
            VerifyingKey::of_set(shelf.kid, prepared.collect())
        };
        self.shelves.into_iter().map(key).collect()
    }
}

impl Shelf {
    fn add(
        &mut self,
        index: usize,
        material: &Material,
        prepared: Vec<(Algorithm, Prepared)>,
    ) -> Result<(), KeyError> {
        let (mut repeats, mut added) = (None, false);
        for (algorithm, prepared) in prepared {
            let others: Vec<_> = self.held.iter().filter(|held| held.algorithm == algorithm).collect();
            if let Some(same) = others.iter().find(|held| held.material == *material) {
                repeats.get_or_insert(same.index);
            } else if others.len() < MAX_KEYS_PER_KID {
                self.held.push(Held { index, material: material.clone(), algorithm, prepared });
                added = true;
            }
        }
        match repeats {
            _ if added => Ok(()),
            Some(first) => Err(KeyError::unusable(format!("it repeats key {}, which is used", first + 1))),
            None => Err(KeyError::unusable(format!(
                "{MAX_KEYS_PER_KID} keys before it have its `kid` and its algorithm; give each key its own `kid`"
            ))),
        }
    }
}

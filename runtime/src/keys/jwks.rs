//! Parses JWK sets (RFC 7517): strictly for usable keys, and leniently for other members. `embedded`: the one key in the
//! header of a proof.

mod embedded;

use std::{borrow::Cow, collections::HashMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
pub(crate) use embedded::{EmbeddedJwk, EmbeddedKey};
use jsonwebtoken::DecodingKey;
use serde::{
    Deserialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::{Algorithm, KeyError, KeyId, VerifyingKey, algorithm::KeyType, prepared::Prepared, weak};
use crate::{
    denial::quoted,
    json::{self, JsonError, Value},
    text,
};

/// See [`KeySet::MAX_KEYS`].
pub(crate) const MAX_KEYS: usize = 10_000;

/// See [`KeySet::MAX_JWKS_BYTES`].
pub(crate) const MAX_JWKS_BYTES: usize = 4 * 1024 * 1024;

/// See [`KeySet::MAX_KEYS_PER_KID`].
pub(crate) const MAX_KEYS_PER_KID: usize = 4;

/// A member of a JWK set that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    pub(crate) index: usize,
    pub(crate) kid: Option<String>,
    pub(crate) error: KeyError,
}

impl SkippedKey {
    /// Why it was skipped.
    pub fn error(&self) -> &KeyError {
        &self.error
    }
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.index + 1)?;
        if let Some(kid) = &self.kid {
            write!(f, " (`{}`)", quoted(kid))?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Parses a set of at most `most` members into its keys and the members that were skipped.
pub(crate) fn parse(json: &[u8], most: usize) -> Result<(Vec<VerifyingKey>, Vec<SkippedKey>), KeyError> {
    if json.len() > MAX_JWKS_BYTES {
        return Err(KeyError::unusable(format!("the JWK set is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let text = text::decode(json).map_err(|why| KeyError::unusable(format!("not a JWK set: {why}")))?;
    let mut set = SetMembers::default();
    json::read_object(text.as_bytes(), &mut set).map_err(|error| match error {
        JsonError::Malformed(why) | JsonError::WrongType(why) => {
            KeyError::unusable(format!("not a JWK set: {why}{}", remedy(&text)))
        }
    })?;
    let members = set.keys.ok_or_else(|| {
        KeyError::unusable(if set.is_a_key {
            "not a JWK set: it is a single JWK; write `{\"keys\":[` before it and `]}` behind it"
        } else {
            "not a JWK set: the member `keys` is missing"
        })
    })?;
    if members.len() > most {
        return Err(KeyError::unusable(format!("{} keys, more than {most}", members.len())));
    }
    let (mut shelves, mut skipped) = (Shelves::default(), Vec::new());
    for (index, jwk) in members.into_iter().enumerate() {
        let kid = jwk.kid.text().map(str::to_owned);
        if let Err(error) = jwk.into_entry(index).and_then(|entry| shelves.add(entry)) {
            skipped.push(SkippedKey { index, kid, error });
        }
    }
    Ok((shelves.into_keys(), skipped))
}

/// Suggests what to do with a text that is not a JSON object, based on how it begins. Never quotes the text.
fn remedy(text: &str) -> &'static str {
    match text.trim_start().as_bytes() {
        [] => "; the text is empty",
        [b'[', ..] => "; an array of keys belongs in an object: `{\"keys\":[…]}`",
        [b'<', ..] => "; it is HTML or XML, perhaps the error page of a server",
        [b'#' | b'/', ..] => "; JSON has no comments: remove them",
        rest if rest.starts_with(b"-----BEGIN") => "; it is PEM, and a JWK set is JSON",
        _ => "",
    }
}

/// One usable member of a set.
struct Entry {
    index: usize,
    kid: Option<KeyId>,
    material: Material,
    prepared: Vec<(Algorithm, Prepared)>,
}

/// The numbers of a public key. Two entries with the same material are the same key.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point in the uncompressed form of SEC 1.
    Ec(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::Ec(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
        }
    }
}

/// Merges entries that are the same key: those with the same `kid`, and identical ones without a `kid`.
#[derive(Default)]
struct Shelves {
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
    fn add(&mut self, entry: Entry) -> Result<(), KeyError> {
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

    fn into_keys(self) -> Vec<VerifyingKey> {
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

#[derive(Default)]
struct SetMembers {
    keys: Option<Vec<Jwk>>,
    /// The object has a `kty`, which a key has and a set does not have.
    is_a_key: bool,
}

json::names! {
    /// The known members of a set.
    SetName {
        Keys = "keys",
        Kty = "kty",
    }
}

impl<'de> json::Members<'de> for SetMembers {
    type Name = SetName;

    fn member<A: MapAccess<'de>>(&mut self, name: SetName, map: &mut A) -> Result<(), A::Error> {
        match name {
            SetName::Keys => self.keys = Some(map.next_value::<JwkList>()?.0),
            SetName::Kty => {
                map.next_value::<Value<'de>>()?;
                self.is_a_key = true;
            }
        }
        Ok(())
    }
}

struct JwkList(Vec<Jwk>);

impl<'de> Deserialize<'de> for JwkList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = JwkList;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of keys")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JwkList, A::Error> {
                let mut list = Vec::new();
                while let Some(jwk) = seq.next_element::<Jwk>()? {
                    // Check here, because a member of two bytes takes a hundred times as many after it is parsed.
                    if list.len() == MAX_KEYS {
                        return Err(de::Error::custom(format_args!("more than {MAX_KEYS} keys")));
                    }
                    list.push(jwk);
                }
                Ok(JwkList(list))
            }
        }
        deserializer.deserialize_seq(ListVisitor)
    }
}

/// One member of the set. An error in it is stored, not returned: RFC 7517 section 5
/// requires ignoring keys that are not understood.
#[derive(Default)]
struct Jwk {
    not_an_object: bool,
    /// A repeated member, or too many members.
    unlawful: Option<String>,
    kid: Member,
    kty: Member,
    crv: Member,
    alg: Member,
    key_use: Member,
    key_ops: KeyOps,
    n: Member,
    e: Member,
    x: Member,
    y: Member,
    /// The name of a member that only a private key has.
    private: Option<&'static str>,
}

/// The member `key_ops` (RFC 7517 section 4.3).
#[derive(Default)]
enum KeyOps {
    #[default]
    Absent,
    Operations(Vec<String>),
    WrongType,
}

/// A member that should be a string.
#[derive(Default, Clone, PartialEq)]
enum Member {
    #[default]
    Absent,
    Text(String),
    WrongType,
}

impl From<Value<'_>> for Member {
    fn from(value: Value<'_>) -> Self {
        value.into_text().map_or(Self::WrongType, |text| Self::Text(text.into_owned()))
    }
}

impl Member {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::WrongType => None,
        }
    }

    fn required(&self, name: &str) -> Result<&str, KeyError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Absent => Err(KeyError::unusable(format!("it has no `{name}`"))),
            Self::WrongType => Err(KeyError::unusable(format!("`{name}` is not a string"))),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<&str>, KeyError> {
        match self {
            Self::Absent => Ok(None),
            _ => self.required(name).map(Some),
        }
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JwkVisitor;
        /// Anything that is not an object is skipped, like a key that is not understood.
        macro_rules! not_an_object {
            ($($method:ident: $type:ty),*) => {
                $(fn $method<E>(self, _: $type) -> Result<Jwk, E> { Ok(Jwk::not_an_object()) })*
            };
        }
        impl<'de> Visitor<'de> for JwkVisitor {
            type Value = Jwk;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JWK")
            }
            not_an_object! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }
            fn visit_unit<E>(self) -> Result<Jwk, E> {
                Ok(Jwk::not_an_object())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Jwk, A::Error> {
                while seq.next_element::<Value<'de>>()?.is_some() {}
                Ok(Jwk::not_an_object())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Jwk, A::Error> {
                let mut jwk = Jwk::default();
                let mut seen: Vec<String> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let value = map.next_value::<Value<'de>>()?;
                    if seen.len() == json::MAX_JSON_MEMBERS {
                        jwk.unlawful = Some(format!("it has more than {} members", json::MAX_JSON_MEMBERS));
                        continue;
                    }
                    if seen.contains(&name) {
                        jwk.unlawful = Some(format!("its member `{}` occurs twice", quoted(&name)));
                        continue;
                    }
                    jwk.set(&name, value);
                    seen.push(name);
                }
                Ok(jwk)
            }
        }
        deserializer.deserialize_any(JwkVisitor)
    }
}

impl Jwk {
    fn not_an_object() -> Self {
        Self { not_an_object: true, ..Self::default() }
    }

    /// Sets a member. A null member counts as absent, because .NET writes null for everything that a key lacks.
    fn set(&mut self, name: &str, value: Value<'_>) {
        if value == Value::Null {
            return;
        }
        match name {
            "kid" => self.kid = value.into(),
            "kty" => self.kty = value.into(),
            "crv" => self.crv = value.into(),
            "alg" => self.alg = value.into(),
            "use" => self.key_use = value.into(),
            "key_ops" => {
                self.key_ops = match value {
                    Value::Texts(ops) => KeyOps::Operations(ops.into_iter().map(Cow::into_owned).collect()),
                    _ => KeyOps::WrongType,
                };
            }
            "n" => self.n = value.into(),
            "e" => self.e = value.into(),
            "x" => self.x = value.into(),
            "y" => self.y = value.into(),
            _ => {
                let private = PRIVATE_MEMBERS.iter().find(|private| **private == name);
                // `"oth": []` and `"d": ""` are empty.
                if !matches!(&value, Value::Text(text) if text.is_empty())
                    && !matches!(&value, Value::Texts(texts) if texts.is_empty())
                {
                    self.private = self.private.or(private.copied());
                }
            }
        }
    }

    fn into_entry(self, index: usize) -> Result<Entry, KeyError> {
        self.check_usable()?;
        let kid = self.kid.text().map(KeyId::from);
        let candidates = self.candidates()?;
        let material = self.material()?;
        let key = material.decoding_key();
        let prepared = candidates
            .into_iter()
            .map(|algorithm| Ok((algorithm, Prepared::new(algorithm, &key)?)))
            .collect::<Result<Vec<_>, KeyError>>()?;
        Ok(Entry { index, kid, material, prepared })
    }

    /// Checks everything but the key itself: the object, its name and its purpose.
    fn check_usable(&self) -> Result<(), KeyError> {
        if self.not_an_object {
            return Err(KeyError::unusable("it is not an object"));
        }
        if let Some(why) = &self.unlawful {
            return Err(KeyError::unusable(why));
        }
        if self.kid.optional("kid")?.is_some_and(|kid| kid.len() > KeyId::MAX_LENGTH) {
            return Err(KeyError::unusable(format!("`kid` is longer than {} bytes", KeyId::MAX_LENGTH)));
        }
        self.check_purpose()
    }

    /// Checks `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3).
    fn check_purpose(&self) -> Result<(), KeyError> {
        match self.key_use.optional("use")? {
            // A SPIFFE bundle marks a key for JWT-SVIDs.
            None | Some("sig" | "jwt-svid") => {}
            Some(other) => {
                return Err(KeyError::unusable(format!("`use` is `{}`, expected `sig`", quoted(other))));
            }
        }
        match &self.key_ops {
            KeyOps::Absent => Ok(()),
            KeyOps::Operations(ops) if ops.iter().any(|op| op == "verify") => Ok(()),
            KeyOps::Operations(ops) if ops.is_empty() => Err(KeyError::unusable(
                "`key_ops` is empty, so the key is for no operation (RFC 7517 section 4.3); leave it out, or add `verify`",
            )),
            KeyOps::Operations(_) => Err(KeyError::unusable("`key_ops` has no `verify`")),
            KeyOps::WrongType => Err(KeyError::unusable("`key_ops` is not an array of strings")),
        }
    }

    /// The algorithms that the key is for: the one that it names, or all that its type supports.
    fn candidates(&self) -> Result<Vec<Algorithm>, KeyError> {
        let key_type = self.key_type()?;
        let fitting = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.key_type() == key_type);
        match self.alg.optional("alg")? {
            None => Ok(fitting.collect()),
            // Both names of an Ed25519 key mean the same signatures (RFC 9864 section 2.2). So the key
            // verifies tokens with either name, and the verifier's own list decides which names it accepts.
            Some("EdDSA" | "Ed25519") if key_type == KeyType::Ed25519 => Ok(fitting.collect()),
            Some(name) => {
                let named: Vec<_> = fitting.filter(|algorithm| algorithm.as_str() == name).collect();
                if named.is_empty() {
                    let name = quoted(name);
                    return Err(KeyError::unusable(format!("`alg` is `{name}`, which does not fit `kty`")));
                }
                Ok(named)
            }
        }
    }

    fn key_type(&self) -> Result<KeyType, KeyError> {
        match (self.kty.required("kty")?, self.crv.optional("crv")?) {
            ("RSA", _) => Ok(KeyType::Rsa),
            ("EC", Some("P-256")) => Ok(KeyType::P256),
            ("EC", Some("P-384")) => Ok(KeyType::P384),
            ("OKP", Some("Ed25519")) => Ok(KeyType::Ed25519),
            ("oct", _) => Err(KeyError::unusable(
                "it is an HMAC secret, and a JWK set is public: load the secret from its own file",
            )),
            ("EC" | "OKP", None) => Err(KeyError::unusable("it has no `crv`")),
            (kty @ ("EC" | "OKP"), Some(crv)) => {
                let crv = quoted(crv);
                Err(KeyError::unusable(format!(
                    "`crv` `{crv}` of `kty` `{kty}` is not supported; {SUPPORTED}"
                )))
            }
            (kty, _) => {
                Err(KeyError::unusable(format!("`kty` `{}` is not supported; {SUPPORTED}", quoted(kty))))
            }
        }
    }

    fn material(&self) -> Result<Material, KeyError> {
        if let Some(member) = self.private {
            return Err(KeyError::unusable(format!(
                "it contains a private key (`{member}`), which a verifier must not have: publish only the public members, and replace the key"
            )));
        }
        match self.key_type()? {
            KeyType::Rsa => {
                let number = |member, name| Ok(weak::significant(&decode(member, name)?).to_vec());
                Ok(Material::Rsa { n: number(&self.n, "n")?, e: number(&self.e, "e")? })
            }
            KeyType::P256 => self.point(32),
            KeyType::P384 => self.point(48),
            KeyType::Ed25519 => {
                let x = decode(&self.x, "x")?;
                check_length(&x, "x", 32)?;
                Ok(Material::Ed25519(x))
            }
            KeyType::Secret => Err(KeyError::unusable("it is a secret")),
        }
    }

    /// Reads a point. RFC 7518 section 6.2.1: both coordinates have full length. Java adds a sign, a leading zero
    /// octet.
    fn point(&self, length: usize) -> Result<Material, KeyError> {
        let coordinate = |member, name| {
            let bytes = decode(member, name)?;
            let bytes = match bytes.as_slice() {
                [0, rest @ ..] if rest.len() == length => rest,
                all => all,
            };
            check_length(bytes, name, length)?;
            Ok(bytes.to_vec())
        };
        let (x, y) = (coordinate(&self.x, "x")?, coordinate(&self.y, "y")?);
        Ok(Material::Ec([&[4], x.as_slice(), y.as_slice()].concat()))
    }
}

/// The members of a JWK that only private keys have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4, RFC 8037 section 2).
pub const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const SUPPORTED: &str = "supported are `RSA`, `EC` on `P-256` or `P-384`, and `OKP` on `Ed25519`";

fn decode(member: &Member, name: &str) -> Result<Vec<u8>, KeyError> {
    let text = member.required(name)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyError::unusable(format!("`{name}` is not unpadded base64url")))
}

fn check_length(bytes: &[u8], name: &str, length: usize) -> Result<(), KeyError> {
    if bytes.len() == length {
        return Ok(());
    }
    Err(KeyError::unusable(format!("`{name}` has {} bytes, expected {length}", bytes.len())))
}

//! JWK sets (RFC 7517), read strictly for the keys that matter and leniently for their neighbours.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::{
    Deserialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::{
    Algorithm, KeyError, KeyId, MAX_KEYS, MAX_KID_LENGTH, SkippedKey, VerifyingKey, algorithm::KeyType,
    prepared::Prepared,
};
use crate::json::{self, JsonError, Value};

/// The largest JWK set that is read, in bytes: [`MAX_KEYS`](super::MAX_KEYS) of about 400 bytes.
pub const MAX_JWKS_BYTES: usize = 4 * 1024 * 1024;

pub(super) fn parse(json: &[u8]) -> Result<(Vec<VerifyingKey>, Vec<SkippedKey>), KeyError> {
    if json.len() > MAX_JWKS_BYTES {
        return Err(KeyError::unusable(format!("the JWK set is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let mut set = SetMembers::default();
    json::read_object(json, &mut set).map_err(|error| match error {
        JsonError::Malformed(why) | JsonError::WrongType(why) => {
            KeyError::unusable(format!("not a JWK set: {why}"))
        }
    })?;
    let members = set.keys.ok_or_else(|| KeyError::unusable("not a JWK set: there is no member `keys`"))?;
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for (index, jwk) in members.into_iter().enumerate() {
        let kid = jwk.kid.clone();
        match jwk.into_key() {
            Ok(key) => keys.push(key),
            Err(error) => skipped.push(SkippedKey { index, kid, error }),
        }
    }
    Ok((keys, skipped))
}

#[derive(Default)]
struct SetMembers {
    keys: Option<Vec<Jwk>>,
}

json::names! {
    /// The members of a set that mean something.
    SetName { Keys = "keys", }
}

impl<'de> json::Members<'de> for SetMembers {
    type Name = SetName;

    fn member<A: MapAccess<'de>>(&mut self, SetName::Keys: SetName, map: &mut A) -> Result<(), A::Error> {
        self.keys = Some(map.next_value::<JwkList>()?.0);
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
                    // Here, since a member of two bytes takes a hundred times as many once it is read.
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

/// One member of the set. Whatever is wrong with it is remembered, not raised: RFC 7517 section 5
/// asks to ignore keys that are not understood.
#[derive(Default)]
struct Jwk {
    not_an_object: bool,
    ambiguous: bool,
    kid: Option<String>,
    kty: Member,
    crv: Member,
    alg: Member,
    key_use: Member,
    key_ops: Option<Vec<String>>,
    n: Member,
    e: Member,
    x: Member,
    y: Member,
    private: bool,
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
        /// Anything but an object is skipped like a key that is not understood.
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
                    if seen.len() == json::MAX_JSON_MEMBERS || seen.contains(&name) {
                        jwk.ambiguous = true;
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

    fn set(&mut self, name: &str, value: Value<'_>) {
        match name {
            "kid" => match value {
                Value::Text(kid) => self.kid = Some(kid.into_owned()),
                _ => self.ambiguous = true,
            },
            "kty" => self.kty = value.into(),
            "crv" => self.crv = value.into(),
            "alg" => self.alg = value.into(),
            "use" => self.key_use = value.into(),
            "key_ops" => {
                self.key_ops = Some(match value {
                    Value::Texts(ops) => ops.into_iter().map(Cow::into_owned).collect(),
                    _ => Vec::new(),
                });
            }
            "n" => self.n = value.into(),
            "e" => self.e = value.into(),
            "x" => self.x = value.into(),
            "y" => self.y = value.into(),
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => self.private = true,
            _ => {}
        }
    }

    fn into_key(self) -> Result<VerifyingKey, KeyError> {
        if self.not_an_object {
            return Err(KeyError::unusable("it is not an object"));
        }
        if self.ambiguous {
            return Err(KeyError::unusable("a member stands twice, or `kid` is not a string"));
        }
        if self.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_LENGTH) {
            return Err(KeyError::unusable(format!("`kid` is longer than {MAX_KID_LENGTH} bytes")));
        }
        self.check_purpose()?;
        let candidates = self.candidates()?;
        let material = self.material()?;
        let prepared = candidates
            .into_iter()
            .map(|algorithm| Ok((algorithm, Prepared::new(algorithm, &material)?)))
            .collect::<Result<Vec<_>, KeyError>>()?;
        Ok(VerifyingKey::of_set(self.kid.map(KeyId::new), prepared))
    }

    /// RFC 7517 sections 4.2 and 4.3.
    fn check_purpose(&self) -> Result<(), KeyError> {
        match self.key_use.optional("use")? {
            // A SPIFFE bundle says that a key is for JWT-SVIDs.
            None | Some("sig" | "jwt-svid") => {}
            Some(_) => return Err(KeyError::unusable("`use` is not `sig`")),
        }
        match &self.key_ops {
            Some(ops) if !ops.iter().any(|op| op == "verify") => {
                Err(KeyError::unusable("`key_ops` has no `verify`"))
            }
            _ => Ok(()),
        }
    }

    /// The algorithms that the key is for: the one it names, or all that its type can do.
    fn candidates(&self) -> Result<Vec<Algorithm>, KeyError> {
        let key_type = self.key_type()?;
        let fitting = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.key_type() == key_type);
        match self.alg.optional("alg")? {
            None => Ok(fitting.collect()),
            Some(name) => {
                let named: Vec<_> = fitting.filter(|algorithm| algorithm.as_str() == name).collect();
                if named.is_empty() { Err(KeyError::unusable("`alg` does not fit `kty`")) } else { Ok(named) }
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
                "it is a secret, and a JWK set is public: give an HMAC secret by itself",
            )),
            _ => Err(KeyError::unusable("its `kty` and `crv` are not supported")),
        }
    }

    fn material(&self) -> Result<DecodingKey, KeyError> {
        if self.private {
            return Err(KeyError::unusable("it holds a private key, which has no place in a verifier"));
        }
        match self.key_type()? {
            KeyType::Rsa => {
                let (n, e) = (decode(&self.n, "n")?, decode(&self.e, "e")?);
                Ok(DecodingKey::from_rsa_raw_components(&n, &e))
            }
            KeyType::P256 => self.point(32),
            KeyType::P384 => self.point(48),
            KeyType::Ed25519 => {
                check_length(&decode(&self.x, "x")?, "x", 32)?;
                DecodingKey::from_ed_components(self.x.required("x")?)
                    .map_err(|_| KeyError::unusable("`x` is not base64url"))
            }
            KeyType::Secret => Err(KeyError::unusable("it is a secret")),
        }
    }

    /// RFC 7518 section 6.2.1: both coordinates in full length.
    fn point(&self, length: usize) -> Result<DecodingKey, KeyError> {
        for (member, name) in [(&self.x, "x"), (&self.y, "y")] {
            check_length(&decode(member, name)?, name, length)?;
        }
        DecodingKey::from_ec_components(self.x.required("x")?, self.y.required("y")?)
            .map_err(|_| KeyError::unusable("`x` or `y` is not base64url"))
    }
}

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

//! Reads one entry of a set: its members, its purpose, its algorithms and its numbers.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    super::{Algorithm, KeyError, KeyId, algorithm::KeyType, prepared::Prepared, weak},
    merge::{Entry, Material},
};
use crate::{
    denial::quoted,
    json::{self, Value},
};

/// One member of the set. An error in it is stored, not returned: RFC 7517 section 5
/// requires ignoring keys that are not understood.
#[derive(Default)]
pub(crate) struct Jwk {
    not_an_object: bool,
    /// A repeated member, too many members, or a text that cannot be read.
    unlawful: Option<String>,
    kid: Member,
    pub(crate) kty: Member,
    crv: Member,
    pub(crate) alg: Member,
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
pub(crate) enum Member {
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
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::WrongType => None,
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, KeyError> {
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
                    // What is not read may be any JSON: nested deeply, or a number that fits no type.
                    let value = if is_read(&name) {
                        map.next_value::<Value<'de>>()?
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        Value::Null
                    };
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
    /// Reads one entry of a set.
    pub(crate) fn read(text: &RawValue) -> Self {
        serde_json::from_str(text.get()).unwrap_or_else(|error| Self {
            unlawful: Some(format!("it cannot be read: {error}")),
            ..Self::default()
        })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.text()
    }

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

    pub(crate) fn into_entry(self, index: usize) -> Result<Entry, KeyError> {
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
    pub(crate) fn check_usable(&self) -> Result<(), KeyError> {
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
    pub(crate) fn candidates(&self) -> Result<Vec<Algorithm>, KeyError> {
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

    pub(crate) fn material(&self) -> Result<Material, KeyError> {
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

/// The members of a JWK that a public key needs or that limit its use.
const PUBLIC_MEMBERS: [&str; 10] = ["kid", "kty", "crv", "alg", "use", "key_ops", "n", "e", "x", "y"];

fn is_read(member: &str) -> bool {
    PUBLIC_MEMBERS.contains(&member) || PRIVATE_MEMBERS.contains(&member)
}

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

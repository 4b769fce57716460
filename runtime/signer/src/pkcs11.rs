//! Keys in a token of PKCS#11: a hardware security module, a smart card, SoftHSM.
//!
//! The vendor's shared library is loaded into this program. A key is found by its label. Public keys are readable
//! without the PIN on most tokens, so the PIN is asked for at the first signature.

mod error;
mod public;
mod token;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    object::{Attribute, ObjectClass},
    types::Ulong,
};
use service_only::{
    Algorithm,
    issue::{PublicJwk, SignError, Signer, message_digest},
};

use self::token::{Choice, Fault, Found, Login, Open, Token};
use crate::{
    Passphrase,
    device::{KeyDevice, check_name},
};

/// The keys of one token of PKCS#11. It is cheap to clone, and clones share one session.
///
/// | algorithm | mechanism |
/// | --- | --- |
/// | ES256, ES384 | `CKM_ECDSA`; the hash is computed here |
/// | RS256 to RS512 | `CKM_SHA256_RSA_PKCS` to `CKM_SHA512_RSA_PKCS` |
/// | PS256 to PS512 | `CKM_SHA256_RSA_PKCS_PSS` to `CKM_SHA512_RSA_PKCS_PSS`, with a salt as long as the hash |
/// | EdDSA, Ed25519 | `CKM_EDDSA` |
///
/// Keys with `CKA_ALWAYS_AUTHENTICATE` are not supported: they ask for the PIN before each signature.
#[derive(Clone)]
pub struct Pkcs11Keys(Arc<Token>);

impl Pkcs11Keys {
    /// Names the vendor's shared library, and how the PIN is read. Nothing is opened yet. By default the module has
    /// one initialized token; choose one of several with [`token`](Self::token) or [`serial`](Self::serial).
    pub fn new(
        module: impl Into<PathBuf>,
        pin: impl Fn() -> Result<Passphrase, SignError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Token {
            module: module.into(),
            choice: Choice::Only,
            pin: Box::new(pin),
            open: Mutex::new(None),
        }))
    }

    /// Chooses the token with this label.
    #[must_use]
    pub fn token(self, label: impl Into<String>) -> Self {
        self.choose(Choice::Label(label.into()))
    }

    /// Chooses the token with this serial number.
    #[must_use]
    pub fn serial(self, serial: impl Into<String>) -> Self {
        self.choose(Choice::Serial(serial.into()))
    }

    fn choose(self, choice: Choice) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(token) => Self(Arc::new(Token { choice, ..token })),
            // A clone exists already, and keeps its own choice and PIN source.
            Err(shared) => {
                let pin = Arc::clone(&shared);
                Self(Arc::new(Token {
                    module: shared.module.clone(),
                    choice,
                    pin: Box::new(move || (pin.pin)()),
                    open: Mutex::new(None),
                }))
            }
        }
    }

    /// A signer with the key of this label.
    ///
    /// # Errors
    /// When the module cannot be loaded, or the token has no such key, or several.
    pub fn open(&self, algorithm: Algorithm, label: &str) -> Result<Box<dyn Signer>, SignError> {
        let public = self.find(algorithm, label)?.ok_or_else(|| {
            SignError::new(format!(
                "{}: no key has the label `{label}`; `pkcs11-tool --module {} --login --list-objects` lists its keys",
                self.0.place(),
                self.0.module.display()
            ))
        })?;
        Ok(self.signer(label, public))
    }
}

impl fmt::Debug for Pkcs11Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Keys")
            .field("module", &self.0.module)
            .field("token", &self.0.choice)
            .finish_non_exhaustive()
    }
}

impl KeyDevice for Pkcs11Keys {
    fn find(&self, algorithm: Algorithm, name: &str) -> Result<Option<PublicJwk>, SignError> {
        check_name(name)?;
        let find = |open: &Open| match open.only(ObjectClass::PUBLIC_KEY, name)? {
            Found::One(key) => public::read(&open.session, key, algorithm).map(Some),
            Found::None => Ok(None),
            Found::Several(count) => Err(Fault::Other(several(count, "public", name))),
        };
        match self.0.with(Login::No, find)? {
            Some(public) => Ok(Some(public)),
            // A public key may be private too: `CKA_PRIVATE`.
            None => self.0.with(Login::Yes, find),
        }
    }

    fn create(
        &self,
        algorithm: Algorithm,
        rsa_bits: Option<u32>,
        name: &str,
    ) -> Result<PublicJwk, SignError> {
        check_name(name)?;
        self.0.with(Login::Yes, |open| {
            match (open.only(ObjectClass::PUBLIC_KEY, name)?, open.only(ObjectClass::PRIVATE_KEY, name)?) {
                (Found::One(public), Found::One(_)) => return public::read(&open.session, public, algorithm),
                // A run was killed while the token created the key. This half has never signed.
                (Found::One(half), Found::None) | (Found::None, Found::One(half)) => {
                    open.session.destroy_object(half).map_err(Fault::Pkcs11)?;
                }
                (Found::None, Found::None) => {}
                _ => return Err(Fault::Other(several(2, "such", name))),
            }
            let mut result = Err(Fault::Other(format!("no PKCS#11 token creates a key for {algorithm}")));
            for (mechanism, parameters) in public::generation(algorithm, rsa_bits) {
                let mut public = vec![
                    Attribute::Token(true),
                    Attribute::Private(false),
                    Attribute::Verify(true),
                    Attribute::Label(name.as_bytes().to_vec()),
                    Attribute::Id(name_id(name)),
                ];
                public.extend(parameters);
                let private = [
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Sign(true),
                    Attribute::Label(name.as_bytes().to_vec()),
                    Attribute::Id(name_id(name)),
                ];
                result = open.session.generate_key_pair(&mechanism, &public, &private).map_err(Fault::Pkcs11);
                if result.is_ok() {
                    break;
                }
            }
            let (key, _) = result?;
            public::read(&open.session, key, algorithm)
        })
    }

    fn destroy(&self, name: &str) -> Result<(), SignError> {
        check_name(name)?;
        self.0.with(Login::Yes, |open| {
            // The public half last: a killed run finds the rest by it.
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                match open.only(class, name)? {
                    Found::None => {}
                    Found::One(key) => open.session.destroy_object(key).map_err(Fault::Pkcs11)?,
                    Found::Several(count) => return Err(Fault::Other(several(count, "such", name))),
                }
            }
            Ok(())
        })
    }

    fn signer(&self, name: &str, public: PublicJwk) -> Box<dyn Signer> {
        Box::new(Pkcs11Signer { token: self.clone(), label: name.to_owned(), public })
    }

    fn reference(&self, name: &str) -> String {
        let token = match &self.0.choice {
            Choice::Only => String::new(),
            Choice::Label(label) => format!("token={};", percent(label)),
            Choice::Serial(serial) => format!("serial={};", percent(serial)),
        };
        format!("pkcs11:{token}object={}", percent(name))
    }
}

/// Text in a URI of RFC 7512.
fn percent(text: &str) -> String {
    let mut uri = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn several(count: usize, what: &str, label: &str) -> String {
    format!("{count} {what} keys have the label `{label}`; give each its own label")
}

struct Pkcs11Signer {
    token: Pkcs11Keys,
    label: String,
    public: PublicJwk,
}

impl Signer for Pkcs11Signer {
    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        check_name(&self.label)?;
        let algorithm = self.public.algorithm();
        self.token.0.with(Login::Yes, |open| {
            let key = match open.only(ObjectClass::PRIVATE_KEY, &self.label)? {
                Found::One(key) => key,
                Found::None => {
                    return Err(Fault::Other(format!(
                        "no private key has the label `{}`; check the label, and whether this is the right token",
                        self.label
                    )));
                }
                Found::Several(count) => return Err(Fault::Other(several(count, "private", &self.label))),
            };
            let (mechanism, data) = signing(algorithm, message)?;
            open.session.sign(&mechanism, key, &data).map_err(Fault::Pkcs11)
        })
    }
}

/// The mechanism, and what it signs: the hash for ECDSA, else the message.
fn signing(algorithm: Algorithm, message: &[u8]) -> Result<(Mechanism<'static>, Vec<u8>), Fault> {
    let pss = |hash_alg, mgf, length: usize| {
        Ok(PkcsPssParams { hash_alg, mgf, s_len: Ulong::try_from(length).map_err(Fault::Pkcs11)? })
    };
    let mechanism = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => {
            let digest = message_digest(algorithm, message).unwrap_or_default();
            return Ok((Mechanism::Ecdsa, digest));
        }
        Algorithm::RS256 => Mechanism::Sha256RsaPkcs,
        Algorithm::RS384 => Mechanism::Sha384RsaPkcs,
        Algorithm::RS512 => Mechanism::Sha512RsaPkcs,
        Algorithm::PS256 => {
            Mechanism::Sha256RsaPkcsPss(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32)?)
        }
        Algorithm::PS384 => {
            Mechanism::Sha384RsaPkcsPss(pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48)?)
        }
        Algorithm::PS512 => {
            Mechanism::Sha512RsaPkcsPss(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64)?)
        }
        Algorithm::EdDSA | Algorithm::Ed25519 => {
            Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure))
        }
        other => return Err(Fault::Other(format!("{other} is not an algorithm of a key pair"))),
    };
    Ok((mechanism, message.to_vec()))
}

/// The `CKA_ID` of both halves of a key, from its label: 16 bytes, because some tokens accept no more.
fn name_id(name: &str) -> Vec<u8> {
    let hash = message_digest(Algorithm::ES256, name.as_bytes());
    hash.unwrap_or_default().into_iter().take(16).collect()
}

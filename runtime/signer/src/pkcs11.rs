//! Keys in a token of PKCS#11: a hardware security module, a smart card, SoftHSM.
//!
//! The vendor's shared library is loaded into this program. A key is found by its label. Public keys are readable
//! without the PIN on most tokens, so the PIN is asked for at the first signature.

mod error;
mod public;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism, MechanismType,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    object::{Attribute, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::{AuthPin, Ulong},
};
use service_only::{
    Algorithm,
    issue::{PublicJwk, SignError, Signer, message_digest},
};
use zeroize::Zeroizing;

use self::error::explain;
use crate::{
    Passphrase,
    device::{KeyDevice, check_name},
};

/// Reads the PIN when it is needed.
type PinSource = dyn Fn() -> Result<Passphrase, SignError> + Send + Sync;

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

struct Token {
    module: PathBuf,
    choice: Choice,
    pin: Box<PinSource>,
    open: Mutex<Option<Open>>,
}

/// Which token of the module.
#[derive(Clone, Debug)]
enum Choice {
    Only,
    Label(String),
    Serial(String),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("the only token"),
            Self::Label(label) => write!(f, "token `{label}`"),
            Self::Serial(serial) => write!(f, "token with the serial number `{serial}`"),
        }
    }
}

/// A session. It stays open, because a login takes up to some seconds.
struct Open {
    session: Session,
    context: Pkcs11,
    slot: Slot,
    is_logged_in: bool,
}

/// Whether a step needs the PIN.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Login {
    No,
    Yes,
}

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

/// What went wrong in one step.
enum Fault {
    Pkcs11(Error),
    Other(String),
}

/// How many objects have a label.
enum Found {
    None,
    One(ObjectHandle),
    Several(usize),
}

impl Open {
    fn only(&self, class: ObjectClass, label: &str) -> Result<Found, Fault> {
        let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
        let found = self.session.find_objects(&template).map_err(Fault::Pkcs11)?;
        Ok(match found.as_slice() {
            [] => Found::None,
            [one] => Found::One(*one),
            several => Found::Several(several.len()),
        })
    }
}

impl Token {
    fn place(&self) -> String {
        format!("PKCS#11 module `{}`, {}", self.module.display(), self.choice)
    }

    /// Runs a step in the session. If the session is gone, as after a token was taken out, it runs once more in a new
    /// one. A wrong PIN is never sent twice, because some wrong PINs lock a token.
    fn with<T>(&self, login: Login, step: impl Fn(&Open) -> Result<T, Fault>) -> Result<T, SignError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        loop {
            let ready = match open.take() {
                Some(ready) => ready,
                None => {
                    is_new = true;
                    self.connect()?
                }
            };
            let ready = open.insert(ready);
            let done = self.log_in(ready, login).and_then(|()| step(ready));
            match done {
                Ok(done) => return Ok(done),
                Err(Fault::Pkcs11(error)) if !is_new && is_stale(&error) => *open = None,
                Err(fault) => {
                    let hint = matches!(&fault, Fault::Pkcs11(error) if is_pin(error))
                        .then(|| ready.context.get_token_info(ready.slot).ok())
                        .flatten()
                        .map_or("", |info| tries(&info));
                    *open = None;
                    return Err(match fault {
                        Fault::Other(why) => SignError::new(format!("{}: {why}", self.place())),
                        Fault::Pkcs11(error) => {
                            let why = explain(&error);
                            SignError::new(format!("{}: {why}{hint}", self.place())).caused_by(error)
                        }
                    });
                }
            }
        }
    }

    fn connect(&self) -> Result<Open, SignError> {
        let failed =
            |error: Error| SignError::new(format!("{}: {}", self.place(), explain(&error))).caused_by(error);
        let context = Pkcs11::new(Path::new(&self.module)).map_err(failed)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        let slots = context.get_slots_with_initialized_token().map_err(failed)?;
        let mut tokens = Vec::new();
        for slot in slots {
            tokens.push((slot, context.get_token_info(slot).map_err(failed)?));
        }
        let chosen: Vec<_> = tokens
            .iter()
            .filter(|(_, info)| match &self.choice {
                Choice::Only => true,
                Choice::Label(label) => info.label().trim_end() == label,
                Choice::Serial(serial) => info.serial_number().trim_end() == serial,
            })
            .collect();
        let [(slot, _)] = chosen.as_slice() else {
            let list: Vec<_> = tokens
                .iter()
                .map(|(slot, info)| {
                    let (label, serial) = (info.label().trim_end(), info.serial_number().trim_end());
                    format!("`{label}` (serial number {serial}, slot {})", slot.id())
                })
                .collect();
            let found = if list.is_empty() { "no initialized token".to_owned() } else { list.join(", ") };
            let why = if chosen.is_empty() { "not found" } else { "not one token but several" };
            return Err(SignError::new(format!(
                "{}: {why}; the module has {found}; choose one by its label or serial number",
                self.place()
            )));
        };
        // Read-write, because a rotation creates keys. A token that allows only reading gets such a session.
        let session = match context.open_rw_session(*slot) {
            Err(Error::Pkcs11(RvError::TokenWriteProtected, _)) => context.open_ro_session(*slot),
            session => session,
        };
        Ok(Open { session: session.map_err(failed)?, slot: *slot, is_logged_in: false, context })
    }

    fn log_in(&self, open: &mut Open, login: Login) -> Result<(), Fault> {
        if login == Login::No || open.is_logged_in {
            return Ok(());
        }
        let pin = (self.pin)().map_err(|error| Fault::Other(error.to_string()))?;
        let text = Zeroizing::new(
            std::str::from_utf8(pin.expose())
                .map_err(|_| Fault::Other("the PIN is not UTF-8".to_owned()))?
                .to_owned(),
        );
        let pin = AuthPin::new(text.as_str().into());
        match open.session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                open.is_logged_in = true;
                Ok(())
            }
            Err(error) => Err(Fault::Pkcs11(error)),
        }
    }
}

fn tries(info: &TokenInfo) -> &'static str {
    if info.user_pin_locked() {
        "; the PIN is locked, and the security officer can set a new one"
    } else if info.user_pin_final_try() {
        "; one more wrong PIN locks the token"
    } else if info.user_pin_count_low() {
        "; some more wrong PINs lock the token"
    } else {
        ""
    }
}

fn is_pin(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinLocked | RvError::PinLenRange | RvError::PinInvalid,
            _
        )
    )
}

/// Whether a new session may help.
fn is_stale(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent,
            _
        )
    )
}

/// The `CKA_ID` of both halves of a key, from its label: 16 bytes, because some tokens accept no more.
fn name_id(name: &str) -> Vec<u8> {
    let hash = message_digest(Algorithm::ES256, name.as_bytes());
    hash.unwrap_or_default().into_iter().take(16).collect()
}

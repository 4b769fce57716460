//! One token of a PKCS#11 module: how it is chosen, and the session in which its keys are used.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    object::{Attribute, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};
use service_only::issue::SignError;
use zeroize::Zeroizing;

use super::error::explain;
use crate::Passphrase;

/// Reads the PIN when it is needed.
pub(super) type PinSource = dyn Fn() -> Result<Passphrase, SignError> + Send + Sync;

/// One token of a module, with the session in it.
pub(super) struct Token {
    pub(super) module: PathBuf,
    pub(super) choice: Choice,
    pub(super) pin: Box<PinSource>,
    pub(super) open: Mutex<Option<Open>>,
}

/// Which token of the module.
#[derive(Clone, Debug)]
pub(super) enum Choice {
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
pub(super) struct Open {
    pub(super) session: Session,
    context: Pkcs11,
    slot: Slot,
    is_logged_in: bool,
}

/// Whether a step needs the PIN.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Login {
    No,
    Yes,
}

/// What went wrong in one step.
pub(super) enum Fault {
    Pkcs11(Error),
    Other(String),
}

/// How many objects have a label.
pub(super) enum Found {
    None,
    One(ObjectHandle),
    Several(usize),
}

impl Open {
    pub(super) fn only(&self, class: ObjectClass, label: &str) -> Result<Found, Fault> {
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
    pub(super) fn place(&self) -> String {
        format!("PKCS#11 module `{}`, {}", self.module.display(), self.choice)
    }

    /// Runs a step in the session. If the session is gone, as after a token was taken out, it runs once more in a new
    /// one. A wrong PIN is never sent twice, because some wrong PINs lock a token.
    pub(super) fn with<T>(
        &self,
        login: Login,
        step: impl Fn(&Open) -> Result<T, Fault>,
    ) -> Result<T, SignError> {
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

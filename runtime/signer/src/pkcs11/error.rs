//! Errors of PKCS#11 in words: what happened, and the next step.

use cryptoki::error::{Error, RvError};

pub(super) fn explain(error: &Error) -> String {
    let remedy = match error {
        Error::LibraryLoading(error) => {
            return format!(
                "the module cannot be loaded: {error}; check its path, and that this program is not a static one"
            );
        }
        Error::Pkcs11(rv, _) => match rv {
            RvError::PinIncorrect => "the PIN is wrong; it was not sent a second time",
            RvError::PinLocked => "the PIN is locked",
            RvError::PinLenRange | RvError::PinInvalid => "the PIN has a wrong length or a wrong character",
            RvError::UserPinNotInitialized => "the token has no user PIN; initialize it",
            RvError::MechanismInvalid | RvError::MechanismParamInvalid => {
                "the token does not support this algorithm; choose another one"
            }
            RvError::CurveNotSupported => "the token does not support this curve; choose another algorithm",
            RvError::KeyTypeInconsistent => "the key has another type; check `algorithm` and the label",
            RvError::KeyFunctionNotPermitted => "the key must not sign: it lacks `CKA_SIGN`",
            RvError::TokenNotPresent | RvError::DeviceRemoved => "the token is not in its slot; insert it",
            RvError::TokenWriteProtected | RvError::SessionReadOnly => {
                "the token is write protected; create the key with the tool of its vendor"
            }
            RvError::ActionProhibited => "the token forbids this; use the tool of its vendor",
            RvError::DeviceMemory => "the token is full; remove its unused keys",
            RvError::DeviceError | RvError::FunctionFailed | RvError::GeneralError => {
                "the token failed; its log may have the reason"
            }
            _ => return format!("{error}"),
        },
        _ => return format!("{error}"),
    };
    match error {
        Error::Pkcs11(rv, function) => format!("{remedy} ({function}: {rv:?})"),
        _ => remedy.to_owned(),
    }
}

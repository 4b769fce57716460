//! Proof of possession: how the sender of a request proves that it has the key that its token is bound to, or the key
//! of its certificate. `Proof` is what was checked, `RequiredProof` what a policy or a verifier asks for. Both compare
//! with [`RequiredProof::check`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::denial::{Code, Denial};

/// A proof that was checked: how the sender proved that it has the key that its token is bound to.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// The certificate of the connection: the token is bound to it (RFC 8705 section 3), or it names the caller itself
    /// (X509-SVID).
    Mtls,
    /// A proof in the header `DPoP`, signed by the key that the token is bound to (RFC 9449).
    Dpop,
    /// A Workload Proof Token, signed by the key in the Workload Identity Token (draft-ietf-wimse-wpt-02).
    #[cfg(feature = "experimental-wimse")]
    Wpt,
}

impl Proof {
    /// The proof as the attribute and the audit log write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Dpop => "dpop",
            #[cfg(feature = "experimental-wimse")]
            Self::Wpt => "wpt",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The proof that a policy or a verifier requires of each sender. A bearer token, which anyone can use who holds it, is
/// then refused with 401 (`proof_missing`).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RequiredProof {
    /// [`Proof::Mtls`].
    Mtls,
    /// [`Proof::Dpop`].
    Dpop,
    /// [`Proof::Wpt`]. The attribute has no word for it: write `proof = "any"`, and name the issuer.
    #[cfg(feature = "experimental-wimse")]
    Wpt,
    /// Any of them.
    Any,
}

impl RequiredProof {
    /// The requirement as the attribute writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Dpop => "dpop",
            #[cfg(feature = "experimental-wimse")]
            Self::Wpt => "wpt",
            Self::Any => "any",
        }
    }

    /// Whether a sender that gave this proof meets the requirement.
    pub const fn accepts(self, proof: Proof) -> bool {
        #[cfg(feature = "experimental-wimse")]
        if matches!((self, proof), (Self::Wpt, Proof::Wpt)) {
            return true;
        }
        matches!((self, proof), (Self::Any, _) | (Self::Mtls, Proof::Mtls) | (Self::Dpop, Proof::Dpop))
    }

    /// Compares the requirement with the proof that was checked.
    ///
    /// # Errors
    /// When no proof was checked, or another one.
    pub(crate) fn check(self, given: Option<Proof>) -> Result<(), Denial> {
        match given {
            Some(proof) if self.accepts(proof) => Ok(()),
            given => Err(self.missing(given)),
        }
    }

    #[cold]
    fn missing(self, given: Option<Proof>) -> Denial {
        let reason = match given {
            None => format!("the token is not bound to a key of its sender, required proof: `{self}`"),
            Some(given) => format!("the proof of the sender is `{given}`, required: `{self}`"),
        };
        Denial::new(Code::ProofMissing, reason)
    }
}

impl fmt::Display for RequiredProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One kind of proof, required.
impl From<Proof> for RequiredProof {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::Mtls => Self::Mtls,
            Proof::Dpop => Self::Dpop,
            #[cfg(feature = "experimental-wimse")]
            Proof::Wpt => Self::Wpt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_accepts_its_own_proof_only_and_any_accepts_each() {
        use RequiredProof::{Any, Dpop, Mtls};
        let code = |required: RequiredProof, given| required.check(given).map_err(|denial| denial.code());
        assert_eq!(
            Dpop.check(Some(Proof::Mtls)).unwrap_err().reason(),
            "the proof of the sender is `mtls`, required: `dpop`"
        );
        for required in [Mtls, Dpop, Any] {
            assert_eq!(code(required, None), Err(Code::ProofMissing), "{required}");
        }
        assert_eq!(code(Mtls, Some(Proof::Mtls)), Ok(()));
        assert_eq!(code(Mtls, Some(Proof::Dpop)), Err(Code::ProofMissing));
        assert_eq!(code(Dpop, Some(Proof::Dpop)), Ok(()));
        assert_eq!(code(Dpop, Some(Proof::Mtls)), Err(Code::ProofMissing));
        assert_eq!(code(Any, Some(Proof::Mtls)), Ok(()));
        assert_eq!(code(Any, Some(Proof::Dpop)), Ok(()));
    }

    #[cfg(feature = "experimental-wimse")]
    #[test]
    fn a_workload_proof_token_meets_its_own_requirement_and_any() {
        let accepts = |required: RequiredProof| {
            [Proof::Mtls, Proof::Dpop, Proof::Wpt].map(|given| required.check(Some(given)).is_ok())
        };
        assert_eq!(accepts(RequiredProof::Wpt), [false, false, true]);
        assert_eq!(accepts(RequiredProof::Any), [true, true, true]);
        assert_eq!(accepts(RequiredProof::Mtls), [true, false, false]);
        assert_eq!(accepts(RequiredProof::Dpop), [false, true, false]);
        assert_eq!(RequiredProof::Wpt.check(None).map_err(|denial| denial.code()), Err(Code::ProofMissing));
        assert_eq!(RequiredProof::from(Proof::Wpt).as_str(), Proof::Wpt.as_str());
    }

    #[test]
    fn names_are_those_of_the_attribute_and_of_json() {
        for required in [RequiredProof::Mtls, RequiredProof::Dpop, RequiredProof::Any] {
            let json = format!("\"{}\"", required.as_str());
            assert_eq!(serde_json::to_string(&required).unwrap(), json);
            assert_eq!(serde_json::from_str::<RequiredProof>(&json).unwrap(), required);
        }
        assert!(serde_json::from_str::<RequiredProof>("\"none\"").is_err());
        for proof in [Proof::Mtls, Proof::Dpop] {
            assert_eq!(RequiredProof::from(proof).as_str(), proof.as_str());
        }
    }
}

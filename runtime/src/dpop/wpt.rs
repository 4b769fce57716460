//! The rules of a Workload Proof Token (draft-ietf-wimse-wpt-02 section 2). The engine is that of DPoP: form, algorithm,
//! signature, identifier, URL, and the memory of accepted proofs. Different are the key, which is in the token and not in the
//! proof, and the claims.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::{
    AboutRequest, Proofs, SpentProof, VerifiedProof,
    proof::{Rules, is_hash, mismatch, required, spent, text, unreadable, whole_seconds},
};
use crate::{
    bearer::OnlyHeader,
    clock::Timestamp,
    denial::{Denial, quoted},
    json::{self, JsonError, Number, Tree},
    keys::{
        Algorithm,
        jwks::{EmbeddedJwk, EmbeddedKey},
    },
    times::Moment,
    token::{PayloadRoom, Segments},
};

/// The `typ` of a proof, as media type with and without `application/` (RFC 7515 section 4.1.9).
const TYPS: [&str; 2] = ["wpt+jwt", "application/wpt+jwt"];

/// The header of a transaction token (draft-ietf-oauth-transaction-tokens).
const TXN_TOKEN: &str = "txn-token";

/// The headers of a request by their names in lower case: a proof names those that it is about.
pub(crate) trait NamedHeaders {
    fn named(&self, name: &str) -> OnlyHeader<'_>;
}

impl Proofs {
    /// Verifies a Workload Proof Token about this request, whose token was verified before.
    pub(crate) fn verify_wpt(
        &self,
        proof: &[u8],
        about: AboutRequest<'_>,
        others: &dyn NamedHeaders,
        at: Moment,
    ) -> Result<VerifiedProof, Denial> {
        self.verify_by(&OfWpt { about, others }, proof, at)
    }
}

struct OfWpt<'r> {
    about: AboutRequest<'r>,
    others: &'r dyn NamedHeaders,
}

impl Rules for OfWpt<'_> {
    fn check_typ(&self, typ: &str) -> Result<(), Denial> {
        if TYPS.iter().any(|own| own.eq_ignore_ascii_case(typ)) {
            return Ok(());
        }
        Err(mismatch(format!("`typ` of the proof is `{}`, expected `{}`", quoted(typ), TYPS[0])))
    }

    /// The key is the one in the token. A key in the header of the proof is not read: its sender chose it.
    fn key(&self, _: Option<EmbeddedJwk>, algorithm: Algorithm) -> Result<EmbeddedKey, Denial> {
        let token = std::str::from_utf8(self.about.token).ok().and_then(|token| Segments::split(token).ok());
        let mut room = PayloadRoom::new();
        let payload = token.as_ref().and_then(|token| token.payload(&mut room).ok());
        let key = ConfirmedKey::of_payload(payload.unwrap_or_default()).map_err(mismatch)?;
        if key.algorithm != algorithm {
            let named = key.algorithm;
            return Err(mismatch(format!(
                "`alg` of the proof is `{algorithm}`, and that of the key in the token is `{named}`"
            )));
        }
        Ok(key.key)
    }

    fn check(
        &self,
        proofs: &Proofs,
        payload: &[u8],
        key: &[u8; 32],
        at: Moment,
    ) -> Result<SpentProof, Denial> {
        let mut claims = WptClaims::default();
        json::read_object(payload, &mut claims).map_err(unreadable("payload"))?;
        let id = proofs.check_id(&claims.jti)?;
        proofs.check_target("aud", required(&claims.aud, "aud")?, self.about.path)?;
        if !is_hash(required(&claims.wth, "wth")?, self.about.token) {
            return Err(mismatch("`wth` of the proof is not the hash of the token"));
        }
        let until = check_times(proofs, &claims, at)?;
        self.check_transaction(claims.tth.as_deref())?;
        if let Some(others) = &claims.oth {
            self.check_others(others)?;
        }
        Ok(spent(key, id, until))
    }
}

impl OfWpt<'_> {
    /// `tth` is required exactly if the request has a transaction token.
    fn check_transaction(&self, tth: Option<&str>) -> Result<(), Denial> {
        match (self.others.named(TXN_TOKEN), tth) {
            (OnlyHeader::None, None) => Ok(()),
            (OnlyHeader::One(token), Some(tth)) if is_hash(tth, trimmed(token)) => Ok(()),
            (OnlyHeader::One(_), Some(_)) => {
                Err(mismatch("`tth` of the proof is not the hash of the header `Txn-Token`"))
            }
            (OnlyHeader::One(_), None) => {
                Err(mismatch("the request has the header `Txn-Token`, and the proof has no `tth`"))
            }
            (OnlyHeader::None, Some(_)) => {
                Err(mismatch("the proof has `tth`, and the request has no header `Txn-Token`"))
            }
            (OnlyHeader::Several, _) => Err(mismatch("the request has more than one header `Txn-Token`")),
        }
    }

    /// Each entry of `oth` names a header of the request and its hash. An entry that cannot be checked refuses the proof.
    fn check_others(&self, oth: &Tree) -> Result<(), Denial> {
        let Tree::Object(entries) = oth else { return Err(mismatch("`oth` of the proof is not an object")) };
        for (index, (name, hash)) in entries.iter().enumerate() {
            let wrong = |why: &str| mismatch(format!("`oth` of the proof names `{}`, {why}", quoted(name)));
            if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err(wrong("which is not the name of a header in lower case"));
            }
            if entries.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(wrong("which occurs twice"));
            }
            let Tree::Text(hash) = hash else { return Err(wrong("and its value is not a string")) };
            match self.others.named(name) {
                OnlyHeader::One(value) if is_hash(hash, trimmed(value)) => {}
                OnlyHeader::One(_) => return Err(wrong("and its value is not the hash of that header")),
                OnlyHeader::None => return Err(wrong("which the request does not have")),
                OnlyHeader::Several => return Err(wrong("which the request has more than once")),
            }
        }
        Ok(())
    }
}

/// The value of a header without spaces around it.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

/// Checks `exp` and `nbf`, and returns the last second in which the proof is accepted.
fn check_times(proofs: &Proofs, claims: &WptClaims<'_>, at: Moment) -> Result<i64, Denial> {
    let exp = whole_seconds("exp", claims.exp)?;
    let (now, leeway, most) = (at.now.unix(), at.leeway_seconds(), proofs.max_age);
    let ends = exp.saturating_add(leeway);
    if now >= ends {
        let exp = Timestamp::from_unix(exp);
        return Err(mismatch(format!("the proof expired at {exp}, and it is {}", at.now)));
    }
    let remaining = exp.saturating_sub(now);
    if remaining > most.saturating_add(leeway) {
        return Err(mismatch(format!("the proof is valid for {remaining} s from now on, allowed: {most} s")));
    }
    // Round against the proof, as `exp` is.
    let nbf = claims.nbf.map(|nbf| whole_seconds("nbf", Some(nbf.ceil()))).transpose()?;
    if let Some(nbf) = nbf.filter(|nbf| now.saturating_add(leeway) < *nbf) {
        let nbf = Timestamp::from_unix(nbf);
        return Err(mismatch(format!("the proof is valid from {nbf} on, and it is {}", at.now)));
    }
    Ok(ends.saturating_sub(1))
}

/// The claims of a proof. Others are ignored (section 2.3).
#[derive(Default)]
struct WptClaims<'p> {
    jti: Option<Cow<'p, str>>,
    aud: Option<Cow<'p, str>>,
    wth: Option<Cow<'p, str>>,
    tth: Option<Cow<'p, str>>,
    oth: Option<Tree>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

json::names! {
    /// The claims that are read.
    ClaimName {
        Jti = "jti",
        Aud = "aud",
        Wth = "wth",
        Tth = "tth",
        Oth = "oth",
        Exp = "exp",
        Nbf = "nbf",
    }
}

impl<'de> json::Members<'de> for WptClaims<'de> {
    type Name = ClaimName;

    fn member<A: MapAccess<'de>>(&mut self, name: ClaimName, map: &mut A) -> Result<(), A::Error> {
        match name {
            ClaimName::Jti => self.jti = Some(text(name.as_str(), map)?),
            ClaimName::Aud => self.aud = Some(text(name.as_str(), map)?),
            ClaimName::Wth => self.wth = Some(text(name.as_str(), map)?),
            ClaimName::Tth => self.tth = Some(text(name.as_str(), map)?),
            ClaimName::Oth => self.oth = Some(map.next_value()?),
            ClaimName::Exp => self.exp = Some(map.next_value::<Number>()?.0),
            ClaimName::Nbf => self.nbf = Some(map.next_value::<Number>()?.0),
        }
        Ok(())
    }
}

/// The key of the workload in a Workload Identity Token, and the algorithm of its proofs
/// (draft-ietf-wimse-workload-creds-02 section 5.1).
pub(crate) struct ConfirmedKey {
    pub(crate) key: EmbeddedKey,
    algorithm: Algorithm,
}

impl ConfirmedKey {
    /// Reads `cnf.jwk` of a payload whose signature was checked. The error says what is wrong with it.
    pub(crate) fn of_payload(payload: &[u8]) -> Result<Self, String> {
        let mut claims = CnfClaim::default();
        json::read_object(payload, &mut claims).map_err(|error| match error {
            JsonError::Malformed(why) | JsonError::WrongType(why) => format!("the token: {why}"),
        })?;
        let confirmation = claims.cnf.ok_or("the token has no `cnf`")?;
        let jwk = confirmation.jwk.ok_or("`cnf` of the token has no `jwk`")?;
        if confirmation.has_others {
            // A further member is a further condition, which would be left out.
            return Err("`cnf` of the token has another member besides `jwk`".to_owned());
        }
        let in_token = |error| format!("`cnf.jwk` of the token: {error}");
        let algorithm = jwk.proof_algorithm().map_err(in_token)?;
        Ok(Self { key: jwk.key(algorithm).map_err(in_token)?, algorithm })
    }
}

/// The one claim of the payload that is read here.
#[derive(Default)]
struct CnfClaim {
    cnf: Option<Confirmation>,
}

json::names! {
    /// The name of that claim.
    CnfName {
        Cnf = "cnf",
    }
}

impl<'de> json::Members<'de> for CnfClaim {
    type Name = CnfName;

    fn member<A: MapAccess<'de>>(&mut self, _: CnfName, map: &mut A) -> Result<(), A::Error> {
        self.cnf = Some(map.next_value()?);
        Ok(())
    }
}

/// The claim `cnf` (RFC 7800 section 3.2).
#[derive(Default)]
struct Confirmation {
    jwk: Option<EmbeddedJwk>,
    has_others: bool,
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfirmationVisitor;
        impl<'de> Visitor<'de> for ConfirmationVisitor {
            type Value = Confirmation;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`cnf` as an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Confirmation, A::Error> {
                let mut confirmation = Confirmation::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name != "jwk" {
                        confirmation.has_others = true;
                        map.next_value::<json::Value<'de>>()?;
                    } else if confirmation.jwk.replace(map.next_value()?).is_some() {
                        return Err(de::Error::custom("`jwk` occurs twice in `cnf`"));
                    }
                }
                Ok(confirmation)
            }
        }
        deserializer.deserialize_map(ConfirmationVisitor)
    }
}

#[cfg(test)]
mod tests;

//! The JSON members that every record of a caller shares: `service`, `actor`, `jti`, `kid`, `issuer`, `profile` and `proof`. A service
//! sends one token thousands of times, so they are serialized once, and each record copies them.

use std::{
    borrow::Cow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;

use crate::{
    audit::{MAX_PATH, logged},
    claims::{Actor, ServiceClaims},
    denial::Denial,
    keys::KeyId,
};

/// The maximum length of a cached fragment, in bytes. A usual one has 160.
pub(crate) const MAX_FRAGMENT: usize = 256;

/// The cache of one caller.
#[derive(Default)]
pub(crate) struct Fragment {
    recorded: AtomicBool,
    members: OnceLock<Option<Box<str>>>,
}

impl Fragment {
    /// Serializes the members when the second record needs them: a token that is sent once costs neither time nor
    /// memory.
    pub(crate) fn get(&self, claims: &ServiceClaims, kid: Option<&str>, kind: Kind<'_>) -> Option<&str> {
        if let Some(members) = self.members.get() {
            return members.as_deref();
        }
        match self.recorded.swap(true, Ordering::Relaxed) {
            true => self.members.get_or_init(|| serialized(claims, kid, kind)).as_deref(),
            false => None,
        }
    }
}

/// The members, in the order of the record.
#[derive(Serialize)]
struct Members<'c> {
    service: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'c str>,
    issuer: &'c str,
    profile: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'c str>,
}

/// The profile of a token, and the proof of its sender.
type Kind<'c> = (&'c str, Option<&'c str>);

/// Serializes the members so that they can follow others in a JSON object. `None` if they are too long for the cache,
/// or if the record escapes or truncates a text.
fn serialized(claims: &ServiceClaims, kid: Option<&str>, (profile, proof): Kind<'_>) -> Option<Box<str>> {
    let (jti, issuer) = (claims.jti.as_deref(), claims.issuer.as_str());
    let actor = claims.actor.as_ref().map(Actor::name);
    let is_plain = |text, longest| matches!(logged(text, longest), Cow::Borrowed(_));
    let plain = actor.is_none_or(|actor| is_plain(actor, Denial::MAX_QUOTED))
        && jti.is_none_or(|jti| is_plain(jti, Denial::MAX_QUOTED))
        && kid.is_none_or(|kid| is_plain(kid, KeyId::MAX_LENGTH))
        && is_plain(issuer, MAX_PATH);
    if !plain {
        return None;
    }
    let members = Members { service: claims.service.as_str(), actor, jti, kid, issuer, profile, proof };
    let object = serde_json::to_string(&members).ok()?;
    let members = object.strip_prefix('{')?.strip_suffix('}')?;
    (members.len() <= MAX_FRAGMENT).then(|| format!(",{members}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(jti: &str) -> ServiceClaims {
        ServiceClaims {
            sub: "a".to_owned(),
            service: "a".parse().unwrap(),
            user_id: None,
            role: None,
            roles: Vec::new(),
            email: None,
            issuer: "c".to_owned(),
            aud: Vec::new(),
            exp: 0,
            iat: None,
            nbf: None,
            jti: Some(jti.to_owned()),
            scope: "".parse().unwrap(),
            actor: None,
        }
    }

    #[test]
    fn members_are_cached_from_the_second_record_on() {
        let (fragment, claims) = (Fragment::default(), claims("b\""));
        let expected = r#","service":"a","jti":"b\"","issuer":"c","profile":"strict""#;
        let strict = ("strict", None);
        assert_eq!(fragment.get(&claims, None, strict), None);
        assert_eq!(fragment.get(&claims, None, strict), Some(expected));
        assert_eq!(fragment.get(&claims, Some("other"), ("other", None)), Some(expected), "serialized again");
    }

    #[test]
    fn long_members_and_texts_that_a_record_escapes_are_not_cached() {
        assert_eq!(serialized(&claims(&"x".repeat(MAX_FRAGMENT)), None, ("strict", None)), None);
        assert_eq!(serialized(&claims("b\n"), None, ("strict", None)), None);
        assert_eq!(serialized(&claims("b"), Some("k\u{202e}"), ("strict", None)), None);
    }
}

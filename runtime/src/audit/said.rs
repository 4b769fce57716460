//! What a token says in every record of its caller: `service`, `jti`, `kid`, `issuer` and `profile`. A
//! service sends one token thousands of times, so it is put into JSON once, and a record copies it whole.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

/// The longest that is joined, in bytes: a usual one has 160.
pub(crate) const MAX_SAID: usize = 256;

/// What is joined, in the order of the record.
#[derive(Serialize)]
pub(crate) struct Members<'c> {
    pub(crate) service: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<&'c str>,
    pub(crate) issuer: &'c str,
    pub(crate) profile: &'c str,
}

impl Members<'_> {
    /// As members that follow others in a JSON object. Nothing where it would be too long to be kept.
    pub(crate) fn join(&self) -> Option<Box<str>> {
        let object = serde_json::to_string(self).ok()?;
        let members = object.strip_prefix('{')?.strip_suffix('}')?;
        (members.len() <= MAX_SAID).then(|| format!(",{members}").into())
    }
}

/// Where a caller keeps it.
#[derive(Default)]
pub(crate) struct KeptSaid {
    recorded: AtomicBool,
    members: OnceLock<Option<Box<str>>>,
}

impl KeptSaid {
    /// Joined for the second record: a token that is sent once pays neither time nor memory.
    pub(crate) fn get(&self, join: impl FnOnce() -> Option<Box<str>>) -> Option<&str> {
        if let Some(members) = self.members.get() {
            return members.as_deref();
        }
        match self.recorded.swap(true, Ordering::Relaxed) {
            true => self.members.get_or_init(join).as_deref(),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_joined_once_and_from_the_second_record_on() {
        let kept = KeptSaid::default();
        assert_eq!(kept.get(|| unreachable!()), None);
        assert_eq!(kept.get(|| Some("joined".into())), Some("joined"));
        assert_eq!(kept.get(|| unreachable!()), Some("joined"));
    }

    #[test]
    fn members_follow_others_of_an_object_and_are_bounded() {
        let short = Members { service: "a", jti: Some("b\"\n"), kid: None, issuer: "c", profile: "strict" };
        let joined = short.join().unwrap();
        assert_eq!(&*joined, r#","service":"a","jti":"b\"\n","issuer":"c","profile":"strict""#);
        assert!(Members { jti: Some(&"x".repeat(MAX_SAID)), ..short }.join().is_none());
    }
}

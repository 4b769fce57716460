//! All members of an accepted token's payload, for claims that this crate does not know.
//!
//! The payload is kept if it has a claim that the typed claims lack. It is parsed at the first question, once for each
//! token: the token cache shares the result.

use std::{
    any::Any,
    collections::HashSet,
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

use serde::{
    Serialize,
    de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The claims of a token as JSON.
#[derive(Default)]
pub(crate) struct TokenMembers {
    /// `None` if the typed claims contain everything.
    payload: Option<Box<[u8]>>,
    parsed: OnceLock<Value>,
    /// The claims as the first type that a program has asked for.
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl TokenMembers {
    /// Keeps a payload that was parsed strictly. The signature over it was checked.
    pub(crate) fn of_payload(payload: &[u8]) -> Self {
        Self { payload: Some(payload.into()), ..Self::default() }
    }

    /// The claim of this name. `known` are the typed claims of the same token.
    pub(crate) fn get(&self, name: &str, known: &impl Serialize) -> Option<&Value> {
        self.parsed(known).get(name)
    }

    /// The claims as a type of the program, built once for each token if a program asks for one type only.
    ///
    /// # Errors
    /// When the claims lack a field of the type, or have another type.
    pub(crate) fn typed<T>(&self, known: &impl Serialize) -> Result<Arc<T>, InvalidClaims>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if let Some(Ok(typed)) = self.typed.get().map(|typed| Arc::clone(typed).downcast()) {
            return Ok(typed);
        }
        let typed = T::deserialize(self.parsed(known)).map_err(|error| InvalidClaims(error.to_string()))?;
        let typed = Arc::new(typed);
        // Another type, or another thread, may have been first.
        let _ = self.typed.set(typed.clone());
        Ok(typed)
    }

    fn parsed(&self, known: &impl Serialize) -> &Value {
        self.parsed.get_or_init(|| match &self.payload {
            Some(payload) => parse(payload),
            None => serde_json::to_value(known).unwrap_or_default(),
        })
    }
}

/// Reads a payload. A claim with a repeated member in it is left out, because two readers could see two values.
/// Repeated claims are refused before.
fn parse(payload: &[u8]) -> Value {
    let mut ambiguous = HashSet::new();
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let named = deserializer.deserialize_map(TopLevel { ambiguous: &mut ambiguous });
    let mut claims: Map<String, Value> = match (named, serde_json::from_slice(payload)) {
        (Ok(()), Ok(claims)) => claims,
        _ => return Value::default(),
    };
    claims.retain(|name, _| !ambiguous.contains(name));
    Value::Object(claims)
}

/// Collects the names of the claims that repeat a member.
struct TopLevel<'n> {
    ambiguous: &'n mut HashSet<String>,
}

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if map.next_value::<Repeats>()?.0 {
                self.ambiguous.insert(name);
            }
        }
        Ok(())
    }
}

/// Whether an object in a value repeats a member.
struct Repeats(bool);

impl<'de> serde::Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RepeatsVisitor;
        impl<'de> Visitor<'de> for RepeatsVisitor {
            type Value = Repeats;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_str<E>(self, _: &str) -> Result<Repeats, E> {
                Ok(Repeats(false))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Repeats, A::Error> {
                let mut repeats = false;
                while let Some(Repeats(inner)) = seq.next_element()? {
                    repeats |= inner;
                }
                Ok(Repeats(repeats))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeats, A::Error> {
                let (mut names, mut repeats) = (HashSet::new(), false);
                while let Some(name) = map.next_key::<String>()? {
                    repeats |= !names.insert(name);
                    // Once it is ambiguous, the rest only has to be read.
                    match repeats {
                        true => drop(map.next_value::<IgnoredAny>()?),
                        false => repeats = map.next_value::<Repeats>()?.0,
                    }
                }
                Ok(Repeats(repeats))
            }
        }
        deserializer.deserialize_any(RepeatsVisitor)
    }
}

/// The claims of a token are not those of the type that a program asked for.
///
/// The message names the field, never its value. Send it to the audit, with
/// [`Caller::refuse`](crate::Caller::refuse), and not to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidClaims(String);

impl fmt::Display for InvalidClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims of the token cannot be read: {}", self.0)
    }
}

impl Error for InvalidClaims {}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    const PAYLOAD: &str = r#"{"sub":"orders","tenant_id":"t-1","limits":{"rows":7},"flags":[true,null]}"#;

    #[derive(Deserialize, Serialize)]
    struct Known {
        sub: String,
    }

    fn known() -> Known {
        Known { sub: "orders".to_owned() }
    }

    #[test]
    fn every_claim_of_a_payload_is_found_by_its_name() {
        let members = TokenMembers::of_payload(PAYLOAD.as_bytes());
        assert_eq!(members.get("tenant_id", &known()).unwrap(), "t-1");
        assert_eq!(members.get("limits", &known()).unwrap()["rows"], 7);
        assert_eq!(members.get("flags", &known()).unwrap()[0], true);
        assert_eq!(members.get("tenant", &known()), None);
    }

    #[test]
    fn typed_claims_serve_a_token_without_other_claims() {
        let members = TokenMembers::default();
        assert_eq!(members.get("sub", &known()).unwrap(), "orders");
        assert_eq!(members.get("tenant_id", &known()), None);
        assert_eq!(members.typed::<Known>(&known()).unwrap().sub, "orders");
    }

    #[test]
    fn claim_with_a_repeated_member_is_absent() {
        let payload = r#"{"a":{"b":1,"b":2},"c":[{"d":1},{"e":{"f":1,"f":1}}],"g":{"h":1}}"#;
        let members = TokenMembers::of_payload(payload.as_bytes());
        let found = |name| members.get(name, &known()).is_some();
        assert_eq!((found("a"), found("c"), found("g")), (false, false, true));
    }

    #[test]
    fn one_type_is_built_once_and_another_is_built_each_time() {
        #[derive(Deserialize)]
        struct Tenant {
            tenant_id: String,
        }
        let members = TokenMembers::of_payload(PAYLOAD.as_bytes());
        let first = members.typed::<Tenant>(&known()).unwrap();
        assert_eq!(first.tenant_id, "t-1");
        assert!(Arc::ptr_eq(&first, &members.typed::<Tenant>(&known()).unwrap()));
        assert_eq!(members.typed::<Known>(&known()).unwrap().sub, "orders");
    }

    #[test]
    fn error_names_the_missing_field_and_no_value() {
        #[derive(Debug, Deserialize)]
        struct Region {
            #[expect(dead_code, reason = "never built")]
            region: String,
        }
        let error = TokenMembers::of_payload(PAYLOAD.as_bytes()).typed::<Region>(&known()).unwrap_err();
        assert_eq!(error.to_string(), "the claims of the token cannot be read: missing field `region`");
    }
}

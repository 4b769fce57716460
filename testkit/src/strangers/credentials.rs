//! With what a stranger comes: nothing, garbage, or a good token of the wrong authority.

use http::HeaderValue;
use service_only::Access;

use crate::{authority::TestAuthority, fail::OrFail};

/// 2100-01-01. The app's clock may be the real one or stand still; the token must look valid to both.
const FAR_AWAY: i64 = 4_102_444_800;

pub(super) struct Credentials {
    foreign: TestAuthority,
}

pub(super) struct Stranger {
    pub(super) name: &'static str,
    pub(super) header: Option<HeaderValue>,
}

impl Credentials {
    pub(super) fn new() -> Self {
        Self { foreign: TestAuthority::new() }
    }

    pub(super) fn strangers(&self, access: Option<&Access>) -> [Stranger; 3] {
        let bearer =
            |token: &str| Some(HeaderValue::from_str(&format!("Bearer {token}")).or_fail("a header"));
        [
            Stranger { name: "no token", header: None },
            Stranger { name: "garbage", header: bearer("not-a-token") },
            Stranger { name: "a token signed by somebody else", header: bearer(&self.foreign_token(access)) },
        ]
    }

    /// All that the route asks for, so that nothing but the signature speaks against it.
    fn foreign_token(&self, access: Option<&Access>) -> String {
        let draft = match access {
            Some(Access::ServiceOnly { services, roles, scopes, .. }) => {
                let service = services.iter().flatten().next().map_or("stranger", String::as_str);
                let draft = self.foreign.service(service).scopes(scopes);
                match roles.iter().flatten().next() {
                    Some(role) => draft.role(role),
                    None => draft,
                }
            }
            _ => self.foreign.service("stranger"),
        };
        draft.claim("exp", FAR_AWAY).token().as_ref().to_owned()
    }
}

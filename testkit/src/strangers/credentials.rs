//! The credentials of a stranger: none, garbage, or a valid token of the wrong authority.

use http::HeaderValue;
use service_only::routes::Access;

use crate::{authority::TestAuthority, draft::TokenDraft, fail::OrFail};

/// 2100-01-01. The app's clock may be real or fixed; the token must look valid to both.
const FAR_AWAY: i64 = 4_102_444_800;

pub(crate) struct Credentials {
    /// Tokens that each route accepts, apart from the route's own requirements.
    good: Vec<TokenDraft>,
}

pub(crate) struct Stranger {
    pub(crate) name: &'static str,
    pub(crate) header: Option<HeaderValue>,
}

impl Credentials {
    /// Forges the tokens of the named callers. Without callers, it forges tokens of the test's authorities.
    /// Without authorities, it forges tokens of a default authority.
    pub(crate) fn new(callers: &[TokenDraft]) -> Self {
        if !callers.is_empty() {
            return Self { good: callers.to_vec() };
        }
        let authorities = TestAuthority::known();
        if authorities.is_empty() {
            return Self { good: vec![TestAuthority::new().service("stranger").claim("exp", FAR_AWAY)] };
        }
        let mut good = Vec::new();
        for authority in authorities {
            good.push(authority.service("stranger"));
            if authority.aud().is_some() {
                good.push(authority.strict_service("stranger"));
            }
        }
        Self { good }
    }

    pub(crate) fn strangers(&self, access: Option<&Access>) -> Vec<Stranger> {
        let bearer =
            |token: &str| Some(HeaderValue::from_str(&format!("Bearer {token}")).or_fail("a header"));
        let mut strangers = vec![
            Stranger { name: "no token", header: None },
            Stranger { name: "garbage", header: bearer("not-a-token") },
        ];
        for draft in &self.good {
            for forged in forged(draft, access) {
                let header = bearer(&forged.token());
                strangers.push(Stranger { name: "a token signed with another key", header });
            }
        }
        strangers
    }
}

/// Forges tokens that meet all requirements of the route, with the header and claims of a valid token. Only
/// the signature is wrong. One token has the original times, and one is valid for very long, for an app with
/// its own clock.
fn forged(good: &TokenDraft, access: Option<&Access>) -> Vec<TokenDraft> {
    let good = match access {
        Some(access) if access.for_services().is_some() && good.service_name().is_some() => {
            good.clone().meeting(access.clone())
        }
        _ => good.clone(),
    };
    let forged = good.wrong_key();
    match forged.held("exp") == Some(&FAR_AWAY.into()) {
        true => vec![forged],
        false => vec![forged.clone(), forged.claim("exp", FAR_AWAY)],
    }
}

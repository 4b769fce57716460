//! The claims of a caller in one piece of memory. A caller is made for every token, and few handlers look
//! at more than its name: the others' text is copied once, and taken apart when somebody asks.

use std::sync::OnceLock;

use super::{Audience, Scopes, ServiceClaims, ServiceName};
use crate::{keys::KeyId, revocation::PresentedToken, verifier::Moment};

/// The claims of a service token whose every part was checked, still in the place where they were read.
pub(crate) struct CheckedClaims<'p> {
    pub(crate) sub: &'p str,
    /// A valid [`ServiceName`].
    pub(crate) service: &'p str,
    pub(crate) user_id: Option<&'p str>,
    pub(crate) role: Option<&'p str>,
    pub(crate) email: Option<&'p str>,
    pub(crate) issuer: &'p str,
    pub(crate) aud: Option<&'p Audience<'p>>,
    pub(crate) exp: i64,
    pub(crate) iat: Option<i64>,
    pub(crate) nbf: Option<i64>,
    pub(crate) jti: Option<&'p str>,
    pub(crate) scope: Scopes,
}

/// The same, kept for as long as the caller is.
#[derive(Debug)]
pub(crate) struct HeldClaims {
    text: Box<str>,
    sub: Span,
    service: Span,
    user_id: Option<Span>,
    role: Option<Span>,
    email: Option<Span>,
    issuer: Span,
    aud: Box<[Span]>,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    jti: Option<Span>,
    scope: Scopes,
    unfolded: OnceLock<Box<ServiceClaims>>,
}

/// From where to where a claim stands in the text.
#[derive(Debug, Copy, Clone)]
struct Span {
    start: u32,
    end: u32,
}

impl HeldClaims {
    pub(crate) fn hold(claims: CheckedClaims<'_>) -> Self {
        let aud = claims.aud.map_or(&[][..], Audience::as_slice);
        let own = |claim: &str| if claim == claims.service { 0 } else { claim.len() };
        let single =
            [claims.user_id, claims.role, claims.email, claims.jti, Some(claims.sub), Some(claims.issuer)]
                .map(|claim| claim.map_or(0, own));
        let length = single.into_iter().sum::<usize>() + aud.iter().map(|named| own(named)).sum::<usize>();
        let mut text = Writing::start(claims.service, length);
        Self {
            service: text.add(claims.service),
            sub: text.add(claims.sub),
            user_id: claims.user_id.map(|user| text.add(user)),
            role: claims.role.map(|role| text.add(role)),
            email: claims.email.map(|email| text.add(email)),
            issuer: text.add(claims.issuer),
            aud: if aud.is_empty() {
                Box::default()
            } else {
                aud.iter().map(|named| text.add(named)).collect()
            },
            jti: claims.jti.map(|jti| text.add(jti)),
            exp: claims.exp,
            iat: claims.iat,
            nbf: claims.nbf,
            scope: claims.scope,
            text: text.text.into_boxed_str(),
            unfolded: OnceLock::new(),
        }
    }

    pub(crate) fn service(&self) -> &str {
        self.at(self.service)
    }

    pub(crate) fn role(&self) -> Option<&str> {
        self.role.map(|role| self.at(role))
    }

    pub(crate) fn scope(&self) -> &Scopes {
        &self.scope
    }

    pub(crate) fn jti(&self) -> Option<&str> {
        self.jti.map(|jti| self.at(jti))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.at(self.issuer)
    }

    pub(crate) fn exp(&self) -> i64 {
        self.exp
    }

    pub(crate) fn iat(&self) -> Option<i64> {
        self.iat
    }

    pub(crate) fn nbf(&self) -> Option<i64> {
        self.nbf
    }

    /// How many audiences there are.
    pub(crate) fn audiences(&self) -> usize {
        self.aud.len()
    }

    /// What a revocation store is asked about, at this instant.
    pub(crate) fn presented<'c>(&'c self, key: Option<&'c KeyId>, at: Moment) -> PresentedToken<'c> {
        PresentedToken {
            issuer: self.issuer(),
            jti: self.jti(),
            service: Some(self.service()),
            issued_at: at.proven_issue(self.iat),
            key_id: key.map(KeyId::as_str),
        }
    }

    /// All of them, each by itself. Made once, for the first who asks.
    pub(crate) fn unfolded(&self) -> &ServiceClaims {
        let owned = |span: Option<Span>| span.map(|span| self.at(span).to_owned());
        self.unfolded.get_or_init(|| {
            Box::new(ServiceClaims {
                sub: self.at(self.sub).to_owned(),
                service: ServiceName(self.service().to_owned()),
                user_id: owned(self.user_id),
                role: owned(self.role),
                email: owned(self.email),
                issuer: self.issuer().to_owned(),
                aud: self.aud.iter().map(|span| self.at(*span).to_owned()).collect(),
                exp: self.exp,
                iat: self.iat,
                nbf: self.nbf,
                jti: owned(self.jti),
                scope: self.scope.clone(),
            })
        })
    }

    fn at(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// Claims one after another in one text. Whatever is the service's name over again, as `sub` and `user_id`
/// are in tokens minted here, is not written twice.
struct Writing<'p> {
    text: String,
    first: &'p str,
}

impl<'p> Writing<'p> {
    fn start(first: &'p str, more: usize) -> Self {
        let mut text = String::with_capacity(first.len() + more);
        text.push_str(first);
        Self { text, first }
    }

    fn add(&mut self, claim: &str) -> Span {
        if claim == self.first {
            return Span { start: 0, end: offset(claim.len()) };
        }
        let start = offset(self.text.len());
        self.text.push_str(claim);
        Span { start, end: offset(self.text.len()) }
    }
}

/// A token is bounded far below 4 GiB. If its claims were not, they would be cut short, never another's.
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked<'p>(aud: Option<&'p Audience<'p>>, scope: &str) -> CheckedClaims<'p> {
        CheckedClaims {
            sub: "orders",
            service: "orders",
            user_id: Some("orders"),
            role: Some(""),
            email: None,
            issuer: "bakery-auth",
            aud,
            exp: 7,
            iat: Some(-1),
            nbf: None,
            jti: Some("ordersä"),
            scope: scope.parse().unwrap(),
        }
    }

    #[test]
    fn claims_come_out_as_they_went_in() {
        let aud = Audience::Several(vec!["x".into(), "orders".into(), "".into()]);
        let held = HeldClaims::hold(checked(Some(&aud), "a b"));
        let expected = ServiceClaims {
            sub: "orders".to_owned(),
            service: "orders".parse().unwrap(),
            user_id: Some("orders".to_owned()),
            role: Some(String::new()),
            email: None,
            issuer: "bakery-auth".to_owned(),
            aud: vec!["x".to_owned(), "orders".to_owned(), String::new()],
            exp: 7,
            iat: Some(-1),
            nbf: None,
            jti: Some("ordersä".to_owned()),
            scope: "a b".parse().unwrap(),
        };
        assert_eq!(held.unfolded(), &expected);
        assert_eq!((held.service(), held.role(), held.issuer()), ("orders", Some(""), "bakery-auth"));
        assert_eq!((held.jti(), held.scope().to_string().as_str()), (Some("ordersä"), "a b"));
        assert_eq!((held.exp(), held.iat(), held.nbf()), (7, Some(-1), None));
    }

    #[test]
    fn claims_take_one_piece_of_memory_and_the_name_stands_in_it_once() {
        let held = HeldClaims::hold(checked(None, ""));
        assert_eq!(&*held.text, "ordersbakery-authordersä");
        assert!(held.unfolded.get().is_none(), "taken apart before anybody asked");
        assert!(std::ptr::eq(held.unfolded(), held.unfolded()), "taken apart twice");
    }
}

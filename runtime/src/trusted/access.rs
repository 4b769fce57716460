//! How the access tokens of an OAuth 2.0 server name a service, and what separates them from users' tokens and from ID
//! tokens. A closed set of settings, without code of the application: each is compared in one place, here.

use std::borrow::Cow;

use super::{
    own_claims::missing,
    rule::{Expected, Members, Rule},
    subject::Foreign,
};
use crate::{
    claims::{MAX_CLAIM_LENGTH, RawClaims, Scopes},
    denial::{Code, Denial, quoted},
    error::BuildError,
    json::{self, Tree},
};

/// Separates the parts of a subject that several claims name. A claim that contains it names no service.
const BETWEEN_PARTS: char = ' ';

/// How the access tokens of an OAuth 2.0 server name a service.
///
/// [`TrustedIssuer::oauth`](crate::TrustedIssuer::oauth) reads tokens of RFC 9068. Use this type with
/// [`TrustedIssuer::oauth_with`](crate::TrustedIssuer::oauth_with) for a server that issues others. For the usual
/// providers there are constructors, such as [`TrustedIssuer::keycloak`](crate::TrustedIssuer::keycloak).
///
/// One setting has no default: what marks the token of a machine. Without it an issuer cannot be built, because a
/// user's token would pass for a service.
///
/// ```
/// use service_only::{AccessTokens, GrantClaim, KeySet, TrustedIssuer};
/// # fn build(keys: KeySet) -> TrustedIssuer {
/// let tokens = AccessTokens::named_by("azp")
///     .machine_if("gty", "client-credentials")
///     .typ(["JWT"])
///     .scopes_from([GrantClaim::Scope, GrantClaim::Permissions]);
/// TrustedIssuer::oauth_with("https://login.bakery.example/", tokens).keys(keys).audience("https://orders.example")
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until you pass it to `TrustedIssuer::oauth_with`"]
pub struct AccessTokens {
    /// The claims that name the service. Several form one subject.
    named_by: Vec<Cow<'static, str>>,
    typ: Vec<Cow<'static, str>>,
    typ_may_be_absent: bool,
    /// A token that breaks one of these belongs to a user of the provider (403). They come first: such a token lacks the
    /// claims that the other rules read.
    user: Vec<Rule>,
    /// A token that breaks one of these belongs to no machine (403).
    machine: Vec<Rule>,
    /// A token that breaks one of these belongs to no user either.
    neither: Vec<Rule>,
    /// A token that breaks one of these is not an access token for this issuer's services (401).
    access: Vec<Rule>,
    requires_jti: bool,
    audience: AudienceClaim,
    scopes: Vec<GrantClaim>,
    roles: Vec<GrantClaim>,
    /// Only subjects with a configured name are services.
    only_named: bool,
    /// A subject without a configured name needs a role.
    names_or_roles: bool,
    /// Whether a token without the marks of a machine belongs to a user that handlers may admit.
    admits_users: bool,
}

/// A claim that scopes or roles are read from. Each may be one text with spaces, or an array of texts. A claim of
/// another form grants nothing.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantClaim {
    /// `scope` (RFC 8693 section 4.2).
    Scope,
    /// `scp`.
    Scp,
    /// `roles`.
    Roles,
    /// `permissions`.
    Permissions,
    /// `realm_access.roles` of Keycloak.
    RealmAccessRoles,
}

impl GrantClaim {
    const fn claim(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Scp => "scp",
            Self::Roles => "roles",
            Self::Permissions => "permissions",
            Self::RealmAccessRoles => "realm_access",
        }
    }
}

/// Where a token says which service it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AudienceClaim {
    Aud,
    Claim(Cow<'static, str>),
    /// The part of each scope before its last `/`.
    ScopePrefix,
}

impl AccessTokens {
    /// Access tokens of RFC 9068: `typ` is `at+jwt`, `client_id` names the service, and `sub` equals it. A `sub` that
    /// differs is a user's.
    pub fn rfc9068() -> Self {
        Self { requires_jti: true, ..Self::named_by("client_id").machine_if_equal("sub", "client_id") }
    }

    /// Access tokens whose service is named by a claim, such as `client_id`, `azp` or `cid`. The claim must be a text.
    /// `typ` must be `at+jwt` unless you set [`typ`](Self::typ), scopes come from `scope`, and no roles are read.
    pub fn named_by(claim: impl Into<Cow<'static, str>>) -> Self {
        Self {
            named_by: vec![claim.into()],
            // RFC 9068 section 2.1.
            typ: vec!["at+jwt".into(), "application/at+jwt".into()],
            typ_may_be_absent: false,
            user: Vec::new(),
            machine: Vec::new(),
            neither: Vec::new(),
            access: Vec::new(),
            requires_jti: false,
            audience: AudienceClaim::Aud,
            scopes: vec![GrantClaim::Scope],
            roles: Vec::new(),
            only_named: false,
            names_or_roles: false,
            admits_users: false,
        }
    }

    /// A token belongs to a machine if a claim has this value, such as `gty` and `client-credentials`. If you name
    /// several marks, a token needs all of them. Other tokens get a 403.
    pub fn machine_if(
        mut self,
        claim: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.machine.push(Rule::Is(claim.into(), Expected::Text(value.into())));
        self
    }

    /// A token belongs to a machine if two claims are the same text, such as `sub` and `client_id`. See
    /// [`machine_if`](Self::machine_if).
    pub fn machine_if_equal(
        self,
        claim: impl Into<Cow<'static, str>>,
        other: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.machine_if_suffixed(claim.into(), other.into(), "")
    }

    /// A token with this claim belongs to a user. It restricts the other marks, and does not count as a mark: a provider
    /// may omit a claim.
    pub fn user_if_present(mut self, claim: impl Into<Cow<'static, str>>) -> Self {
        self.machine.push(Rule::Absent(claim.into()));
        self
    }

    /// Only a token whose claim has this value is an access token, such as `token_use` and `access`. Use it if `typ`
    /// does not separate access tokens from ID tokens. Other tokens get a 401.
    pub fn access_if(self, claim: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.only(Rule::Is(claim.into(), Expected::Text(value.into())))
    }

    /// Sets the accepted values of the header parameter `typ`, compared without case. The default is `at+jwt` and
    /// `application/at+jwt`.
    pub fn typ<T: Into<Cow<'static, str>>>(self, typ: impl IntoIterator<Item = T>) -> Self {
        Self { typ: typ.into_iter().map(Into::into).collect(), ..self }
    }

    /// Accepts tokens without a `typ`.
    pub fn typ_may_be_absent(self) -> Self {
        Self { typ_may_be_absent: true, ..self }
    }

    /// Sets the claims that scopes are read from, all together. The default is [`GrantClaim::Scope`].
    pub fn scopes_from(self, claims: impl IntoIterator<Item = GrantClaim>) -> Self {
        Self { scopes: claims.into_iter().collect(), ..self }
    }

    /// Sets the claims that roles are read from, all together. By default a caller has no role.
    pub fn roles_from(self, claims: impl IntoIterator<Item = GrantClaim>) -> Self {
        Self { roles: claims.into_iter().collect(), ..self }
    }

    /// Compares the audience with another claim than `aud`, for a provider whose tokens have no `aud`. If a token has
    /// an `aud` too, both must match.
    pub fn audience_from(self, claim: impl Into<Cow<'static, str>>) -> Self {
        Self { audience: AudienceClaim::Claim(claim.into()), ..self }
    }

    /// Compares the audience with the part of each scope before its last `/`, for a provider whose tokens have no `aud`
    /// and whose scopes are written `SERVICE/SCOPE`. If a token has an `aud` too, both must match.
    pub fn audience_from_scopes(self) -> Self {
        Self { audience: AudienceClaim::ScopePrefix, ..self }
    }

    /// Refuses tokens without a `jti`. A token without one can be revoked only with its service or its key.
    pub fn require_jti(self) -> Self {
        Self { requires_jti: true, ..self }
    }

    pub(super) fn machine_if_suffixed(
        mut self,
        claim: impl Into<Cow<'static, str>>,
        other: impl Into<Cow<'static, str>>,
        suffix: &'static str,
    ) -> Self {
        self.machine.push(Rule::Equal { claim: claim.into(), other: other.into(), suffix });
        self
    }

    /// A token in which this claim has another value belongs to a user. It does not count as a mark, because the claim
    /// may be absent.
    pub(super) fn user_unless(mut self, claim: &'static str, value: &'static str) -> Self {
        self.machine.push(Rule::IsOrAbsent(claim, value));
        self
    }

    /// A token without this claim belongs to a user. It is compared before all other claims.
    pub(super) fn user_unless_present(mut self, claim: &'static str) -> Self {
        self.user.push(Rule::Present(claim));
        self
    }

    /// Adds a rule that every token of a machine meets. Other tokens get a 403.
    pub(super) fn machines_only(mut self, rule: Rule) -> Self {
        self.machine.push(rule);
        self
    }

    /// Adds a rule that every token of a user meets. It restricts [`and_users`](Self::and_users), and marks no machine.
    pub(super) fn users_only(mut self, rule: Rule) -> Self {
        self.neither.push(rule);
        self
    }

    /// Adds a rule that every accepted token meets.
    pub(super) fn only(mut self, rule: Rule) -> Self {
        self.access.push(rule);
        self
    }

    /// Adds a claim to the subject.
    pub(super) fn and_by(mut self, claim: &'static str) -> Self {
        self.named_by.push(claim.into());
        self
    }

    /// Accepts only subjects with a configured name, which marks them as machines.
    pub(super) fn only_named(self) -> Self {
        Self { only_named: true, ..self }
    }

    /// Accepts a subject without a configured name only if it has a role, for a provider that issues tokens to clients to
    /// which it has granted nothing.
    pub(super) fn names_or_roles(self) -> Self {
        Self { names_or_roles: true, ..self }
    }

    /// Accepts the tokens of users too.
    pub(super) fn and_users(self) -> Self {
        Self { admits_users: true, ..self }
    }

    /// Whether a token that is not a machine's belongs to a user that handlers may admit. It has no mark of a machine, and
    /// one of the claims that only users have, if the settings name some. A token with a part of the marks is neither: it may
    /// belong to a machine that the provider does not mark completely. Settings without a mark separate no users.
    pub(super) fn is_user(&self, members: &Members) -> bool {
        let breaks = |rule: &Rule| rule.check(members).is_err();
        let mut marks = self.machine.iter().filter(|rule| rule.is_mark()).peekable();
        let mut of_users = self.machine.iter().filter(|rule| matches!(rule, Rule::Absent(_))).peekable();
        self.admits_users
            && marks.peek().is_some()
            && marks.all(breaks)
            && (of_users.peek().is_none() || of_users.any(breaks))
            && !self.neither.iter().any(breaks)
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.user.iter().chain(&self.machine).chain(&self.neither).chain(&self.access)
    }

    pub(super) const fn admits_users(&self) -> bool {
        self.admits_users
    }

    pub(super) const fn accepts_only_named(&self) -> bool {
        self.only_named
    }

    /// The subject of several claims, in the form that names are configured in.
    pub(super) fn joined(parts: &[&str]) -> String {
        parts.join(BETWEEN_PARTS.encode_utf8(&mut [0; 4]))
    }

    /// Refuses settings that would check nothing.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let named = self.claims();
        let is_blank = |text: &Cow<'static, str>| text.is_empty();
        let blank_value =
            |rule: &Rule| matches!(rule, Rule::Is(_, Expected::Text(value)) if value.is_empty());
        if named.iter().any(|name| name.is_empty())
            || self.typ.iter().any(is_blank)
            || self.rules().any(blank_value)
        {
            return Err(BuildError::EmptyAccessSetting);
        }
        if self.typ.is_empty() && !self.typ_may_be_absent {
            return Err(BuildError::NoTyp);
        }
        let itself = |rule: &Rule| matches!(rule, Rule::Equal { claim, other, suffix: "" } if claim == other);
        if self.machine.iter().any(itself) || !(self.only_named || self.machine.iter().any(Rule::is_mark)) {
            return Err(BuildError::NoMachineMark);
        }
        Ok(())
    }

    /// The names of the claims that the settings read.
    fn claims(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.named_by.iter().map(|name| &**name).collect();
        names.extend(self.rules().flat_map(Rule::claims));
        if let AudienceClaim::Claim(claim) = &self.audience {
            names.push(claim);
        }
        names.extend(self.scopes.iter().chain(&self.roles).map(|grant| grant.claim()));
        names
    }

    /// Reads what the settings name from a payload that was parsed before.
    pub(crate) fn read(&self, payload: &[u8]) -> Result<Members, Denial> {
        let members = json::read_named(payload, &self.claims());
        members.map(Members::of).map_err(|error| match error {
            json::JsonError::Malformed(why) | json::JsonError::WrongType(why) => {
                Denial::new(Code::Malformed, format!("the payload: {why}"))
            }
        })
    }

    /// The accepted values of `typ`, and whether it may be absent.
    pub(crate) fn typ_values(&self) -> (&[Cow<'static, str>], bool) {
        (&self.typ, self.typ_may_be_absent)
    }

    pub(crate) fn check_required(&self, claims: &RawClaims<'_>) -> Result<(), Denial> {
        if self.requires_jti && claims.jti.as_deref().is_none_or(str::is_empty) {
            return Err(missing("jti"));
        }
        Ok(())
    }

    /// What a token says it is for, if not in `aud`; `None` if `aud` is the place.
    pub(crate) fn audience(&self, members: &Members) -> Option<Result<Vec<String>, Denial>> {
        match &self.audience {
            AudienceClaim::Aud => None,
            AudienceClaim::Claim(claim) => Some(match members.get(claim) {
                Some(Tree::Text(text)) => Ok(vec![text.clone()]),
                Some(Tree::Texts(texts)) => Ok(texts.clone()),
                Some(_) => Err(wrong_type(claim, "a string or an array of strings")),
                None => Err(missing(claim)),
            }),
            AudienceClaim::ScopePrefix => {
                let scopes = self.read_scopes(members);
                let prefixes = scopes.iter().filter_map(|scope| scope.rsplit_once('/'));
                Some(Ok(prefixes.map(|(service, _)| service.to_owned()).collect()))
            }
        }
    }

    /// Reads the service that a token names, once it is known to be a machine's access token.
    pub(super) fn subject<'c>(&self, members: &'c Members) -> Result<Foreign<'c>, Denial> {
        let not_a_machine =
            |why| Denial::new(Code::NotService, format!("the token is not a machine's: {why}"));
        for rule in &self.user {
            rule.check(members).map_err(not_a_machine)?;
        }
        for rule in &self.access {
            rule.check(members).map_err(|why| Denial::new(Code::BadClaimValue, why))?;
        }
        let subject = self.named(members)?;
        for rule in &self.machine {
            rule.check(members).map_err(not_a_machine)?;
        }
        let needs_name =
            self.only_named || self.names_or_roles && self.read_roles(members).iter().all(String::is_empty);
        let default = (!needs_name).then(|| subject.clone());
        Ok(Foreign { default, subject })
    }

    fn named<'c>(&self, members: &'c Members) -> Result<Cow<'c, str>, Denial> {
        let part = |claim: &'_ Cow<'static, str>| match members.get(claim) {
            Some(Tree::Text(text)) if text.len() > MAX_CLAIM_LENGTH => {
                let reason = format!("`{claim}` has {} bytes, more than {MAX_CLAIM_LENGTH}", text.len());
                Err(Denial::new(Code::BadClaimValue, reason))
            }
            Some(Tree::Text(text)) => Ok(&**text),
            Some(_) => Err(wrong_type(claim, "a string")),
            None => Err(missing(claim)),
        };
        if let [only] = self.named_by.as_slice() {
            return part(only).map(Cow::Borrowed);
        }
        let parts = self.named_by.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        if let Some(odd) = parts.iter().find(|part| part.is_empty() || part.contains(BETWEEN_PARTS)) {
            let reason = format!("`{}` is not part of a subject", quoted(odd));
            return Err(Denial::new(Code::BadClaimValue, reason));
        }
        Ok(Cow::Owned(Self::joined(&parts)))
    }

    /// The scopes of all configured claims. A claim that is not a list of scopes grants nothing.
    pub(super) fn read_scopes(&self, members: &Members) -> Scopes {
        let lists = self.scopes.iter().map(|grant| match grant_of(*grant, members) {
            // A scope with a space would become two.
            Some(Tree::Texts(texts)) if !texts.iter().any(|text| text.contains(' ')) => texts.join(" "),
            Some(Tree::Text(text)) => text.clone(),
            _ => String::new(),
        });
        let valid = lists.filter(|list| !list.is_empty() && list.parse::<Scopes>().is_ok());
        valid.collect::<Vec<_>>().join(" ").parse().unwrap_or_default()
    }

    /// The roles of all configured claims, at most [`Scopes::MAX`].
    pub(super) fn read_roles(&self, members: &Members) -> Vec<String> {
        let mut roles = Vec::new();
        for grant in &self.roles {
            match grant_of(*grant, members) {
                Some(Tree::Texts(texts)) => roles.extend(texts.iter().cloned()),
                Some(Tree::Text(text)) => {
                    roles.extend(text.split(' ').filter(|role| !role.is_empty()).map(str::to_owned));
                }
                _ => {}
            }
        }
        if roles.len() > Scopes::MAX { Vec::new() } else { roles }
    }
}

fn grant_of(grant: GrantClaim, members: &Members) -> Option<&Tree> {
    let claim = members.get(grant.claim())?;
    match grant {
        GrantClaim::RealmAccessRoles => claim.member("roles"),
        _ => Some(claim),
    }
}

fn wrong_type(claim: &str, expected: &str) -> Denial {
    Denial::new(Code::BadClaimType, format!("`{claim}` must be {expected}"))
}

#[cfg(test)]
mod tests;

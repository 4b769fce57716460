//! The scopes and the roles of a token, in the claims that its issuer writes them into.

use serde_json::{Value, json};

use super::TokenDraft;
use crate::provider::Provider;

/// The claims that issuers write scopes or roles into.
const CLAIMS: [&str; 14] = [
    "scope",
    "scp",
    "permissions",
    "scopes",
    "Scope",
    "role",
    "roles",
    "Roles",
    "groups",
    "authorities",
    "entitlements",
    "cognito:groups",
    "realm_access",
    "https://bakery.example/roles",
];

/// A token, and what distinguishes it from others of its class.
type Labelled = (String, TokenDraft);

impl Provider {
    /// The claims that scopes are read from.
    const fn scope_claims(self) -> &'static [&'static str] {
        match self {
            Self::Keycloak | Self::Cognito | Self::Duende => &["scope"],
            Self::Auth0 | Self::Auth0Rfc9068 => &["scope", "permissions"],
            Self::Okta => &["scp"],
            _ => &[],
        }
    }

    /// The claim that roles are read from.
    const fn role_claim(self) -> Option<&'static str> {
        match self {
            Self::Keycloak => Some("realm_access"),
            Self::EntraV1 | Self::EntraV2 => Some("roles"),
            _ => None,
        }
    }

    /// Roles in the form of the claim.
    fn roles(self, roles: Value) -> Value {
        if self == Self::Keycloak { json!({ "roles": roles }) } else { roles }
    }
}

impl TokenDraft {
    /// The required scopes of the token, separated by spaces. A token of a service-only issuer has only such scopes. That of
    /// a provider may have others, so the handler's policy decides.
    pub(crate) fn required_scopes(&self) -> Option<String> {
        let Some(provider) = self.provider else {
            return self.held("scope")?.as_str().map(str::to_owned);
        };
        let asked = self.requirements()?;
        let held: Vec<_> = provider.scope_claims().iter().flat_map(|claim| words(self.held(claim))).collect();
        let is_held = |scope: &&String| held.contains(&scope.as_str());
        let one_of = asked.any_scope.iter().flatten().find(is_held);
        let required: Vec<_> =
            asked.scopes.iter().filter(is_held).chain(one_of).map(String::as_str).collect();
        (!required.is_empty()).then(|| required.join(" "))
    }

    /// The same token with these scopes, separated by spaces, and no others.
    pub(crate) fn with_scopes(self, scopes: &str) -> Self {
        let Some(provider) = self.provider else { return self.claim("scope", scopes) };
        let Some((first, others)) = provider.scope_claims().split_first() else { return self };
        let draft = others.iter().fold(self, |draft, claim| draft.without_claim(claim));
        let mut scopes = scopes.to_owned();
        if provider == Provider::Cognito {
            // A scope names the audience.
            scopes = format!("{scopes} {}/some-other-scope", draft.authority.aud().unwrap_or_default());
        }
        let is_list = draft.held(first).is_some_and(Value::is_array);
        let list: Vec<_> = scopes.split(' ').filter(|scope| !scope.is_empty()).collect();
        let scopes = if is_list { json!(list) } else { json!(list.join(" ")) };
        draft.claim(*first, scopes)
    }

    /// The role of the token that the handler allows. As for scopes, the policy decides about a token of a provider.
    pub(crate) fn required_role(&self) -> Option<String> {
        let Some(provider) = self.provider else {
            return self.held("role")?.as_str().map(str::to_owned);
        };
        let claim = self.held(provider.role_claim()?);
        let held = words(claim.map(|claim| claim.get("roles").unwrap_or(claim)));
        self.requirements()?.roles.iter().flatten().find(|role| held.contains(&role.as_str())).cloned()
    }

    /// The same token with this role and no other.
    pub(crate) fn with_role(self, role: &str) -> Self {
        match self.provider {
            None => self.role(role),
            Some(provider) => self.with_roles(provider.roles(json!([role]))),
        }
    }

    /// The same token without a role.
    pub(crate) fn without_role(self) -> Self {
        let claim = self.provider.map_or(Some("role"), Provider::role_claim);
        claim.into_iter().fold(self, Self::without_claim)
    }

    fn with_roles(self, roles: Value) -> Self {
        let claim = self.provider.and_then(Provider::role_claim);
        claim.into_iter().fold(self, |draft, claim| draft.claim(claim, roles.clone()))
    }

    /// The required scopes in claims that the provider does not use for them.
    pub(crate) fn scopes_elsewhere(&self) -> Vec<Labelled> {
        let (Some(provider), Some(scopes)) = (self.provider, self.required_scopes()) else {
            return Vec::new();
        };
        self.clone().with_scopes("").elsewhere(provider.scope_claims(), &scopes)
    }

    /// The role in claims that the provider does not use for roles.
    pub(crate) fn role_elsewhere(&self) -> Vec<Labelled> {
        let (Some(_), Some(role)) = (self.provider, self.required_role()) else { return Vec::new() };
        // A claim `scp` marks a user of Entra ID.
        self.clone().with_role("some-other-role").elsewhere(&["scp"], &role)
    }

    /// These words in every claim that the token does not have and that is not among `own`.
    fn elsewhere(self, own: &[&str], text: &str) -> Vec<Labelled> {
        let list: Vec<_> = text.split(' ').collect();
        let forms = |claim: &str| match claim {
            "realm_access" => vec![("", json!({ "roles": list }))],
            _ => vec![("", json!(text)), (", a list", json!(list))],
        };
        let free = CLAIMS.into_iter().filter(|claim| !own.contains(claim) && self.held(claim).is_none());
        free.flat_map(|claim| forms(claim).into_iter().map(move |(form, value)| (claim, form, value)))
            .map(|(claim, form, value)| (format!("{claim}{form}"), self.clone().claim(claim, value)))
            .collect()
    }

    /// The required scopes as a value of another type.
    pub(crate) fn scopes_of_other_types(&self) -> Vec<Labelled> {
        let scopes = self.required_scopes();
        let (Some(provider), Some(scopes)) = (self.provider, scopes) else { return Vec::new() };
        let Some(claim) = provider.scope_claims().first() else { return Vec::new() };
        // Without a scope in the right form, these tokens have no audience.
        if provider == Provider::Cognito {
            return Vec::new();
        }
        let draft = self.clone().with_scopes("");
        of_other_types(&scopes)
            .into_iter()
            .map(|(what, value)| (what.to_owned(), draft.clone().claim(*claim, value)))
            .collect()
    }

    /// The role as a value of another type.
    pub(crate) fn roles_of_other_types(&self) -> Vec<Labelled> {
        let (Some(provider), Some(role)) = (self.provider, self.required_role()) else { return Vec::new() };
        let mut values: Vec<_> = of_other_types(&role)
            .into_iter()
            .map(|(what, value)| (what.to_owned(), provider.roles(value)))
            .collect();
        if provider == Provider::Keycloak {
            let others = [json!([role]), json!(role), json!({ "Roles": [role] }), json!({ role: true })];
            values.extend(others.map(|value| (value.to_string(), value)));
        }
        values.into_iter().map(|(what, value)| (what, self.clone().with_roles(value))).collect()
    }

    /// The role as one of a client, which Keycloak writes into `resource_access`.
    pub(crate) fn roles_of_clients(&self) -> Vec<Labelled> {
        let (Some(Provider::Keycloak), Some(role)) = (self.provider, self.required_role()) else {
            return Vec::new();
        };
        let others = self.clone().with_role("some-other-role");
        let clients = [self.authority.aud(), self.machine_id(), Some("account"), Some("some-other-client")];
        let of_client = |client: &str| {
            let roles = json!({ client: { "roles": [role] } });
            (client.to_owned(), others.clone().claim("resource_access", roles))
        };
        clients.into_iter().flatten().map(of_client).collect()
    }
}

/// The words of a text, or the texts of a list.
fn words(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Values that contain the words, and are neither a text with spaces nor a list of words.
fn of_other_types(words: &str) -> Vec<(&'static str, Value)> {
    let list: Vec<_> = words.split(' ').collect();
    let more: Vec<_> = list.iter().copied().chain(["some-other"]).collect();
    let members: serde_json::Map<_, _> = list.iter().map(|word| ((*word).to_owned(), true.into())).collect();
    let numbered: Vec<_> = list.iter().map(|word| json!(word)).chain([json!(7)]).collect();
    let named: Vec<_> = list.iter().map(|word| json!({ "name": word })).collect();
    vec![
        ("an object", members.into()),
        ("a list in a list", json!([list])),
        ("a list with a number", numbered.into()),
        ("objects in a list", named.into()),
        ("a list as a text", json!(list).to_string().into()),
        ("several in one text of a list", json!([more.join(" ")])),
        ("separated by tabs", more.join("\t").into()),
        ("separated by line breaks", more.join("\n").into()),
        ("separated by no-break spaces", more.join("\u{a0}").into()),
    ]
}

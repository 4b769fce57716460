//! Asks the token endpoint of an OAuth 2.0 server for tokens of client credentials (RFC 6749 section 4.4).

mod answer;
mod credential;
mod endpoint;
mod transport;

pub(crate) use self::{
    credential::{Credential, MAX_CREDENTIAL_BYTES},
    endpoint::{Endpoint, Place},
    transport::{DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, Transport},
};

/// How a request tells the provider the audience of the token.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudienceParameter {
    /// `resource` (RFC 8707). The default.
    Resource,
    /// `audience`, as Auth0 reads it.
    Audience,
    /// `scope=AUDIENCE/.default`, as Entra ID reads it.
    DefaultScope,
    /// No parameter: the configuration of the client at the provider decides, as with Keycloak and Okta. The audience of
    /// the token is still checked.
    Configured,
    /// No parameter, and the token has no `aud`: a scope names the audience, as with Cognito.
    Scope,
}

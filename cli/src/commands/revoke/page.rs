//! A revocation that a person makes on a page of the dashboard. It is the one of the command.

use service_only::clock::Timestamp;

use super::{Made, RevokeOptions};
use crate::change::{By, Consent, DryRun};
use crate::config::Config;
use crate::output::{self, Format};
use crate::problem::Outcome;
use crate::store::{Instant, StoreAndConfig};

/// What a person revokes without a command line: on a page, where the confirmation is a form.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Token(String),
    /// All tokens of the service that were issued before an instant.
    Service(String, Timestamp),
}

impl RevokeOptions {
    /// The options of `service-token revoke` for this target.
    pub(crate) fn of(store: &StoreAndConfig, target: &Target, issuer: &str, by: By, tried: DryRun) -> Self {
        let (jti, service, before) = match target {
            Target::Token(jti) => (Some(jti.clone()), None, None),
            Target::Service(service, before) => (None, Some(service.clone()), Some(Instant(*before))),
        };
        Self {
            jti,
            service,
            before,
            key: None,
            expires: None,
            allow_unknown: false,
            issuer: Some(issuer.to_owned()),
            reason: None,
            by,
            dry_run: tried,
            consent: Consent::GIVEN,
            store: store.clone(),
            format: Format::Text,
        }
    }

    pub(crate) fn because(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    /// Revokes, or tries to, as the command does.
    pub(crate) async fn apply(&self, url: &str, config: Option<&Config>, issuer: &str) -> Outcome<Made> {
        self.check()?;
        let made = self.revoke(url, config, issuer, None).await?;
        if let Some(Err(error)) = &made.purged {
            output::warning(&format!("expired revocations were not deleted: {error}"));
        }
        Ok(made)
    }
}

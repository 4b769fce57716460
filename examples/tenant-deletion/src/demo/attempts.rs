//! Six attempts to delete the tenant that must fail, each through the gateway and directly at the service.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use comfy_table::{Cell, Color};
use http::header;

use super::platform::Platform;
use crate::authority::{Authority, tampered};
use crate::catalogue::ORCHESTRATOR;
use crate::tenant::LEAVING;
use crate::terminal::Terminal;

struct Attempt {
    what: &'static str,
    token: Option<String>,
    /// Whether a user adds a header that claims to be a service.
    forged: bool,
    status: u16,
    meaning: &'static str,
}

/// Makes the attempts, prints their answers, and fails if an answer is wrong.
pub(crate) async fn refuse_all(
    authority: &Authority,
    platform: &Platform,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let target = platform.services.first().context("there is a service")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut table = terminal.table(&["attempt to delete", "gateway", "past it", "which means"]);
    for attempt in attempts(authority)? {
        let through = attempt.make(&client, platform.gateway, target.service.name).await?;
        let past = attempt.make(&client, target.address, target.service.name).await?;
        for answered in [through, past] {
            ensure!(
                answered == attempt.status,
                "{} was answered {answered}, not {}",
                attempt.what,
                attempt.status
            );
        }
        let status = |status: u16| Cell::new(status).fg(Color::Red);
        table.add_row([Cell::new(attempt.what), status(through), status(past), Cell::new(attempt.meaning)]);
    }
    terminal.print_table(&table)?;
    Ok(())
}

fn attempts(authority: &Authority) -> anyhow::Result<[Attempt; 6]> {
    let orders = authority.service("orders")?;
    let attempt = |what, token, status, meaning| Attempt { what, token, forged: false, status, meaning };
    Ok([
        attempt("no token", None, 401, "who are you?"),
        attempt("garbage for a token", Some("not.a.token".to_owned()), 401, "this is no token"),
        attempt("a token that has expired", Some(authority.expired()?), 401, "not any more"),
        Attempt {
            forged: true,
            ..attempt(
                "an administrator's token, X_User_Type: service",
                Some(authority.user()?),
                403,
                "a person, not a service",
            )
        },
        attempt("the token of the orders service", Some(orders.clone()), 403, "a service, not this one"),
        attempt(
            "that token, altered to name the orchestrator",
            Some(tampered(&orders, ORCHESTRATOR)?),
            401,
            "the signature does not match",
        ),
    ])
}

impl Attempt {
    async fn make(
        &self,
        client: &reqwest::Client,
        address: SocketAddr,
        service: &str,
    ) -> anyhow::Result<u16> {
        let tenant = LEAVING.id;
        let mut request = client.delete(format!("http://{address}/api/v1/{service}/tenant/{tenant}"));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.forged {
            request = request.header("X_User_Type", "service");
        }
        Ok(request.send().await?.status().as_u16())
    }
}

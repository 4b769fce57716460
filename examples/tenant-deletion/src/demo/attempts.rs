//! Eight attempts to delete the tenant that must fail, each through the gateway and directly at a service. The last one
//! is made by a service that was taken over, with everything that it saw.

use anyhow::{Context, ensure};
use comfy_table::{Cell, Color};
use http::header;
use service_only_testkit::TestCertificate;

use super::platform::Platform;
use crate::authority::{Authority, tampered};
use crate::catalogue::ORCHESTRATOR;
use crate::gateway::GATEWAY;
use crate::tenant::LEAVING;
use crate::terminal::Terminal;

struct Attempt {
    what: &'static str,
    token: Option<String>,
    /// Whether a user adds a header that claims to be a service.
    forged: bool,
    /// The answer through the gateway. A service accepts only tokens of the gateway, so past it each answer is 401.
    status: u16,
    meaning: &'static str,
}

const PAST_IT: u16 = 401;

/// The certificates that tokens of the attempts are bound to.
pub(crate) struct Bound {
    pub(crate) orchestrator: TestCertificate,
    pub(crate) orders: TestCertificate,
}

/// Makes the attempts, prints their answers, and fails if an answer is wrong. All come from the service `orders`.
pub(crate) async fn refuse_all(
    authority: &Authority,
    bound: &Bound,
    platform: &Platform,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let orders = platform.services.first().context("there is a service")?;
    let mut table = terminal.table(&["attempt to delete", "gateway", "past it", "which means"]);
    let red = |text: String| Cell::new(text).fg(Color::Red);
    for attempt in attempts(authority, bound)? {
        for (to, expected) in [(GATEWAY, attempt.status), ("sales", PAST_IT)] {
            let answered = attempt.make(platform, orders.service.name, to).await?;
            ensure!(answered == expected, "{} was answered {answered} by {to}, not {expected}", attempt.what);
        }
        let (through, past) = (red(attempt.status.to_string()), red(PAST_IT.to_string()));
        table.add_row([Cell::new(attempt.what), through, past, Cell::new(attempt.meaning)]);
    }
    let replayed = platform.compromised.replay(platform, orders).await?;
    table.add_row([
        Cell::new("all that the orders service saw, to the others"),
        red(format!("{replayed} × 401")),
        red(format!("{replayed} × 401")),
        Cell::new("a token for orders, from the gateway"),
    ]);
    terminal.print_table(&table)?;
    Ok(())
}

fn attempts(authority: &Authority, bound: &Bound) -> anyhow::Result<[Attempt; 7]> {
    let orders = authority.service("orders", &bound.orders)?;
    let attempt = |what, token, status, meaning| Attempt { what, token, forged: false, status, meaning };
    let expired = authority.expired(ORCHESTRATOR, &bound.orchestrator)?;
    Ok([
        attempt("no token", None, 401, "who are you?"),
        attempt("garbage for a token", Some("not.a.token".to_owned()), 401, "this is no token"),
        attempt("a token that has expired", Some(expired), 401, "not any more"),
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
        attempt(
            "the orchestrator's own token, stolen",
            Some(authority.service(ORCHESTRATOR, &bound.orchestrator)?),
            401,
            "not your certificate",
        ),
    ])
}

impl Attempt {
    /// Asks to delete the tenant in `sales`.
    async fn make(&self, platform: &Platform, from: &str, to: &str) -> anyhow::Result<u16> {
        let mut request = platform.delete(from, to, "sales", LEAVING.id)?;
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.forged {
            request = request.header("X_User_Type", "service");
        }
        Ok(request.send().await?.status().as_u16())
    }
}

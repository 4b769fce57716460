//! A consumer of a queue. Each message carries the token of whoever sent it, and no framework stands
//! between: the consumer verifies the token, and the function checks whether this caller may.

use std::io::Write;

use service_only::{Caller, Denial, KeySet, Verifier, service_only};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
};

struct Message {
    token: String,
    tenant: String,
}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant(tenant: &str, caller: &Caller) -> Result<String, Denial> {
    Ok(format!("{tenant} deleted for {}", caller.service()))
}

async fn handle(verifier: &Verifier, message: &Message) -> Result<String, Denial> {
    let caller = verifier.verify(&message.token)?;
    delete_tenant(&message.tenant, &caller).await
}

/// A refused message is done with: another time it would be refused again.
async fn consume(
    verifier: Verifier,
    mut queue: mpsc::Receiver<Message>,
    mut done: impl FnMut(Result<String, Denial>),
) {
    while let Some(message) = queue.recv().await {
        done(handle(&verifier, &message).await);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let verifier =
        Verifier::builder().issuer("bakery-auth").keys(KeySet::from_jwks_file("jwks.json")?).build()?;
    let (producer, queue) = mpsc::channel(16);
    let consumer = tokio::spawn(consume(verifier, queue, |answer| {
        let _ = match answer {
            Ok(summary) => writeln!(std::io::stdout(), "{summary}"),
            Err(denial) => writeln!(std::io::stderr(), "refused: {denial}"),
        };
    }));

    // In place of a broker: a token, a space and a tenant on each line of the input.
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (token, tenant) = line.split_once(' ').unwrap_or((&line, ""));
        producer.send(Message { token: token.to_owned(), tenant: tenant.to_owned() }).await?;
    }
    drop(producer);
    Ok(consumer.await?)
}

#[cfg(test)]
mod tests;

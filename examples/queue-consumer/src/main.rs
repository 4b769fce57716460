//! A consumer of a queue, without a web framework. Each message has the token of its sender. The consumer
//! verifies the token, and the function checks whether this caller may call it.

use std::{io::Write, pin::pin};

use service_only::{
    Caller, Denial, JsonLinesAudit, KeySet, Verifier, service_only, shutdown::shutdown_signal,
};
use tokio::sync::mpsc;

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

/// A refused message is not retried: the next attempt would be refused too.
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
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(KeySet::from_jwks_file("jwks.json")?)
        .audit(JsonLinesAudit::to_file("audit.jsonl")?)
        .build()?;
    let (producer, queue) = mpsc::channel(16);
    let consumer = tokio::spawn(consume(verifier, queue, |answer| {
        let _ = match answer {
            Ok(summary) => writeln!(std::io::stdout(), "{summary}"),
            Err(denial) => writeln!(std::io::stderr(), "refused: {denial}"),
        };
    }));

    let mut asked_to_end = pin!(shutdown_signal()?);
    let mut lines = input();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = &mut asked_to_end => None,
        };
        let Some(line) = line else { break };
        let (token, tenant) = line.split_once(' ').unwrap_or((&line, ""));
        producer.send(Message { token: token.to_owned(), tenant: tenant.to_owned() }).await?;
    }
    // Accepted messages are finished, and the audit log is flushed when `main` returns.
    drop(producer);
    Ok(consumer.await?)
}

/// Replaces a broker: each line of standard input has a token, a space and a tenant. A separate thread reads
/// it, because such a read cannot be cancelled.
fn input() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut read = std::io::stdin().lines().map_while(Result::ok);
        read.try_for_each(|line| sender.blocking_send(line))
    });
    lines
}

#[cfg(test)]
mod tests;

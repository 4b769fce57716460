//! How a server ends: what runs is finished, what is idle is closed, nothing new is taken.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tenant_deletion::gateway::GATEWAY;
use tenant_deletion::serve::{Shutdown, bind, serve};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::raw::Raw;
use crate::town::{Parts, free_port};

#[tokio::test]
async fn running_request_is_finished_after_the_signal() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, wait) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = move || async move {
        enter.notify_one();
        wait.notified().await;
        "finished"
    };
    let (listener, address) = bind(free_port()).await.unwrap();
    let shutdown = Shutdown::default();
    let folder = tempfile::tempdir().unwrap();
    let parts = Parts::issue(folder.path().to_owned());
    let tls = parts.tls(GATEWAY);
    let router = Router::new().route("/slow", get(slow));
    let server = tokio::spawn(serve(listener, router, tls.clone(), shutdown.clone()));
    let idle = Raw::connect(tls, address).await;
    let mut running = Raw::connect(tls, address).await;
    running.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    entered.notified().await;

    shutdown.begin();
    shutdown.begun().await;
    release.notify_one();
    // The answer comes, and then the connection ends although the client would have kept it.
    let answer = running.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "finished"));
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}

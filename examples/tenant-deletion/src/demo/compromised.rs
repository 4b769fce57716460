//! A service that was taken over. It keeps the fields of every request that it receives, and sends them to the others.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http::{HeaderMap, StatusCode, header};

use super::platform::{Platform, Running};
use crate::gateway::GATEWAY;
use crate::tenant::LEAVING;

/// The number of requests that are kept. The demonstration sends fewer.
const MAX_KEPT: usize = 64;

/// What the service saw.
#[derive(Clone, Default)]
pub(crate) struct Compromised(Arc<Mutex<Vec<HeaderMap>>>);

impl Compromised {
    /// The same service, which keeps what it sees.
    pub(crate) fn taking(&self, router: Router) -> Router {
        let kept = self.clone();
        router.layer(from_fn(move |request: Request, next: Next| {
            kept.keep(request.headers());
            next.run(request)
        }))
    }

    fn keep(&self, fields: &HeaderMap) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(fields.clone());
        }
    }

    /// Replays everything against the other services and against the gateway, over its own connections. Returns the
    /// number of replays in each direction, which were all refused with 401.
    pub(crate) async fn replay(&self, platform: &Platform, own: &Running) -> anyhow::Result<usize> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(
            kept.iter().any(|fields| fields.contains_key(header::AUTHORIZATION)),
            "the service saw no token, so nothing can be replayed"
        );
        let mut replays = 0;
        for other in platform.services.iter().filter(|other| other.service.name != own.service.name) {
            for fields in &kept {
                for part in [GATEWAY, other.service.name] {
                    let request = platform.delete(own.service.name, part, other.service.name, LEAVING.id)?;
                    let mut fields = fields.clone();
                    fields.remove(header::HOST);
                    let status = request.headers(fields).send().await?.status();
                    ensure!(status == StatusCode::UNAUTHORIZED, "a replay to {part} was answered {status}");
                }
            }
            replays += 1;
        }
        Ok(replays)
    }
}

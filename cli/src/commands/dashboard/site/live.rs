//! New decisions as server-sent events, for pages with JavaScript. Pages without it show the same after a reload.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::App;
use super::html::{shown, url};
use super::log::{Entry, Event};
use crate::escape;

/// How many pages receive new decisions at a time. Further ones show them after a reload.
pub(super) const MAX_STREAMS: usize = 64;

/// A comment keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which decisions a page shows.
#[derive(Deserialize)]
pub(super) struct Filter {
    service: Option<String>,
    endpoint: Option<String>,
    jti: Option<String>,
}

impl Filter {
    fn admits(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.service, entry.service.as_deref())
            && is(&self.endpoint, Some(&entry.endpoint))
            && is(&self.jti, entry.jti.as_deref())
    }

    fn is_any(&self) -> bool {
        self.service.is_none() && self.endpoint.is_none() && self.jti.is_none()
    }
}

pub(super) async fn stream(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let Ok(place) = Arc::clone(&app.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages receive new decisions\n").into_response();
    };
    let state = (app.log.subscribe(), app.ending.clone(), filter, place);
    let events = stream::unfold(state, |(mut news, mut ending, filter, place)| async move {
        loop {
            let event = tokio::select! {
                event = news.recv() => event,
                _ = ending.wait_for(|is_ending| *is_ending) => return None,
            };
            let sent = match event {
                Ok(Event::Decision(entry)) if filter.admits(&entry) => decision(&entry),
                // Whether the others are of this page is not known.
                Ok(Event::More(count)) if filter.is_any() => more(count),
                Err(RecvError::Lagged(count)) => more(count),
                Ok(_) => continue,
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok::<_, Infallible>(sent), (news, ending, filter, place)));
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// A row of the list: the script writes each text as text.
fn decision(entry: &Entry) -> Sent {
    let service = entry.service.as_deref();
    let row = json!({
        "time": entry.time.split('.').next().unwrap_or_default().trim_end_matches('Z').replacen('T', " ", 1),
        "instant": shown(&entry.time),
        "url": url("/decision", &[("id", &entry.id)]),
        "decision": entry.decision,
        "caller": shown(&entry.caller),
        "caller_url": service.map(|name| url("/service", &[("name", name)])),
        "endpoint": shown(&entry.endpoint),
        "endpoint_url": url("/endpoint", &[("name", &entry.endpoint)]),
        "code": entry.code.as_deref().map(shown),
        "address": entry.address.as_deref().map(shown),
    });
    Sent::default().event("decision").data(escape::json(&row).unwrap_or_default())
}

fn more(count: u64) -> Sent {
    Sent::default().event("more").data(count.to_string())
}

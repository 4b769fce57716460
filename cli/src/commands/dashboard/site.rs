//! `service-token dashboard`: the reports on the audit log and the store as pages.
//!
//! `log` follows the audit log in a thread, `registry` the store in a task, and `integrity` verifies the logs. Requests only
//! read what these have published. `access` decides who sees anything, `pages` renders, `live` streams new decisions, and
//! `revocation` is the only page that changes something. The server is the one of `serve` (`crate::listener`).

pub(crate) mod access;
mod charts;
mod html;
pub(crate) mod integrity;
mod live;
pub(crate) mod log;
mod lookup;
mod pages;
pub(crate) mod registry;
pub(crate) mod revocation;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use axum::routing::get;
use http::Uri;
use http::header::CONTENT_TYPE;
use service_only::ServiceOnlyLayer;
use service_only::clock::Timestamp;
use tokio::sync::{Semaphore, watch};

use self::access::{Access, Who};
use self::integrity::Integrity;
use self::log::Log;
use self::registry::Registry;
use self::revocation::Revoker;

/// The largest form, in bytes. The longest one has two names and a reason.
const MAX_FORM: usize = 16 * 1024;

/// How many requests search the files for a record at a time.
const SEARCHES: usize = 2;

/// What every request reads.
pub(crate) struct App {
    pub(crate) log: Log,
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) integrity: Integrity,
    pub(crate) access: Access,
    /// Revokes, if the operator allows it.
    pub(crate) revoker: Option<Revoker>,
    /// The files with attack reports.
    pub(crate) attacks: Vec<PathBuf>,
    /// Permits to search the files.
    searches: Arc<Semaphore>,
    /// How many pages receive new decisions at a time.
    streams: Arc<Semaphore>,
    /// Turns to true when the program ends.
    ending: watch::Receiver<bool>,
}

/// What a page knows of its request.
pub(crate) struct View {
    pub(crate) is_json: bool,
    pub(crate) path: String,
    uri: Uri,
    pub(crate) who: Who,
    pub(crate) now: Timestamp,
}

impl App {
    pub(crate) fn new(
        log: Log,
        registry: Option<Arc<Registry>>,
        integrity: Integrity,
        access: Access,
        revoker: Option<Revoker>,
        attacks: Vec<PathBuf>,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let (searches, streams) = (Semaphore::new(SEARCHES), Semaphore::new(live::MAX_STREAMS));
        let (searches, streams) = (Arc::new(searches), Arc::new(streams));
        Self { log, registry, integrity, access, revoker, attacks, searches, streams, ending }
    }
}

/// All pages. A guard decides before a page does, and the headers are on every response.
pub(crate) fn router(app: &Arc<App>, guard: Option<ServiceOnlyLayer>) -> Router {
    let pages = pages::router()
        .merge(revocation::router())
        .route("/live", get(live::stream))
        .route("/static/dashboard.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/static/live.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/static/icon.svg", get(|| asset("image/svg+xml", ICON)))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), access::identify))
        .with_state(Arc::clone(app));
    let guarded = match guard {
        Some(guard) => pages.layer(guard),
        None => pages,
    };
    guarded.layer(axum::middleware::from_fn_with_state(Arc::clone(app), access::secure))
}

const STYLE: &str = include_str!("site/assets/dashboard.css");
const SCRIPT: &str = include_str!("site/assets/live.js");
const ICON: &str = include_str!("site/assets/icon.svg");

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

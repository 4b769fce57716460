//! Exports which callers may call which routes. A service mesh can enforce the export a second time, and people
//! and tools can read it.
//!
//! Each function takes a [`RouteTable`](service_only::routes::RouteTable) and returns text. [`istio`] and [`envoy`]
//! write each check that the proxy can make. For each check that only the code can make, the output has a comment, and
//! the proxy admits callers that the code then refuses. The rules match a path as the router does: if two routes match,
//! the narrower route decides. A request that the table does not list is denied. axum also answers `HEAD` on a route
//! for `GET`: list `HEAD` if the mesh must allow it.
//!
//! ```
//! use service_only::{Policy, routes::{Access, Route, RouteTable}};
//! use service_only_export as export;
//!
//! const ORCHESTRATOR: Policy<'static> = Policy::any_service().services(&["orchestrator"]);
//! let table = RouteTable::new("orders")
//!     .route(Route::new(["DELETE"], "/tenants/{id}", Access::from(&ORCHESTRATOR)));
//!
//! assert!(export::markdown(&table).contains("| `DELETE` | `/tenants/{id}` |"));
//!
//! let mesh = export::MeshOptions::with_jwks_uri("bakery-auth", "https://auth.example/jwks.json")?
//!     .namespace("bakery");
//! assert!(export::istio(&table, &mesh)?.contains("- cluster.local/ns/bakery/sa/orchestrator"));
//! # Ok::<(), export::ExportError>(())
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `utoipa` | `GuardedHandlers` and `GuardedRoutes`, which add who may call to a document of utoipa |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod envoy;
mod error;
mod istio;
mod markdown;
mod mermaid;
mod openapi;
mod options;
mod plan;
mod template;
#[cfg(feature = "utoipa")]
mod utoipa_modify;
mod yaml;

#[cfg(feature = "utoipa")]
pub use self::utoipa_modify::{GuardedHandlers, GuardedRoutes};
pub use self::{
    envoy::{ENVOY_VERSION, envoy},
    error::{ExportError, MeshOption},
    istio::{ISTIO_VERSION, istio},
    markdown::markdown,
    mermaid::mermaid,
    openapi::openapi,
    options::MeshOptions,
};

/// Writes a string as a YAML value that every reader reads as this string. It adds quotes if YAML 1.1, which
/// kubectl and PyYAML read, or YAML 1.2 could read it as a number, a date, a boolean or null.
///
/// ```
/// use service_only_export::yaml_text;
///
/// assert_eq!(yaml_text("bakery"), "bakery");
/// assert_eq!(yaml_text("no"), r#""no""#);
/// assert_eq!(yaml_text("1e3"), r#""1e3""#);
/// ```
pub fn yaml_text(text: &str) -> String {
    yaml::text(text)
}

//! The twelve services of the bakery platform and the tables of each.
//!
//! It is the only list of what a tenant deletion must cover: routers, gateway, orchestrator and manifests are
//! created from it or tested against it. Tables are in the order in which rows are created, parents first. A
//! deletion uses the reverse order, so that no foreign key breaks.

use std::fmt;
use std::str::FromStr;

/// One service of the platform.
#[derive(Debug)]
pub struct Service {
    /// Its name in paths, tokens, manifests and the audit trail.
    pub name: &'static str,
    /// Its tables with records of a tenant, parents before children.
    pub tables: &'static [&'static str],
    /// The SQL that creates its database.
    pub schema: &'static str,
    /// The SQL that fills its database with the demonstration's tenants.
    pub seed: &'static str,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A name that is not one of the twelve.
#[derive(Debug, thiserror::Error)]
#[error("unknown service `{0}`; the services are {names}", names = names().collect::<Vec<_>>().join(", "))]
pub struct UnknownService(String);

impl FromStr for &'static Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        find(name).ok_or_else(|| UnknownService(name.to_owned()))
    }
}

/// The service with that name, compared exactly.
pub fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// The names of all services, in the order of [`SERVICES`].
pub fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.name)
}

macro_rules! service {
    ($name:literal: $($table:literal),+) => {
        Service {
            name: $name,
            tables: &[$($table),+],
            schema: include_str!(concat!("../schema/", $name, ".sql")),
            seed: include_str!(concat!("../seed/", $name, ".sql")),
        }
    };
}

/// All services that have records of tenants.
pub static SERVICES: [Service; 12] = [
    service!("orders": "customers", "customer_contacts", "orders", "order_items", "order_status_history"),
    service!("inventory": "ingredients", "stock_lots", "stock_movements", "temperature_logs"),
    service!("recipes": "recipes", "recipe_ingredients", "recipe_steps", "recipe_costs"),
    service!("sales": "products", "import_jobs", "import_errors", "daily_sales"),
    service!("production": "equipment", "schedules", "batches", "quality_checks"),
    service!("suppliers": "suppliers", "price_list_entries", "purchase_orders", "purchase_order_items", "deliveries"),
    service!("pos": "terminals", "transactions", "transaction_items", "webhook_events"),
    service!("external": "locations", "weather_observations", "traffic_counts", "nearby_events"),
    service!("forecasting": "forecast_runs", "forecasts", "forecast_accuracy", "prediction_cache"),
    service!("training": "models", "training_jobs", "training_metrics", "model_artifacts"),
    service!("alert-processor": "alert_rules", "alerts", "acknowledgements", "escalations"),
    service!("notification": "templates", "preferences", "notifications", "delivery_attempts"),
];

/// The only service that may ask the others to delete a tenant.
pub const ORCHESTRATOR: &str = "tenant-deletion-orchestrator";

/// The scope that its token needs to delete; a preview does not need it.
pub const DELETE_SCOPE: &str = "tenants:delete";

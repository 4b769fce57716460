//! A table of classes by endpoints: the answer to each attack.

use std::fmt;

use super::{
    judge::{Control, Outcome},
    report::AttackReport,
};
use crate::fixture::Defect;

impl AttackReport {
    /// The table of classes by endpoints, for a snapshot.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self)
    }
}

/// A table of classes and endpoints, for a snapshot. Each cell has a mark and a status:
///
/// - `401` for the required refusal,
/// - `tls` for a connection that was refused as required,
/// - `~` before another refusal,
/// - `!` before an accepted attack,
/// - `#` before a failure of the service,
/// - `?` before an inconclusive answer,
/// - `-` for an attack that was not sent.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, routing::get};
/// # use http::Method;
/// # use service_only::service_only;
/// # use service_only_testkit::{TestAuthority, attack};
/// # #[service_only(services("orders"))] async fn stock() {}
/// # let authority = TestAuthority::new();
/// # let app = Router::new().route("/stock", get(stock)).with_state(authority.verifier());
/// let caller = authority.service("orders");
/// let report = attack(app).as_caller(caller).endpoint(Method::GET, "/stock").report().await;
/// let matrix = report.matrix().to_string();
/// assert!(matrix.starts_with("1  GET /stock\n"));
/// assert!(matrix.lines().any(|line| line.ends_with("wrong_key                            401")));
/// # }
/// ```
#[derive(Debug, Copy, Clone)]
pub struct Matrix<'r>(&'r AttackReport);

impl<'r> Matrix<'r> {
    pub(crate) fn new(report: &'r AttackReport) -> Self {
        Self(report)
    }
}

impl fmt::Display for Matrix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.0.endpoints();
        for (number, endpoint) in endpoints.iter().enumerate() {
            writeln!(f, "{}  {} {}", number + 1, endpoint.method(), endpoint.target())?;
        }
        let row = |f: &mut fmt::Formatter<'_>, family: &str, name: &str, cells: Vec<String>| {
            let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:<4}")).collect();
            writeln!(f, "{}", format!("{family:<12} {name:<36} {}", cells.join(" ")).trim_end())
        };
        row(f, "family", "class", (1..=endpoints.len()).map(|number| number.to_string()).collect())?;
        let controls = endpoints.iter().map(|endpoint| match endpoint.control() {
            Control::Passes(status) => status.as_str().to_owned(),
            Control::ProvesNothing(_) | Control::Unreachable(_) => "?".to_owned(),
        });
        row(f, "control", "valid", controls.collect())?;
        for defect in Defect::ALL {
            let cells = endpoints.iter().map(|endpoint| cell(endpoint.outcome(*defect)));
            row(f, defect.family(), defect.name(), cells.collect())?;
        }
        Ok(())
    }
}

/// The mark, and the status if there is one.
pub(crate) fn cell(outcome: Option<&Outcome>) -> String {
    let status = |mark: &str, said: &str| {
        let digits: String = said.chars().take(3).filter(char::is_ascii_digit).collect();
        format!("{mark}{digits}")
    };
    match outcome {
        Some(Outcome::Met(met)) => met.as_str().to_owned(),
        Some(Outcome::TurnedAway(_)) => "tls".to_owned(),
        Some(Outcome::Refused(said)) => status("~", said),
        Some(Outcome::GotIn(said)) => status("!", said),
        Some(Outcome::Broke(said)) => status("#", said),
        Some(Outcome::NoConclusion(said)) => status("?", said),
        Some(Outcome::NotSent(_)) | None => "-".to_owned(),
    }
}

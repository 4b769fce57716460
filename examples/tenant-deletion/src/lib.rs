//! The bakery platform's tenant deletion: twelve guarded services, a gateway in front of them and an
//! orchestrator that may call them. The README of this crate has an overview.

pub mod audit_table;
pub mod authority;
pub mod catalogue;
pub mod certificates;
pub mod cli;
pub mod demo;
pub mod gateway;
pub mod orchestrator;
mod problem;
pub mod process;
pub mod serve;
pub mod service;
pub mod store;
pub mod tenant;
pub mod terminal;
pub mod tls;

//! The library: its handlers have the names, places and policies of those of the binary.

pub mod payroll;

/// A module of this name is also in the binary.
pub mod shared {
    use service_only::service_only;

    /// Of the library.
    #[service_only(services("accounting"))]
    pub async fn list() -> &'static str {
        module_path!()
    }
}

/// Handlers in a file that both crates include.
pub mod included {
    include!("handlers.rs");
}

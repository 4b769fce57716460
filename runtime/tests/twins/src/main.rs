//! The binary. It has the crate name of the library.

#[allow(unreachable_pub, reason = "it is like the file of the library, line by line")]
mod reports;

/// A module of this name is also in the library.
mod shared {
    use service_only::service_only;

    /// Of the binary.
    #[service_only(services("accounting"))]
    pub(crate) async fn list() -> &'static str {
        module_path!()
    }
}

/// The file of the library's handlers, in a module of another name.
#[allow(unreachable_pub, reason = "the file is also included by the library")]
mod own {
    include!("handlers.rs");
}

/// Several handlers at one place.
macro_rules! modules {
    ($($module:ident)*) => { $(
        mod $module {
            #[service_only::service_only(services("accounting"))]
            pub(crate) async fn list() -> &'static str {
                module_path!()
            }

            pub(crate) struct Generic;

            impl Generic {
                #[service_only::service_only(services("accounting"))]
                pub(crate) async fn generic<T: Send + Sync + 'static>() -> &'static str {
                    std::any::type_name::<T>()
                }
            }
        }
    )* };
}

modules! { first second }

fn main() {
    let _ = router();
}

fn router() -> axum::Router<service_only::Verifier> {
    use axum::routing::get;
    axum::Router::new()
        .route("/twins::payroll::list", get(twins::payroll::list))
        .route("/twins::reports::list", get(reports::list))
        .route("/twins::shared::list", get(twins::shared::list))
        .route("/twins::shared::list/of/the/binary", get(shared::list))
        .route("/twins::included::list", get(twins::included::list))
        .route("/twins::own::list", get(own::list))
        .route("/twins::first::list", get(first::list))
        .route("/twins::second::list", get(second::list))
        .route("/twins::first::generic", get(first::Generic::generic::<u8>))
        .route("/twins::second::generic", get(second::Generic::generic::<u8>))
        .route("/twins::second::generic/of/text", get(second::Generic::generic::<String>))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use service_only::routes::{endpoints, guarded};
    use service_only_testkit::{TestAuthority, assert_allowed, call};

    use super::*;

    #[tokio::test]
    async fn a_record_names_the_handler_that_was_called() {
        let authority = TestAuthority::new();
        let app = call(router().with_state(authority.verifier())).audit(authority.audit());
        for path in [
            "/twins::payroll::list",
            "/twins::reports::list",
            "/twins::shared::list",
            "/twins::shared::list/of/the/binary",
            "/twins::included::list",
            "/twins::own::list",
            "/twins::first::list",
            "/twins::second::list",
            "/twins::first::generic",
            "/twins::second::generic",
            "/twins::second::generic/of/text",
        ] {
            authority.audit().clear();
            assert_allowed!(app.get(path).bearer(authority.service("accounting").token()).await);
            let recorded = authority.audit().only().endpoint.unwrap().to_string();
            assert_eq!(path.split('/').nth(1), Some(recorded.as_str()), "{path}");
        }
    }

    #[test]
    fn handlers_of_two_crates_of_one_name_are_in_the_files_that_they_are_written_in() {
        let file = |endpoint: &service_only::routes::GuardedEndpoint| {
            endpoint.endpoint().file().rsplit('/').next().unwrap().to_owned()
        };
        assert_eq!(file(&guarded(twins::shared::list)), "lib.rs");
        assert_eq!(file(&guarded(shared::list)), "main.rs");
        assert_eq!(file(&guarded(twins::payroll::list)), "payroll.rs");
        assert_eq!(file(&guarded(reports::list)), "reports.rs");
    }

    #[test]
    fn every_handler_of_the_program_is_listed() {
        let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().to_string()).collect();
        let expected = [
            "twins::first::generic",
            "twins::first::list",
            "twins::included::list",
            "twins::own::list",
            "twins::payroll::list",
            "twins::reports::list",
            "twins::second::generic",
            "twins::second::list",
            "twins::shared::list",
            "twins::shared::list",
        ];
        assert_eq!(names, expected);
    }
}

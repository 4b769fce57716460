//! In modules, in functions and in blocks within them.

use service_only::routes::endpoints;

mod a {
    pub mod b {
        use service_only::service_only;

        #[service_only]
        pub(in crate::a) async fn list() {}

        pub struct Handlers;

        impl Handlers {
            #[service_only]
            pub async fn list() {}
        }
    }

    pub fn names() -> usize {
        let _ = b::list;
        1
    }
}

fn within() {
    use service_only::service_only;

    #[service_only]
    async fn nested() {}

    struct Local;

    #[service_only]
    impl Local {
        async fn list() {}
    }

    let _ = (nested, Local::list);
}

fn main() {
    within();
    let _ = (a::names(), a::b::Handlers::list);
    let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().to_string()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().any(|name| name.ends_with("Local::list")), "{names:?}");
}

//! The functions that a closed router accepts: their first argument declares who may call.

#![expect(unnameable_types, reason = "sealed: no other crate can implement or name them")]

#[cfg(feature = "tower")]
use crate::integration::ServiceOnly;
use crate::{
    guard::{Guard, Public, StaticPolicy, StaticReason},
    policy::Endpoint,
    routes::Access,
};

/// A function with `#[service_only]` or `#[public]` above it. A closed router accepts nothing else.
///
/// The attribute adds a first argument to the signature, and this trait reads who may call from its
/// type. `T` is the type of the arguments, as in axum's `Handler`. Only this module implements the trait. Other
/// handlers of axum lack that argument, so they are refused: a text, a status, a service, a handler behind its
/// own layer, and a type that implements axum's `Handler`.
///
/// ```compile_fail,E0277
/// # use service_only::{ClosedRouter, closed::get};
/// async fn stock() -> &'static str {
///     "12 loaves"
/// }
///
/// // `stock` is neither guarded nor public
/// let router: ClosedRouter = ClosedRouter::new().route("/stock", get(stock));
/// ```
///
/// A closure cannot have an attribute, and a text is not a function:
///
/// ```compile_fail,E0277
/// # use service_only::{ClosedRouter, closed::get};
/// let router: ClosedRouter = ClosedRouter::new().route("/stock", get(|| async { "12 loaves" }));
/// ```
///
/// ```compile_fail,E0277
/// # use service_only::{ClosedRouter, closed::get};
/// let router: ClosedRouter = ClosedRouter::new().route("/stock", get("12 loaves"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither guarded nor public, so a closed router does not take it",
    label = "this handler does not declare who may call it",
    note = "put `#[service_only(..)]` above the function, or `#[public(reason = \"..\")]` if every client may call it"
)]
pub trait ClosedHandler<T>: Declared<T> {}

/// Seals [`ClosedHandler`], and returns what the table needs to know about the handler.
pub trait Declared<T> {
    #[doc(hidden)]
    fn declaration() -> Declaration;
}

/// A handler and who may call it. A guarded service may lack a name.
#[derive(Debug, Clone)]
pub struct Declaration {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) access: Access,
    /// The path parameters that its policy reads.
    pub(crate) parameters: Vec<&'static str>,
}

/// The first argument of a handler, which declares who may call.
pub trait SaysWho {
    #[doc(hidden)]
    fn declaration() -> Declaration;
}

impl<P: StaticPolicy> SaysWho for Guard<P> {
    fn declaration() -> Declaration {
        Declaration {
            endpoint: Some(P::endpoint()),
            access: Access::from(&P::POLICY),
            parameters: P::POLICY.path_parameters().collect(),
        }
    }
}

impl<R: StaticReason> SaysWho for Public<R> {
    fn declaration() -> Declaration {
        let access = Access::public(R::reason());
        Declaration { endpoint: Some(R::endpoint()), access, parameters: Vec::new() }
    }
}

#[cfg(feature = "tower")]
impl<S> From<&ServiceOnly<S>> for Declaration {
    fn from(service: &ServiceOnly<S>) -> Self {
        let policy = service.policy();
        Self {
            endpoint: service.endpoint().copied(),
            access: Access::from(policy),
            parameters: policy.path_parameters().collect(),
        }
    }
}

macro_rules! closed_handlers {
    ($($argument:ident)*) => {
        impl<F, R, Via, First, $($argument),*> ClosedHandler<(Via, First, $($argument,)*)> for F
        where
            F: FnOnce(First, $($argument),*) -> R,
            First: SaysWho,
        {
        }

        impl<F, R, Via, First, $($argument),*> Declared<(Via, First, $($argument,)*)> for F
        where
            F: FnOnce(First, $($argument),*) -> R,
            First: SaysWho,
        {
            fn declaration() -> Declaration {
                First::declaration()
            }
        }
    };
}

// axum calls functions of up to 16 arguments, this one included.
closed_handlers!();
closed_handlers!(A);
closed_handlers!(A B);
closed_handlers!(A B C);
closed_handlers!(A B C D);
closed_handlers!(A B C D E);
closed_handlers!(A B C D E G);
closed_handlers!(A B C D E G H);
closed_handlers!(A B C D E G H I);
closed_handlers!(A B C D E G H I J);
closed_handlers!(A B C D E G H I J K);
closed_handlers!(A B C D E G H I J K L);
closed_handlers!(A B C D E G H I J K L M);
closed_handlers!(A B C D E G H I J K L M N);
closed_handlers!(A B C D E G H I J K L M N O);
closed_handlers!(A B C D E G H I J K L M N O P);

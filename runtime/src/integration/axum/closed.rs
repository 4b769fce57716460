//! Routing that takes only handlers that say who may call them. What the type system refuses here, no
//! review has to find.

mod handler;
mod method;
mod router;
mod serve;
mod table;

pub use self::{
    handler::ClosedHandler,
    method::{ClosedMethodRouter, any, connect, delete, get, head, on, options, patch, post, put, trace},
    router::ClosedRouter,
    serve::{ClosedMakeService, ClosedMakeServiceWithConnectInfo},
};

//! Routing that accepts only handlers that declare who may call them. The type system rejects other handlers, so a
//! review does not have to find them.

mod error;
mod handler;
mod method;
mod router;
mod serve;
mod table;

pub use self::{
    error::RouterError,
    handler::ClosedHandler,
    method::{ClosedMethodRouter, any, connect, delete, get, head, on, options, patch, post, put, trace},
    router::{ClosedRouter, metadata_router},
    serve::{ClosedMakeService, ClosedMakeServiceWithConnectInfo},
};

//! Typed paths of axum-extra. `typed_get` and its siblings read the path from the first argument of a handler. That
//! is the guard, which returns the path of the argument after it.

use std::fmt;

use axum_extra::routing::TypedPath;

use crate::{
    __private::{OpenSite, Site},
    guard::{Guard, Public},
};

impl<const HEAD: u128, const KEY: u64, Words, Next: TypedPath> TypedPath
    for Guard<Site<HEAD, KEY, Words, Next>>
{
    const PATH: &'static str = Next::PATH;
}

impl<const HEAD: u128, const KEY: u64, Words, Next: TypedPath> TypedPath
    for Public<OpenSite<HEAD, KEY, Words, Next>>
{
    const PATH: &'static str = Next::PATH;
}

/// A typed path must implement `Display`. A guard has the path of a handler, but no path of a request to print.
impl<P> fmt::Display for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A typed path must implement `Display`.
impl<R> fmt::Display for Public<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

//! Typed paths of axum-extra. `typed_get` and its siblings ask the first argument of a handler for its path. That is
//! the guard, which answers with the path of the argument behind it.

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

/// Required of a typed path. A guard has the path of a handler, and no path of a request to show.
impl<P> fmt::Display for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Required of a typed path.
impl<R> fmt::Display for Public<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

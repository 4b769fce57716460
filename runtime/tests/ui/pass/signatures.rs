//! Receivers, generics, fragments of macros and nested items, in functions and in blocks.

#[path = "../support.rs"]
mod support;

use std::pin::Pin;
use std::sync::Arc;

use service_only::{Caller, Denial, routes::endpoints, service_only};
use support::Request;

struct Orders<T, const N: usize = 3>(T);

#[service_only]
impl<'a, T: Send + Sync, const N: usize> Orders<&'a [T; N], N>
where
    for<'b> &'b T: Send,
    [(); N]: Sized,
{
    const BRACES: usize = { N } + 2;

    async fn by_arc(self: Arc<Self>, _: Request<[u8; { 1 + 1 } + 1]>) -> Result<usize, Denial> {
        Ok(N)
    }

    async fn by_pin(self: Pin<&mut Self>, Request(r#in): Request<u8>) -> Result<u8, Denial> {
        fn nested(n: u8) -> u8 {
            struct Local;
            impl Local {
                fn method(&self, n: u8) -> u8 {
                    n
                }
            }
            Local.method(n)
        }
        Ok(nested(r#in))
    }

    async fn by_reference(self: &Arc<Self>, mut request: Request<u8>) -> Result<u8, Denial> {
        request.0 += 1;
        Ok(request.0)
    }

    /// ```
    /// fn in_a_comment(&self) {
    /// ```
    #[doc = concat!("}", "{")]
    #[deprecated(since = "1", note = "}")]
    #[cfg_attr(all(), must_use)]
    fn r#match<'c, F: Fn(&T) -> bool>(
        &self,
        f: F,
        caller: &'c Caller,
    ) -> Result<impl Fn(&T) -> bool + use<'c, 'a, T, F, N>, Denial>
    where
        F: 'c,
    {
        let _ = caller;
        Ok(move |t: &_| f(t))
    }

    #[allow(clippy::type_complexity)]
    fn diverges(&self, _: &Caller) -> Result<fn(&Self) -> !, Denial> {
        fn never<T>(_: T) -> ! {
            panic!()
        }
        Ok(|orders| never(orders))
    }
}

macro_rules! orders {
    ($vis:vis $ty:ty, $caller:ty, $id:ty, $item:item, $answer:path, $pat:pat_param, $(#[$meta:meta])*) => {
        #[service_only]
        impl $ty {
            $item

            $(#[$meta])*
            $vis fn pieces(&self, $pat: $id, caller: $caller) -> $answer! { $id } {
                let _ = caller;
                Ok(<$id>::default())
            }
        }
    };
}

macro_rules! answer {
    ($ty:ty) => { Result<$ty, Denial> };
}

struct Pieces;

orders!(pub(crate) Pieces, &Caller, u8, async fn item(&self, _: Request<u8>) -> Result<(), Denial> { Ok(()) }, answer, (_), #[inline] #[cfg(all())]);

fn main() {
    let _ = <Orders<&[u8; 3]>>::BRACES;
    let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().function()).collect();
    assert_eq!(
        names,
        [
            "Orders::by_arc",
            "Orders::by_pin",
            "Orders::by_reference",
            "Orders::diverges",
            "Orders::match",
            "Pieces::item",
            "Pieces::pieces",
        ]
    );
}

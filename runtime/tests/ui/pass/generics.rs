//! Type, const and lifetime parameters, and a `where` clause.

use axum::{Router, extract::State, routing::get};
use service_only::{Caller, Denial, Verifier, service_only, claims::ServiceClaims};

trait Store<const N: usize>: Clone + Send + Sync + 'static {}

#[derive(Clone)]
struct Memory(Verifier);

impl Store<3> for Memory {}

impl axum::extract::FromRef<Memory> for Verifier {
    fn from_ref(memory: &Memory) -> Self {
        memory.0.clone()
    }
}

#[service_only]
async fn list<S, const N: usize>(State(_): State<S>)
where
    S: Store<N>,
{
}

#[service_only(roles("admin"))]
fn names<'a, 'b: 'a, T: Fn(&str) -> bool, const N: usize>(
    names: &'a [&'b str; N],
    claims: &'b ServiceClaims,
    is: T,
) -> Result<Vec<&'a str>, Denial>
where
    T: Copy,
{
    Ok(names.iter().copied().chain([claims.service.as_str()]).filter(|name| is(name)).collect())
}

struct Orders<T, const N: usize>([T; N]);

#[service_only]
impl<T: Clone, const N: usize> Orders<T, { N }>
where
    [T; N]: Sized,
{
    fn get<'o>(&'o self, at: usize, _: &Caller) -> Result<Option<&'o T>, Denial> {
        Ok(self.0.get(at))
    }
}

fn main() {
    let _: fn(Memory) -> Router = |memory| Router::new().route("/", get(list::<Memory, 3>)).with_state(memory);
    let _ = names::<fn(&str) -> bool, 2>;
    let _ = Orders([1, 2]).0;
}

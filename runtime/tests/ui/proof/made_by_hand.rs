use service_only::{Caller, private::Guard};

fn guard<P>(caller: Caller) -> Guard<P> {
    Guard { caller, policy: std::marker::PhantomData }
}

fn main() {}

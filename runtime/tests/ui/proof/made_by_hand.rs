use service_only::__private::Guard;

fn guard<P>() -> Guard<P> {
    Guard(std::marker::PhantomData)
}

fn main() {}

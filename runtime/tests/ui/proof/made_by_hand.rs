use service_only::private::Guard;

fn guard<P>() -> Guard<P> {
    Guard(std::marker::PhantomData)
}

fn main() {}

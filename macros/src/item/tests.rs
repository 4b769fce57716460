//! Where a function is cut, and what is told of everything else.

use super::*;
use quote::quote;

fn function(item: TokenStream) -> Function {
    match Item::parse(item) {
        Item::Function(function) => function,
        Item::Block(_) => panic!("found a block"),
        Item::Other(kind) => panic!("found {kind:?}"),
    }
}

fn text(tokens: impl IntoIterator<Item = TokenTree>) -> String {
    tokens.into_iter().collect::<TokenStream>().to_string()
}

#[test]
fn function_is_cut_at_its_argument_list() {
    let function = function(quote! {
        #[doc = "Deletes."]
        #[inline]
        pub(crate) async fn delete(id: Uuid) -> Result<(), Error> { remove(id).await }
    });
    assert_eq!(function.name, "delete");
    assert_eq!(function.qualifiers, ["async"]);
    assert_eq!(function.attributes.len(), 2);
    assert_eq!(
        function.head.to_string(),
        quote!(#[doc = "Deletes."] #[inline] pub(crate) async fn delete).to_string()
    );
    assert_eq!(function.arguments.stream().to_string(), quote!(id: Uuid).to_string());
    assert_eq!(text(function.tail), quote!(-> Result<(), Error> { remove(id).await }).to_string());
}

#[test]
fn parentheses_and_arrows_in_generics_are_not_the_argument_list() {
    let function = function(quote! {
        fn f<F: Fn(A) -> B, G: Into<Vec<Vec<(A, B)>>>, const N: usize>(first: F, second: G) {}
    });
    assert_eq!(text(function.arguments.stream()), quote!(first: F, second: G).to_string());
}

#[test]
fn first_argument_ends_at_the_first_comma_outside_of_brackets() {
    for (arguments, first) in [
        (quote!(), quote!()),
        (quote!(a: A), quote!(a: A)),
        (quote!(a: A, b: B), quote!(a: A)),
        (quote!(a: HashMap<A, B>, c: C), quote!(a: HashMap<A, B>)),
        (quote!(a: impl Fn(A) -> B, c: C), quote!(a: impl Fn(A) -> B)),
        (quote!((a, b): (A, B), c: C), quote!((a, b): (A, B))),
        (quote!(#[allow(unused)] #[x] a: A, b: B), quote!(a: A)),
        (quote!([a, b]: [A; 2], c: C), quote!([a, b]: [A; 2])),
    ] {
        let function = function(quote!(fn f(#arguments) {}));
        assert_eq!(text(function.first_argument().tokens().to_vec()), first.to_string());
    }
}

#[test]
fn body_is_told_from_a_declaration() {
    assert!(
        function(quote!(
            fn f() {}
        ))
        .has_body()
    );
    assert!(
        function(quote!(
            fn f() -> A
            where
                B: C,
            {
            }
        ))
        .has_body()
    );
    assert!(
        !function(quote!(
            fn f() -> A;
        ))
        .has_body()
    );
}

#[test]
fn other_items_are_named_by_their_word() {
    for (item, kind) in [
        ("pub struct S;", "struct"),
        ("enum E {}", "enum"),
        ("#[x] union U { a: u8 }", "union"),
        ("pub(crate) mod m {}", "mod"),
        ("unsafe trait T {}", "trait"),
        ("impl S;", "impl"),
        ("const X: fn() = f;", "const"),
        ("static X: fn() = f;", "static"),
        ("type F = fn();", "type"),
        ("use a::b;", "use"),
        ("extern crate a;", "crate"),
        ("extern \"C\" { fn f(); }", "extern"),
        ("macro_rules! m { () => {} }", "macro_rules"),
    ] {
        match Item::parse(item.parse().expect("tokens")) {
            Item::Other(Some(found)) => assert_eq!(found, kind, "{item}"),
            _ => panic!("{item} was not told by its word"),
        }
    }
}

fn block(item: &str) -> Block {
    match Item::parse(item.parse().expect("tokens")) {
        Item::Block(block) => block,
        _ => panic!("{item} is no block"),
    }
}

#[test]
fn block_is_cut_at_its_members() {
    let block = block(
        r#"#[a] unsafe impl<const N: usize> A<{ N + 1 }> for B<{ N }> where [(); { N }]: C {
            #![allow(unused)] #![b]
            const fn a<T: C<{ 1 }>>(t: [u8; { 2 }]) -> D<{ 3 }> where [(); { N }]: E { 1 < 2 }
            pub(crate) const B: bool = { 1 } < 2;
            const _: () = ();
            type C<T> = fn(T) -> u8;
            async unsafe extern "C" fn d();
            fn e(self) -> impl Fn(u8) -> Vec<Vec<u8>> {}
            m! { a } n::m!(b); #[c] type D = u8;
        }"#,
    );
    let kinds: Vec<_> = block
        .members
        .iter()
        .map(|member| match member {
            Member::Function(function) => function.name.to_string(),
            Member::Value(tokens) => format!("value {}", tokens.to_string().len()),
            Member::Opaque(tokens) => format!("opaque {tokens}"),
        })
        .collect();
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.split_whitespace().next().expect("a word")).collect();
    assert_eq!(kinds, ["a", "value", "value", "value", "d", "e", "opaque", "opaque", "value"]);
    assert!(block.of_a_trait);
    assert_eq!(block.attributes.len(), 1);
}

#[test]
fn block_is_written_as_it_was_read() {
    let written = "# [a] impl A for B { # ! [b] const C : u8 = 1 ; }";
    let block = block(written);
    let member = quote!(
        const C: u8 = 1;
    );
    assert_eq!(
        block.with_members([member]).to_string(),
        written.parse::<TokenStream>().expect("tokens").to_string()
    );
}

#[test]
fn name_of_the_type_is_the_last_of_its_path() {
    for (item, of_a_trait, name) in [
        ("impl Orders {}", false, Some("Orders")),
        ("impl<T> a::Orders<T> where T: B {}", false, Some("Orders")),
        ("impl<'a, T: Fn(&'a u8) -> C<T>> A<T> for b::Orders<'a, T> {}", true, Some("Orders")),
        ("impl !Send for Orders {}", true, Some("Orders")),
        ("impl A for &Orders {}", true, None),
        ("impl A for [Orders] {}", true, None),
        ("impl dyn Orders {}", false, None),
        ("impl A for for<'a> fn(&'a u8) {}", true, None),
    ] {
        let block = block(item);
        assert_eq!(block.of_a_trait, of_a_trait, "{item}");
        assert_eq!(block.ty.map(|name| name.to_string()).as_deref(), name, "{item}");
    }
}

#[test]
fn tokens_that_are_no_item_do_not_panic() {
    for tokens in ["", "#", "pub", "fn", "fn f", "fn f<", "fn f<T>", "fn (a)", "<>", "async", "# [a]", "1"] {
        assert!(matches!(Item::parse(tokens.parse().expect("tokens")), Item::Other(_)), "{tokens}");
    }
}

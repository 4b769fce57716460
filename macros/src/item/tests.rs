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
        assert_eq!(
            text(function.argument_list().first().map_or_else(Vec::new, |first| first.tokens().to_vec())),
            first.to_string()
        );
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
    assert_eq!(kinds(&block), ["a", "value", "value", "value", "d", "e", "opaque", "opaque", "value"]);
    assert!(block.of_a_trait);
    assert_eq!(block.attributes.len(), 1);
}

fn kinds(block: &Block) -> Vec<String> {
    let kind = |member: &Member| match member {
        Member::Function(function) => function.name.to_string(),
        Member::Value(_) => "value".to_owned(),
        Member::Opaque(_) => "opaque".to_owned(),
    };
    block.members.iter().map(kind).collect()
}

/// The tokens of a text, where `~[..]` is a fragment, in the invisible group that a macro by example makes of it.
fn with_fragments(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter();
    let mut seen = Vec::new();
    while let Some(token) = tokens.next() {
        seen.push(match token {
            tilde if is_punct(&tilde, '~') => match tokens.next() {
                Some(TokenTree::Group(group)) => {
                    Group::new(Delimiter::None, with_fragments(group.stream())).into()
                }
                other => panic!("{other:?} is no fragment"),
            },
            TokenTree::Group(group) => with_stream(&group, with_fragments(group.stream())).into(),
            token => token,
        });
    }
    seen.into_iter().collect()
}

fn members(text: &str) -> Vec<String> {
    let members = with_fragments(text.parse().expect("tokens"));
    match Item::parse(quote!(impl A { #members })) {
        Item::Block(block) => kinds(&block),
        _ => panic!("{text} is no block"),
    }
}

#[test]
fn members_are_told_apart_through_the_fragments_of_macros() {
    for (text, kinds) in [
        ("fn a() -> R ~[{ 1 }] fn b() {}", ["a", "b"]),
        ("fn a() -> ~[R] ~[~[{ 1 }]] fn b() {}", ["a", "b"]),
        ("fn a() -> R ~[{ 1 }] const B: u8 = 1;", ["a", "value"]),
        ("~[fn a() -> R { 1 }] fn b() {}", ["a", "b"]),
        ("~[#[c] pub fn a() -> R { 1 }] const B: u8 = 1;", ["a", "value"]),
        ("~[const A: u8 = 1;] fn b() {}", ["value", "b"]),
        ("#[c] ~[pub(crate)] fn a() {} ~[] fn b() {}", ["a", "b"]),
        ("extern ~[\"C\"] fn a() {} ~[pub] const fn b() {}", ["a", "b"]),
        ("~[a]! {} fn b() {}", ["opaque", "b"]),
        ("~[a::c]! (d); fn b() {}", ["opaque", "b"]),
        ("fn a() -> ~[m]! { T } { 1 } fn b() {}", ["a", "b"]),
        ("fn ~[a]() {} fn b() {}", ["a", "b"]),
        ("const A: u8 = ~[{ 1 } + 2] * 2; fn b() {}", ["value", "b"]),
        ("fn a() ~[where T: U { 1 } fn b() {}]", ["a", "b"]),
    ] {
        assert_eq!(members(text), kinds, "{text}");
    }
}

#[test]
fn braces_of_a_macro_in_a_signature_are_no_body() {
    for (text, kinds) in [
        ("fn a() -> m! { T } { 1 } fn b() {}", ["a", "b"]),
        ("fn a() -> n::m! { T } { 1 } fn b() {}", ["a", "b"]),
        ("fn a() -> R where m! { T }: U { 1 } fn b() {}", ["a", "b"]),
        ("fn a() -> V<m! { T }> { 1 } fn b() {}", ["a", "b"]),
        ("fn a() -> m![T] { 1 } fn b() {}", ["a", "b"]),
        ("fn a() -> m! { T } ~[{ 1 }] fn b() {}", ["a", "b"]),
        ("fn a() -> ! { loop {} } fn b() {}", ["a", "b"]),
        ("fn a() -> &'c ! { loop {} } fn b() {}", ["a", "b"]),
        ("fn a() -> &mut ! { loop {} } fn b() {}", ["a", "b"]),
        ("fn a() where F: Fn() -> ! { loop {} } fn b() {}", ["a", "b"]),
    ] {
        assert_eq!(members(text), kinds, "{text}");
    }
}

/// Whatever it is that the walk does not understand, it does not pass for one function or one value.
#[test]
fn member_with_anything_unknown_in_it_is_opaque() {
    for text in [
        "static A: u8 = 1; fn b() {}",
        "unknown fn a() {}",
        "pub unknown const A: u8 = 1;",
        "1 fn a() {}",
        "\"C\" fn a() {}",
        "(crate) fn a() {}",
        "{} fn a() {}",
        "# fn a() {}",
        "<T> type A = u8;",
        "fn a() -> A < B { 1 } fn b() {}",
        "fn a() -> A < B { 1 } m! { b }",
        "fn a()",
        "fn a() -> R",
        "const A: u8 = 1",
        "const A: u8 = 1 fn b() {} const C: u8 = 1;",
        "fn (a) {}",
        "fn <A> (a) {}",
        "fn a ~[()] -> fn() {}",
        "fn ~[a b]() {}",
        "fn a {} ()",
        "pub",
        ";",
    ] {
        let members = members(text);
        assert_eq!(members.first().map(String::as_str), Some("opaque"), "{text}: {members:?}");
    }
}

#[test]
fn constant_keeps_its_fragments_and_its_sense() {
    let value = with_fragments("const A: u8 = ~[{ 1 } + 2] * 2;".parse().expect("tokens"));
    let Item::Block(block) = Item::parse(quote!(impl A { #value })) else { panic!("no block") };
    let [Member::Value(kept)] = block.members.as_slice() else { panic!("no value") };
    let invisible =
        |token: TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::None);
    assert!(kept.clone().into_iter().any(invisible));
}

#[test]
fn body_in_a_fragment_is_a_body() {
    let text = "fn f(caller: &Caller) -> ~[R] ~[{ 1 }]";
    assert!(function(with_fragments(text.parse().expect("tokens"))).has_body());
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

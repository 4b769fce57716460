//! How items and the members of blocks are parsed, also from the fragments of macros by example.

use proc_macro2::Group;

use super::*;
use crate::tokens::{is_punct, with_stream};

fn function(item: TokenStream) -> Function {
    match Item::parse(item) {
        Ok(Item::Function(function)) => *function,
        Ok(Item::Block(_)) => panic!("found a block"),
        Ok(Item::Other(kind)) => panic!("found {kind:?}"),
        Err(error) => panic!("found a mistake: {error}"),
    }
}

fn text(tokens: impl ToTokens) -> String {
    tokens.into_token_stream().to_string()
}

#[test]
fn function_is_attributes_visibility_signature_and_raw_body() {
    let written = quote! {
        #[doc = "Deletes."]
        #[inline]
        pub(crate) async fn delete(id: Uuid) -> Result<(), Error> { remove(id). }
    };
    let function = function(written.clone());
    assert_eq!(function.name(), "delete");
    assert!(function.is_async() && function.has_body());
    assert_eq!(function.attributes.len(), 2);
    assert_eq!(text(function.arguments()), text(quote!(id: Uuid)));
    assert_eq!(text(function), text(written));
}

#[test]
fn parentheses_and_arrows_in_generics_are_not_the_argument_list() {
    let function = function(quote! {
        fn f<F: Fn(A) -> B, G: Into<Vec<Vec<(A, B)>>>, const N: usize>(first: F, second: G) {}
    });
    assert_eq!(text(function.arguments()), text(quote!(first: F, second: G)));
}

#[test]
fn function_has_a_body_and_a_declaration_has_none() {
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
fn other_items_are_named_by_their_keyword() {
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
            Ok(Item::Other(Some(found))) => assert_eq!(found, kind, "{item}"),
            _ => panic!("{item} was not told by its word"),
        }
    }
}

fn block(item: &str) -> Block {
    match Item::parse(item.parse().expect("tokens")) {
        Ok(Item::Block(block)) => *block,
        _ => panic!("{item} is not a block"),
    }
}

#[test]
fn block_is_split_into_its_members() {
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
    assert_eq!(kinds(&block), ["a", "value", "value", "value", "d", "e", "macro", "macro", "value"]);
    assert!(block.is_of_a_trait());
    assert_eq!(block.attributes().count(), 1);
}

fn kinds(block: &Block) -> Vec<String> {
    let kind = |member: &Member| match member {
        Member::Function(function) => function.name().to_string(),
        Member::Value(_) => "value".to_owned(),
        Member::Macro(_) => "macro".to_owned(),
        Member::Unknown(..) => "unknown".to_owned(),
    };
    block.members.iter().map(kind).collect()
}

/// The tokens of a text. `~[..]` becomes an invisible group, as a macro by example passes a fragment.
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
        Ok(Item::Block(block)) => kinds(&block),
        _ => panic!("{text} is not a block"),
    }
}

#[test]
fn members_in_macro_fragments_are_found() {
    for (text, kinds) in [
        ("fn a() -> R ~[{ 1 }] fn b() {}", ["a", "b"]),
        ("fn a() -> ~[R] ~[~[{ 1 }]] fn b() {}", ["a", "b"]),
        ("fn a() -> R ~[{ 1 }] const B: u8 = 1;", ["a", "value"]),
        ("~[fn a() -> R { 1 }] fn b() {}", ["a", "b"]),
        ("~[#[c] pub fn a() -> R { 1 }] const B: u8 = 1;", ["a", "value"]),
        ("~[const A: u8 = 1;] fn b() {}", ["value", "b"]),
        ("#[c] ~[pub(crate)] fn a() {} ~[] fn b() {}", ["a", "b"]),
        ("extern ~[\"C\"] fn a() {} ~[pub] const fn b() {}", ["a", "b"]),
        ("~[a]! {} fn b() {}", ["macro", "b"]),
        ("~[a::c]! (d); fn b() {}", ["macro", "b"]),
        ("fn a() -> ~[m]! { T } { 1 } fn b() {}", ["a", "b"]),
        ("fn a(t: ~[~[n::m]]! { T }) -> V<~[m]![T]> { 1 } fn b() {}", ["a", "b"]),
        ("const A: bool = ~[m] != ~[1 + 1]; fn b() {}", ["value", "b"]),
        ("fn ~[a]() {} fn b() {}", ["a", "b"]),
        ("fn a ~[()] -> fn() {} fn b() {}", ["a", "b"]),
        ("const A: u8 = ~[{ 1 } + 2] * 2; fn b() {}", ["value", "b"]),
        ("fn a() ~[where T: U { 1 } fn b() {}]", ["a", "b"]),
    ] {
        assert_eq!(members(text), kinds, "{text}");
    }
}

#[test]
fn braces_of_a_macro_in_a_signature_are_not_a_body() {
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

#[test]
fn member_with_unknown_syntax_is_never_accepted() {
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
        "fn ~[a b]() {}",
        "fn a {} ()",
        "pub",
        ";",
    ] {
        let members = members(text);
        assert!(
            matches!(members.last().map(String::as_str), Some("unknown" | "macro")),
            "{text}: {members:?}"
        );
    }
}

#[test]
fn constant_keeps_its_macro_fragments() {
    let value = with_fragments("const A: bool = ~[{ 1 } + 2] != 2;".parse().expect("tokens"));
    let Ok(Item::Block(block)) = Item::parse(quote!(impl A { #value })) else { panic!("no block") };
    let [Member::Value(kept)] = block.members.as_slice() else { panic!("no value") };
    let invisible =
        |token: TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::None);
    assert!(kept.clone().into_iter().any(invisible));
}

#[test]
fn body_in_a_macro_fragment_is_found() {
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
        assert_eq!(block.is_of_a_trait(), of_a_trait, "{item}");
        assert_eq!(block.type_name().map(ToString::to_string).as_deref(), name, "{item}");
    }
}

#[test]
fn incomplete_items_do_not_panic() {
    for tokens in ["", "#", "pub", "fn", "fn f", "fn f<", "fn f<T>", "fn (a)", "<>", "async", "# [a]", "1"] {
        assert!(
            matches!(Item::parse(tokens.parse().expect("tokens")), Ok(Item::Other(_)) | Err(_)),
            "{tokens}"
        );
    }
}

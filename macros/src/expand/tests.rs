//! The output of the attributes: a snapshot of each form, and properties of all of them.

use std::panic::catch_unwind;

use proc_macro2::{Delimiter, Group, Literal, TokenTree};
use proptest::prelude::*;

use super::*;
use crate::diagnostics::tests::{mistakes_of_attribute, mistakes_of_item};

fn expand(attribute: &str, item: &str) -> TokenStream {
    service_only(attribute.parse().expect("tokens"), item.parse().expect("tokens"))
}

/// Formatted source. The words of a text are byte strings instead of 39 digits each. Heads, whose key is zero here, show
/// line and age separately.
fn readable(tokens: TokenStream) -> String {
    let file = syn::parse2(with_words_as_text(tokens)).expect("a file");
    prettyplease::unparse(&file)
}

fn with_words_as_text(tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                Group::new(group.delimiter(), with_words_as_text(group.stream())).into()
            }
            TokenTree::Literal(literal) => match literal.to_string().parse::<u128>() {
                Ok(word) if word > u128::from(u64::MAX) => {
                    let text: Vec<u8> = word.to_be_bytes().into_iter().filter(|byte| *byte != 0).collect();
                    Literal::byte_string(&text).into()
                }
                Ok(head) if head > u128::from(u32::MAX) => {
                    let apart = format!("0x{:x}_{:08x}", head >> 32, head as u32);
                    apart.parse::<Literal>().expect("a number").into()
                }
                _ => literal.into(),
            },
            token => token,
        })
        .collect()
}

macro_rules! assert_expansion {
    ($name:literal, $attribute:literal, $item:literal) => {
        assert_expansion!($name, $attribute, $item, |guarded| guarded)
    };
    ($name:literal, $attribute:literal, $item:literal, $around:expr) => {
        let around: fn(TokenStream) -> TokenStream = $around;
        let shown = readable(around(expand($attribute, $item)));
        insta::with_settings!({
            description => format!("#[service_only({})]\n{}", $attribute, $item),
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, {
            insta::assert_snapshot!($name, shown);
        });
    };
}

#[test]
fn guard_is_the_first_argument_of_a_free_function() {
    assert_expansion!("free_function", "", "async fn list() -> Json<Orders> { load().await }");
}

#[test]
fn policy_and_arguments_are_expanded_together() {
    assert_expansion!(
        "policy_and_arguments",
        r#"services("gateway", "billing"), roles("admin"), scopes("tenants:read", "tenants:delete"), max_age = "24h""#,
        "pub async fn delete_tenant(Path(id): Path<Uuid>, caller: Caller) -> Result<Json<Summary>, Error> { delete(id).await }"
    );
}

#[test]
fn reason_is_the_first_argument_of_a_public_function() {
    let reason = r#"reason = "load balancers have no token""#;
    let written = public(
        reason.parse().expect("tokens"),
        quote!(
            async fn healthz() {}
        ),
    );
    insta::with_settings!({
        description => format!("#[public({reason})]\nasync fn healthz() {{}}"),
        omit_expression => true,
        prepend_module_to_snapshot => false,
    }, {
        insta::assert_snapshot!("public_function", readable(written));
    });
}

#[test]
fn guard_of_an_associated_function_adds_no_item() {
    assert_expansion!(
        "function_of_an_impl_block",
        r#"roles("admin")"#,
        "pub(crate) async fn list(State(db): State<Db>) -> Response { db.list().await }",
        |guarded| quote!(impl Handlers { #guarded })
    );
}

#[test]
fn generics_and_where_clause_are_unchanged() {
    assert_expansion!(
        "generics",
        "",
        "async fn list<S, F: Fn(u8) -> bool, const N: usize>(State(s): State<S>, f: F) -> impl IntoResponse where S: Store<N> + Clone { s.list(f) }"
    );
}

#[test]
fn lifetimes_and_impl_trait_are_unchanged() {
    assert_expansion!(
        "lifetimes",
        "",
        "fn find<'a, 'b: 'a>(names: &'a [&'b str], is: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'b str> + 'a { names.iter().copied().filter(move |n| is(n)) }"
    );
}

#[test]
fn attributes_stay_in_place_and_order() {
    assert_expansion!(
        "attributes",
        "",
        "/// Lists the orders.\n#[cfg_attr(test, inline)]\n#[instrument(skip_all)]\nasync fn list(#[allow(unused)] first: First, #[cfg(test)] second: Second) {}"
    );
}

#[test]
fn raw_identifier_is_written_as_text_without_its_prefix() {
    assert_expansion!("raw_identifier", "", "async fn r#type(r#in: In) {}");
}

#[test]
fn path_of_the_crate_replaces_its_name() {
    assert_expansion!(
        "path_of_the_crate",
        r#"services("a"), crate = my_platform::service_only"#,
        "async fn list() {}"
    );
}

#[test]
fn long_names_nest() {
    assert_expansion!(
        "long_names",
        r#"services("reconciliation-of-the-northern-region", "reconciliation-of-the-southern-region")"#,
        "async fn reconcile_the_ledgers_of_all_regions_after_the_nightly_import_has_finished() {}"
    );
}

#[test]
fn caller_argument_is_checked_before_the_body() {
    assert_expansion!(
        "given_a_caller",
        r#"scopes("tenants:delete")"#,
        "pub fn delete(&self, id: Id, caller: &Caller) -> Result<(), Error> { #![allow(unused)] self.remove(id) }"
    );
}

#[test]
fn pattern_of_the_checked_argument_is_destructured_after_the_check() {
    assert_expansion!(
        "given_claims_taken_apart",
        "",
        "async fn delete<'a>(#[allow(unused)] ServiceClaims { sub, .. }: &'a ServiceClaims) -> Result<&'a str, Denial> { Ok(sub) }"
    );
}

#[test]
fn each_method_of_a_block_is_guarded() {
    assert_expansion!(
        "block_of_a_type",
        r#"roles("admin")"#,
        r#"impl<T: Store> Orders<T> {
            const MOST: usize = 7;
            /// For axum.
            pub async fn list(State(db): State<Db>) -> Response { db.list().await }
            #[instrument(skip(self, request))]
            #[service_only(scopes("orders:write"))]
            async fn write(&self, mut request: Request<Order>, again: bool) -> Result<Response<()>, Status> { self.0.write(request) }
            fn delete(&self, id: Id, caller: &Caller) -> Result<(), Denial> { self.0.delete(id) }
            #[public(reason = "it tells nothing")]
            fn count(&self) -> usize { self.0.count() }
            #[public(reason = "load balancers have no token")]
            async fn healthz() {}
        }"#
    );
}

/// `Err(name)` compares with a constant of that name. `Err(name @ _)` never does.
#[test]
fn no_constant_turns_an_inserted_binding_into_a_comparison() {
    for item in [
        "fn f(_: &Caller) -> Result<(), Denial> { Ok(()) }",
        "impl A { async fn f(&self, _: Request<()>) -> Result<(), Status> { Ok(()) } }",
    ] {
        let written = expand("", item).to_string();
        let patterns: Vec<_> = written.split(":: result :: Result :: ").skip(1).collect();
        assert!(!patterns.is_empty(), "{item}");
        for pattern in patterns {
            let (within, _) = pattern.split_once(')').expect("a pattern");
            assert!(within.ends_with("@ _"), "{within}");
        }
    }
}

/// Syntax in which a parser could lose a method or find the wrong end of one. Each method is guarded, or the block has a
/// mistake.
#[test]
fn every_syntax_of_a_method_is_guarded() {
    for method in [
        "async fn f(&self, request: R) -> S { request. }",
        "async fn f(self: Arc<Self>, request: R) -> S {}",
        "async fn f(self: &Arc<Self>, request: R) -> S {}",
        "async fn f(mut self: Pin<&mut Self>, R { a, .. }: R<'_>,) -> S {}",
        "pub(in a::b) async fn r#fn(&self, r#in: R) {}",
        "/// fn g(&self) {}\n#[doc = \"} fn g(&self) {\"] #[cfg(a)] pub fn f(&self, caller: &Caller) {}",
        "#[cfg_attr(a, b)] #[instrument(skip(self))] fn f(&self, #[cfg(a)] id: Id, caller: &Caller) {}",
        "fn f<'a, T: for<'b> Fn(&'b T) -> A, const N: usize>(&'a self, c: &'a Caller) -> [u8; N] where [(); { N }]: B {}",
        "fn f<F: Fn(A) -> B>(self, f: F, c: &Caller) -> impl Fn(A) -> B + use<'_, F> {}",
        "fn f(&self, c: &Caller) -> D<{ fn g() {} 3 }> { fn g(&self) {} impl A { fn h(&self) {} } }",
        "fn f(&self, c: &Caller) -> fn(&self) -> ! { async move { async fn g() {} } }",
        "fn f(&self, c: &Caller) -> m! { fn g() {} } {}",
        "fn f(&self, c: &Caller) -> Vec<Vec<u8>> where m! { T }: U, for<'a> &'a A: B {}",
        "fn f(#[a] &self, #[b] #[c] c: &r#Caller) -> (A, [B; 2]) {}",
        "async fn f(r: R) -> S {}",
        "async fn f() {}",
        "fn f(&self) {}",
        "async fn f(&self) {}",
        "fn f(&self, request: R) {}",
        "async fn f(&self, #[cfg(a)] request: R) {}",
        "const fn f(&self, c: &Caller) {}",
        "async unsafe extern \"C\" fn f(&self, c: &Caller) {}",
        "default fn f(&self, c: &Caller) {}",
        "safe fn f(&self, c: &Caller) {}",
        "fn f(&self, c: &Caller);",
        "fn f(&self, c: &Caller) -> A < B {}",
        "fn f(&self, c: &Caller, ...) {}",
        "const A: u8 = 1 fn f(&self, c: &Caller) {}",
        "const A: u8; fn f(&self, c: &Caller) {}",
        "const A: fn() = || { fn f(&self) {} };",
        "type F = fn(&self); fn f(&self, c: &Caller) {}",
        "macro_rules! f { () => { fn f(&self) {} } }",
        "fn!{} fn f(&self, c: &Caller) {}",
    ] {
        let invisible = |text: &str| {
            TokenTree::Group(Group::new(Delimiter::None, text.parse().expect("tokens"))).to_token_stream()
        };
        let last: TokenStream = "fn z(&self, c: &Caller) {}".parse().expect("tokens");
        let (visible, invisible) = (method.parse().expect("tokens"), invisible(method));
        for tokens in [visible, invisible] {
            let expanded = service_only(TokenStream::new(), quote!(impl A { #tokens #last })).to_string();
            let methods = if method.starts_with("const A: fn()") { 1 } else { 2 };
            let guards = [":: check :: <", ":: admit :: <", "(__service_only_guard) :"];
            let guards: usize = guards.iter().map(|guard| expanded.matches(guard).count()).sum();
            assert!(guards == methods || expanded.contains("compile_error"), "{method}\n{expanded}");
        }
    }
}

#[test]
fn requests_of_a_trait_are_checked_by_a_statement() {
    assert_expansion!(
        "block_of_a_trait",
        r#"services("gateway"), crate = platform::service_only"#,
        r#"#[tonic::async_trait]
        impl pb::orders_server::Orders for r#type::r#Orders {
            type Stream = Boxed;
            async fn list(&self, _: Request<()>) -> Result<Response<List>, Status> { self.list().await }
            async fn take(self: Arc<Self>, #[allow(unused)] Extracted { id, .. }: Extracted<'_, Id>,) -> Result<(), Status> { #![allow(unused)] drop(id) }
        }"#
    );
}

#[test]
fn block_with_mistakes_loses_the_attributes_of_its_methods() {
    assert_expansion!(
        "block_with_mistakes",
        "",
        r#"#[async_trait]
        impl Orders {
            #![allow(unused)]
            #[instrument]
            #[service_only(roles("admin"))]
            async fn list(&self, request: Request<()>) -> Result<(), Status> { list(request).await }
            #[public(reason = "a")]
            fn count(&self) {}
            fn bad(&self) {}
        }"#
    );
}

#[test]
fn mistakes_follow_the_unchanged_item() {
    assert_expansion!(
        "mistakes",
        r#"scope("a"), services()"#,
        "/// Lists.\n#[inline]\npub const fn list(id: Id) -> u8 { 1 }"
    );
}

#[test]
fn line_is_that_of_the_function_name() {
    let guarded = expand("", "#[inline]\n/// Lists.\npub async\nfn list() {}").to_string();
    assert!(guarded.contains(&head(4, u32::MAX)), "{guarded}");
}

#[test]
fn age_is_written_in_seconds_and_no_age_as_the_maximum() {
    let item = "fn list() {}";
    assert!(expand(r#"max_age = "24h""#, item).to_string().contains(&head(1, 86_400)));
    assert!(expand("", item).to_string().contains(&head(1, u32::MAX)));
}

/// The first const argument of a site. In these tests its seed is zero.
fn head(line: u64, max_age: u32) -> String {
    format!("Site < {} ,", line << 32 | u64::from(max_age))
}

#[test]
fn empty_parentheses_equal_no_parentheses() {
    let item = "fn list() {}";
    assert_eq!(expand("", item).to_string(), expand(" ", item).to_string());
}

/// Guarding adds an argument in front and a statement to the body, and changes no other token. A function with
/// further attributes also gets the seal as its last one.
#[test]
fn everything_but_the_argument_and_the_statement_is_the_same_tokens() {
    for item in GOOD_ITEMS {
        let written: TokenStream = item.parse().expect("tokens");
        let guarded = without_seal(service_only(TokenStream::new(), written.clone()));
        let mut added = Vec::new();
        for (before, after) in written.into_iter().zip(guarded) {
            let (before_words, after_words) = (words(before.clone().into()), words(after.clone().into()));
            match (&before, &after) {
                (TokenTree::Group(before), TokenTree::Group(after)) if before_words != after_words => {
                    let own = words(before.stream());
                    assert!(words(after.stream()).ends_with(&own), "{after}");
                    added.push(after.stream().to_string());
                }
                _ => assert_eq!(before_words, after_words),
            }
        }
        let [argument, body] = added.as_slice() else { panic!("{item}: {added:?}") };
        assert!(
            argument.starts_with("(__service_only_guard) : :: service_only :: __private :: Guard <"),
            "{argument}"
        );
        assert!(body.contains("let _ : & :: service_only :: __private :: Guard <"), "{body}");
        assert!(body.contains("= & __service_only_guard ;"), "{body}");
    }
}

/// The tokens as text, one by one, without the spaces between them.
fn words(tokens: TokenStream) -> Vec<String> {
    let of_token = |token: TokenTree| match token {
        TokenTree::Group(group) => {
            let delimiter = format!("{:?}", group.delimiter());
            let inner = words(group.stream());
            std::iter::once(delimiter.clone()).chain(inner).chain([delimiter]).collect()
        }
        token => vec![token.to_string()],
    };
    tokens.into_iter().flat_map(of_token).collect()
}

fn without_seal(item: TokenStream) -> TokenStream {
    let mut tokens: Vec<_> = item.into_iter().collect();
    let is_seal =
        |token: &TokenTree| token.to_string().replace(' ', "") == "[::service_only::__private::sealed]";
    if let Some(at) = tokens.iter().position(is_seal) {
        tokens.drain(at - 1..=at);
    }
    tokens.into_iter().collect()
}

/// A sealed function has its statement in the macro `unsealed!` and the seal as its last attribute.
#[test]
fn function_that_other_attributes_may_rewrite_is_sealed() {
    let sealed = |item: &str| {
        let text = expand("", item).to_string();
        (text.contains("unsealed ! {"), text.contains("# [:: service_only :: __private :: sealed]"))
    };
    for item in [
        "fn list(id: Id) {}",
        "/// Lists.\n#[inline] #[must_use] #[cfg(unix)] fn list(id: Id) {}",
        "impl Lists { #[inline] async fn list() {} }",
    ] {
        assert_eq!(sealed(item), (false, false), "{item}");
    }
    for item in [
        "#[instrument] fn list() {}",
        "#[cfg_attr(test, more)] fn list() {}",
        "#[my::inline] fn list() {}",
        "impl Lists { #[instrument] async fn list() {} }",
        "#[changed] impl Lists { async fn list() {} }",
    ] {
        assert_eq!(sealed(item), (true, true), "{item}");
    }
    let last = expand("", "#[first] #[second(\"a\")] pub(crate) async fn list() {}").to_string();
    assert!(
        last.starts_with("# [first] # [second (\"a\")] # [:: service_only :: __private :: sealed] pub"),
        "{last}"
    );
}

/// Expands the seal of a guarded function that another attribute, `change`, has rewritten.
fn seal_after(change: impl FnOnce(String) -> String) -> String {
    let guarded = expand("", "#[changed] async fn list(id: Id) { load(id) }").to_string();
    sealed(change(guarded).parse().expect("tokens")).to_string()
}

#[test]
fn seal_releases_the_statement_in_a_moved_body() {
    let released = seal_after(|guarded| guarded);
    assert!(!released.contains("unsealed"), "{released}");
    assert!(released.contains("{ let _ : & :: service_only :: __private :: Guard <"), "{released}");
    let nested = seal_after(|guarded| {
        guarded.replacen(
            "{ :: service_only :: __private :: unsealed",
            "{ async move { || { #![allow(unused)] :: service_only :: __private :: unsealed",
            1,
        ) + "}}"
    });
    assert!(!nested.contains("unsealed"), "{nested}");
    assert!(nested.contains("[allow (unused)] let _ : &"), "{nested}");
}

#[test]
fn seal_refuses_a_guard_that_is_not_the_first_argument() {
    for first in [
        "early: Json<Order> ,",
        "self ,",
        "& self ,",
        "_ : Public < () > ,",
        "early: Guard<Lock> ,",
        "_: axum::Guard<u8> ,",
    ] {
        let refused = seal_after(|guarded| {
            guarded.replacen('(', "( ", 1).replacen("list (", &format!("list ({first}"), 1)
        });
        assert!(refused.contains("compile_error"), "{first}: {refused}");
        assert!(!refused.contains("unsealed") && !refused.contains("= & __service_only_guard"), "{refused}");
    }
}

#[test]
fn seal_ignores_an_item_that_is_not_a_function() {
    let item =
        "struct List { a: u8 } impl List { fn a() { :: service_only :: __private :: unsealed ! { 7 } } }";
    assert!(sealed(item.parse().expect("tokens")).to_string().contains("unsealed ! { 7 }"));
}

#[test]
fn checked_body_keeps_its_tokens_and_spans() {
    for item in CHECKED_ITEMS {
        let written: TokenStream = item.parse().expect("tokens");
        let guarded = service_only(TokenStream::new(), written.clone());
        let (before, after) = (body(written), body(guarded));
        let of_attribute = |token: &str| token == "#" || token == "!" || token.starts_with('[');
        let inner = before.iter().take_while(|(token, _)| of_attribute(token)).count();
        assert!(after.starts_with(&before[..inner]), "{item}");
        assert!(after.ends_with(&before[inner..]), "{item}");
        assert!(after.len() > before.len(), "{item}");
    }
}

#[test]
fn bodies_of_a_block_keep_their_tokens_and_spans() {
    for method in [
        "async fn f(&self, Request(r): Request<R>) -> Result<(), E> { self.f(r) }",
        "fn f(&self, _: &Caller) -> Result<(), E> { self.f(7)?; Ok(()) }",
        "async fn f(r: R) -> S { r.s() }",
        "#[service_only(roles(\"a\"))] async fn f(self, mut request: R) -> Result<(), E> { request. }",
        "#[public(reason = \"a\")] fn f(&self) -> u8 { 7 }",
    ] {
        let written: TokenStream = format!("impl A {{ {method} }}").parse().expect("tokens");
        let guarded = service_only(TokenStream::new(), written.clone());
        let only_method = |block: TokenStream| match block.into_iter().last() {
            Some(TokenTree::Group(members)) => body(members.stream()),
            other => panic!("{other:?} is no block"),
        };
        assert!(only_method(guarded).ends_with(&only_method(written)), "{method}");
    }
}

/// The tokens of the last group with their spans.
fn body(tokens: TokenStream) -> Vec<(String, String)> {
    match tokens.into_iter().last() {
        Some(TokenTree::Group(body)) => body
            .stream()
            .into_iter()
            .map(|token| (token.to_string(), format!("{:?}", token.span())))
            .collect(),
        other => panic!("{other:?} is no body"),
    }
}

#[test]
fn bad_attribute_leaves_the_item_unchanged_and_reports_each_mistake_once() {
    for attribute in BAD_ATTRIBUTES {
        for item in GOOD_ITEMS.iter().chain(CHECKED_ITEMS) {
            assert_unchanged(attribute, item, mistakes_of_attribute(attribute).len());
        }
    }
}

#[test]
fn bad_item_is_unchanged_and_each_mistake_is_reported_once() {
    for item in BAD_ITEMS {
        assert_unchanged(r#"services("a")"#, item, mistakes_of_item(item).len());
    }
}

#[test]
fn mistakes_of_attribute_and_item_are_reported_together() {
    for attribute in BAD_ATTRIBUTES {
        for item in BAD_ITEMS {
            let count = mistakes_of_attribute(attribute).len() + mistakes_of_item(item).len();
            assert_unchanged(attribute, item, count);
        }
    }
}

fn assert_unchanged(attribute: &str, item: &str, mistakes: usize) {
    assert!(mistakes > 0, "{attribute} on {item}");
    let written: TokenStream = item.parse().expect("tokens");
    let count = written.clone().into_iter().count();
    let mut expanded = expand(attribute, item).into_iter();
    let kept: TokenStream = expanded.by_ref().take(count).collect();
    assert_eq!(words(kept), words(written));
    let errors = expanded.collect::<TokenStream>().to_string();
    assert_eq!(errors.matches(":: core :: compile_error !").count(), mistakes, "{errors}");
}

fn service_only(attribute: TokenStream, item: TokenStream) -> TokenStream {
    guard(Attribute::ServiceOnly, attribute, item)
}

const BAD_ATTRIBUTES: &[&str] = &[
    r#"scope("a")"#,
    r#"services()"#,
    r#"services("a", "a")"#,
    r#"services("a b")"#,
    r#"services = "a""#,
    r#"services(a), roles(1)"#,
    r#"scopes("a"), scopes("b")"#,
    r#"max_age("24h")"#,
    r#"max_age = "0s""#,
    r#"max_age = "400 days""#,
    r#"crate = "a""#,
    r#","#,
    r#""a""#,
];

const GOOD_ITEMS: &[&str] = &[
    "fn f() {}",
    "/// Doc.\n#[a] pub(crate) async fn f(a: A, b: B) -> C { a.b() }",
    "fn f<'a, F: Fn(&'a str) -> bool>(#[x] f: F,) -> impl Sized + 'a where F: Send { f }",
    "async fn r#type((a, b): (A, B)) { a. }",
];

const CHECKED_ITEMS: &[&str] = &[
    "fn f(caller: &Caller) -> Result<(), Denial> { Ok(()) }",
    "async fn f(self: Arc<Self>, a: A, mut c: &'a crate::Caller) -> Result<(), E> { #![allow(unused)] #![x] a.b(c) }",
    "fn f(_: &ServiceClaims) -> Result<(), Denial> { todo!() }",
    "fn f(ServiceClaims { sub, .. }: &ServiceClaims,) -> anyhow::Result<()> { let denial = sub; given(denial) }",
];

const BAD_ITEMS: &[&str] = &[
    "struct S { a: u8 }",
    "impl S { fn f(&self) {} const A: u8 = 1; type B = u8; }",
    "unsafe impl<T> S for T where T: A { #![a] m! {} #[b] pub(crate) async fn f(&self, a: A) -> B { a. } fn g(); }",
    "fn f(&self) {}",
    "fn f();",
    "const fn f() {}",
    "#[service_only] fn f() {}",
    "fn f(guard: Guard<A>) {}",
    "fn f(caller: &Caller);",
    "unsafe fn f(#[cfg(a)] caller: &Caller) -> Result<(), Denial> { Ok(()) }",
];

proptest! {
    #[test]
    fn no_attribute_and_no_item_panics(attribute in tokens(), item in tokens()) {
        let (attribute, item) = (attribute.to_string(), item.to_string());
        let expanded = catch_unwind(|| expand(&attribute, &item).to_string());
        prop_assert!(expanded.is_ok());
    }
}

/// Tokens that resemble an attribute or an item, in any order.
fn tokens() -> impl Strategy<Value = TokenStream> {
    let words = prop::sample::select(vec![
        "services",
        "roles",
        "scopes",
        "max_age",
        "crate",
        "fn",
        "f",
        "self",
        "pub",
        "async",
        "const",
        "impl",
        "for",
        "where",
        "type",
        "!",
        "service_only",
        "public",
        "Caller",
        "Guard",
        "::",
        ":",
        ",",
        "=",
        "<",
        ">",
        "->",
        "&",
        "'a",
        "#",
        ";",
        "...",
        "_",
        "\"a\"",
        "\"24h\"",
        "\"\"",
        "b\"a\"",
        "c\"a\"",
        "'c'",
        "1",
        "1.5",
        "true",
        "r#type",
        "\"99999999999999999999y\"",
    ]);
    let leaf = words.prop_map(|word| word.parse::<TokenStream>().expect("tokens"));
    leaf.prop_recursive(4, 64, 8, |inner| {
        let delimiter = prop::sample::select(vec![
            Delimiter::Parenthesis,
            Delimiter::Bracket,
            Delimiter::Brace,
            Delimiter::None,
        ]);
        (prop::option::of(delimiter), prop::collection::vec(inner, 0..8)).prop_map(|(delimiter, tokens)| {
            let tokens: TokenStream = tokens.into_iter().collect();
            match delimiter {
                Some(delimiter) => TokenTree::Group(Group::new(delimiter, tokens)).into(),
                None => tokens,
            }
        })
    })
}

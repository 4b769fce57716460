//! The accepted forms of the attribute and their parsed values.

use proc_macro2::Literal;

use super::*;
use proc_macro2::Group;
use quote::quote;

fn parse(attribute: TokenStream) -> Args {
    let mut errors = Diagnostics::default();
    let args = Args::parse(Attribute::ServiceOnly, attribute, &mut errors);
    let errors: Vec<_> = errors.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    args
}

fn values(list: Option<List>) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::Text(text) => text.value(),
        Value::Set(set) => format!("@{set}"),
        Value::Constant(path) => quote!(#path).to_string().replace(' ', ""),
    };
    list.expect("the key is present").values.iter().map(shown).collect()
}

#[test]
fn attribute_without_keys_is_empty() {
    let args = parse(quote!());
    assert!(args.services.is_none() && args.roles.is_none() && args.scopes.is_none());
    assert!(args.max_age.is_none() && args.krate.is_none());
}

#[test]
fn every_key_is_parsed() {
    let args = parse(quote! {
        services("a", "b"), roles("admin"), scopes("x:y"), max_age = "24h", crate = path::to
    });
    assert_eq!(values(args.services), ["a", "b"]);
    assert_eq!(values(args.roles), ["admin"]);
    assert_eq!(values(args.scopes), ["x:y"]);
    assert_eq!(args.max_age.map(|age| age.value()), Some("24h".to_owned()));
    assert_eq!(quote_path(args.krate), "path :: to");
}

#[test]
fn keys_are_accepted_in_any_order_with_trailing_commas() {
    let args = parse(quote!(crate = crate::deep::down, max_age = "1h", scopes("x", "y",), services("a",),));
    assert_eq!(values(args.services), ["a"]);
    assert_eq!(values(args.scopes), ["x", "y"]);
    assert_eq!(quote_path(args.krate), "crate :: deep :: down");
}

#[test]
fn raw_strings_are_strings() {
    let args = parse(quote!(services(r"a", r##"b"##), max_age = r"1h"));
    assert_eq!(values(args.services), ["a", "b"]);
    assert_eq!(args.max_age.map(|age| age.value()), Some("1h".to_owned()));
}

#[test]
fn paths_of_constants_and_literals_can_be_mixed() {
    let args = parse(quote! {
        services(ORDERS, "a", names::BILLING, crate::names::BILLING, self::A, super::B, ::names::C, r#type::D),
        roles(ADMIN),
        scopes("x:y", Scopes::READ,)
    });
    let paths = [
        "ORDERS",
        "a",
        "names::BILLING",
        "crate::names::BILLING",
        "self::A",
        "super::B",
        "::names::C",
        "r#type::D",
    ];
    assert_eq!(values(args.services), paths);
    assert_eq!(values(args.roles), ["ADMIN"]);
    assert_eq!(values(args.scopes), ["x:y", "Scopes::READ"]);
}

#[test]
fn string_literals_in_macro_fragments_are_found() {
    let passed_on = |text: &str| {
        let literal = TokenTree::Literal(Literal::string(text));
        let once = Group::new(Delimiter::None, literal.into());
        Group::new(Delimiter::None, TokenTree::Group(once).into())
    };
    let (service, age) = (passed_on("a"), passed_on("1h"));
    let args = parse(quote!(services(#service), max_age = #age));
    assert_eq!(values(args.services), ["a"]);
    assert_eq!(args.max_age.map(|age| age.value()), Some("1h".to_owned()));
}

#[test]
fn crate_path_may_be_absolute_or_relative() {
    for path in ["::service_only", "crate::facade", "super::facade", "self::facade", "facade"] {
        let args = parse(format!("crate = {path}").parse().expect("tokens"));
        assert_eq!(quote_path(args.krate).replace(' ', ""), path);
    }
}

fn quote_path(path: Option<Path>) -> String {
    quote!(#path).to_string()
}

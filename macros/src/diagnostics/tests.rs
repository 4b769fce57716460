//! Every message and its place, without a compiler.
//!
//! A row is an attribute (or an item) with its mistakes below, as the compiler shows them: carets under the exact token,
//! then the message.

use super::similar::edit_distance;
use super::*;
use crate::args::Args;
use crate::check;
use crate::item::Item;
use crate::rules::Attribute;

mod blocks;
mod callers;

/// The mistakes of an attribute, in the order of the checks.
pub(crate) fn mistakes_of_attribute(attribute: &str) -> Vec<Error> {
    let mut errors = Diagnostics::default();
    let tokens = attribute.parse().expect("tokens");
    check::policy(
        Attribute::ServiceOnly,
        Args::parse(Attribute::ServiceOnly, tokens, &mut errors),
        &mut errors,
    );
    errors.into_errors()
}

pub(crate) fn mistakes_of_item(item: &str) -> Vec<Error> {
    mistakes_under(Attribute::ServiceOnly, item)
}

fn mistakes_of_public_item(item: &str) -> Vec<Error> {
    mistakes_under(Attribute::Public, item)
}

fn mistakes_under(attribute: Attribute, item: &str) -> Vec<Error> {
    let mut errors = Diagnostics::default();
    match Item::parse(item.parse().expect("tokens")) {
        Ok(Item::Function(function)) => drop(check::function(*function, attribute, &mut errors)),
        Ok(Item::Block(block)) if attribute == Attribute::ServiceOnly => {
            let policy = &check::Policy::default();
            drop(check::block(*block, check::Guarding { attribute, policy }, &mut errors));
        }
        Ok(Item::Block(block)) => errors.push(not_a_function(attribute, Some(&block.keyword()))),
        Ok(Item::Other(kind)) => errors.push(not_a_function(attribute, kind.as_ref())),
        Err(error) => errors.push(unknown_item(attribute, &error)),
    }
    errors.into_errors()
}

fn mistakes_of_reason(attribute: &str) -> Vec<Error> {
    let mut errors = Diagnostics::default();
    let tokens = attribute.parse().expect("tokens");
    check::public(crate::args::PublicArgs::parse(tokens, &mut errors), &mut errors);
    errors.into_errors()
}

fn each_is_refused(mistakes_of: fn(&str) -> Vec<Error>, rows: &[&[&str]]) {
    for row in rows {
        let (source, expected) = row.split_first().expect("a source");
        let shown: Vec<_> = mistakes_of(source).iter().map(show).collect();
        assert_eq!(shown, expected, "\n{source}\n{}\n", shown.join("\n"));
    }
}

fn show(error: &Error) -> String {
    let (start, end) = (error.span().start(), error.span().end());
    assert_eq!((start.line, end.line), (1, 1), "rows are one line long");
    let carets = "^".repeat(end.column - start.column);
    format!("{}{carets} {error}", " ".repeat(start.column))
}

#[test]
fn unknown_key_is_refused_with_a_similar_key() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"services("a"), scope("b:c")"#,
                r#"               ^^^^^ unknown key `scope`, did you mean `scopes`?"#,
            ],
            &[r#"service("a")"#, r#"^^^^^^^ unknown key `service`, did you mean `services`?"#],
            &[r#"max = "24h""#, r#"^^^ unknown key `max`, did you mean `max_age`?"#],
            &[r#"maxage = "24h""#, r#"^^^^^^ unknown key `maxage`, did you mean `max_age`?"#],
            &[r#"krate = a"#, r#"^^^^^ unknown key `krate`, did you mean `crate`?"#],
            &[
                r#"permissions("a")"#,
                r#"^^^^^^^^^^^ unknown key `permissions`; the keys are `services`, `actors`, `roles`, `scopes`, `any_scope`, `claims`, `issuers`, `max_age`, `proof`, `crate`"#,
            ],
        ],
    );
}

#[test]
fn invalid_actor_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"actors("")"#,
                r#"       ^^ "" is not an actor, it is empty; write the `sub` of `act` in its tokens: printable ASCII without space, `"` and `\`"#,
            ],
            &[
                r#"actors("edge gateway")"#,
                r#"       ^^^^^^^^^^^^^^ "edge gateway" has a space, and a value of `actors` is one word; write `actors("edge", "gateway")`"#,
            ],
            &[
                r#"actors()"#,
                r#"      ^^ `actors()` would refuse every caller; name an actor, or leave out the key to allow any actor, or none"#,
            ],
            &[
                r#"actors = "gateway""#,
                r#"       ^^^^^^^^^^^ `actors` takes a list in parentheses; write `actors("gateway")`"#,
            ],
            &[
                r#"actors("gateway"), actors("edge")"#,
                r#"                   ^^^^^^ `actors` is repeated; put all values into one list"#,
            ],
        ],
    );
}

#[test]
fn invalid_issuer_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"issuers("")"#,
                r#"        ^^ "" is not an issuer, it is empty; write the `iss` of its tokens: printable ASCII without space, `"` and `\`"#,
            ],
            &[
                r#"issuers("https://a b")"#,
                r#"        ^^^^^^^^^^^^^ "https://a b" has a space, and a value of `issuers` is one word; write `issuers("https://a", "b")`"#,
            ],
            &[
                r#"issuers("a\nb")"#,
                r#"        ^^^^^^ "a\nb" is not an issuer, it has '\n'; write the `iss` of its tokens: printable ASCII without space, `"` and `\`"#,
            ],
            &[
                r#"issuers()"#,
                r#"       ^^ `issuers()` would refuse every caller; name an issuer, or leave out the key to allow every issuer"#,
            ],
            &[
                r#"issuers = "a""#,
                r#"        ^^^^^ `issuers` takes a list in parentheses; write `issuers("a")`"#,
            ],
            &[
                r#"issuers("a"), issuers("b")"#,
                r#"              ^^^^^^^ `issuers` is repeated; put all values into one list"#,
            ],
            &[r#"issuers("a", "a")"#, r#"             ^^^ "a" is in `issuers` twice; keep one"#],
            &[r#"isuers("a")"#, r#"^^^^^^ unknown key `isuers`, did you mean `issuers`?"#],
        ],
    );
}

#[test]
fn key_that_belongs_to_the_verifier_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"issuer = "https://id.example""#,
                r#"^^^^^^ `issuer` is not a key of the attribute; set it on the `Verifier`"#,
            ],
            &[
                r#"roles("a"), audience("b")"#,
                r#"            ^^^^^^^^ `audience` is not a key of the attribute; set it on the `Verifier`"#,
            ],
        ],
    );
}

#[test]
fn repeated_key_is_refused_at_the_repetition() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"scopes("a"), scopes("b")"#,
                r#"             ^^^^^^ `scopes` is repeated; put all values into one list"#,
            ],
            &[
                r#"max_age = "1h", max_age = "2h""#,
                r#"                ^^^^^^^ `max_age` is repeated; keep one"#,
            ],
            &[r#"crate = a, crate = b"#, r#"           ^^^^^ `crate` is repeated; keep one"#],
        ],
    );
}

#[test]
fn malformed_key_is_refused_with_the_right_form() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"services = "a""#,
                r#"         ^^^^^ `services` takes a list in parentheses; write `services("a")`"#,
            ],
            &[
                r#"roles = ["a", "b"]"#,
                r#"      ^^^^^^^^^^^^ `roles` takes a list in parentheses; write `roles("a", "b")`"#,
            ],
            &[r#"scopes["a"]"#, r#"      ^^^^^ `scopes` takes a list in parentheses; write `scopes("a")`"#],
            &[r#"scopes"#, r#"^^^^^^ `scopes` takes a list in parentheses; write `scopes("orders:read")`"#],
            &[r#"max_age("24h")"#, r#"       ^^^^^^^ `max_age` takes one value; write `max_age = "24h"`"#],
            &[r#"max_age"#, r#"^^^^^^^ `max_age` takes one value; write `max_age = "24h"`"#],
            &[r#"max_age ="#, r#"        ^ `max_age` takes one value; write `max_age = "24h"`"#],
            &[r#"max_age: "1h""#, r#"       ^^^^^^ `max_age` takes one value; write `max_age = "1h"`"#],
            &[
                r#"crate = "a::b""#,
                r#"      ^^^^^^^^ `crate` takes a path without quotes; write `crate = a::b`"#,
            ],
            &[
                r#"crate = a::b<c>"#,
                r#"      ^^^^^^^^^ `crate` takes a path without quotes; write `crate = ::service_only`"#,
            ],
            &[
                r#"crate(a)"#,
                r#"     ^^^ `crate` takes a path without quotes; write `crate = ::service_only`"#,
            ],
        ],
    );
}

#[test]
fn value_that_is_not_a_string_literal_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"services("a", ["orders", b])"#,
                r#"              ^^^^^^^^^^^^^ `services` takes string literals and constants, found `["orders" , b]`; write `"orders", b`"#,
            ],
            &[
                r#"services(b"orders")"#,
                r#"         ^^^^^^^^^ `services` takes string literals and constants, found `b"orders"`; write `"orders"`"#,
            ],
            &[
                r#"roles(c"admin")"#,
                r#"      ^^^^^^^^ `roles` takes string literals and constants, found `c"admin"`; write `"admin"`"#,
            ],
            &[
                r#"roles('a', 7)"#,
                r#"      ^^^ `roles` takes string literals and constants, found `'a'`; write `"a"`"#,
                r#"           ^ `roles` takes string literals and constants, found `7`; write `"7"`"#,
            ],
            &[
                r#"scopes(names::delete())"#,
                r#"       ^^^^^^^^^^^^^^^ `scopes` takes string literals and constants, found `names :: delete ()`"#,
            ],
            &[
                r#"max_age = 24h"#,
                r#"          ^^^ `max_age` takes a string literal, found `24h`; write `"24h"`"#,
            ],
            &[
                r#"max_age = DAY"#,
                r#"          ^^^ `max_age` takes a string literal, found `DAY`; write `"24h"`"#,
            ],
        ],
    );
}

#[test]
fn misplaced_punctuation_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[r#"services("a" "b")"#, r#"             ^^^ expected `,` before `"b"`"#],
            &[r#"services("a") roles("b")"#, r#"              ^^^^^ expected `,` before `roles`"#],
            &[r#"max_age = "1h" roles("b")"#, r#"               ^^^^^ expected `,` before `roles`"#],
            &[r#"services("a"),, roles("b")"#, r#"              ^ unexpected `,`; remove it"#],
            &[r#"services(, "a")"#, r#"         ^ unexpected `,`; remove it"#],
            &[r#""orders""#, r#"^^^^^^^^ expected a key, found `"orders"`; write `services("orders")`"#],
            &[
                r#"= 1"#,
                r#"^^^ expected a key, found `= 1`; the keys are `services`, `actors`, `roles`, `scopes`, `any_scope`, `claims`, `issuers`, `max_age`, `proof`, `crate`"#,
            ],
        ],
    );
}

#[test]
fn empty_list_is_refused_with_its_effect() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"services()"#,
                r#"        ^^ `services()` would refuse every caller; name a service, or leave out the key to allow every service"#,
            ],
            &[
                r#"services("a"), roles()"#,
                r#"                    ^^ `roles()` would refuse every caller; name a role, or leave out the key to allow every role"#,
            ],
            &[r#"scopes()"#, r#"      ^^ `scopes()` requires nothing; name a scope, or leave out the key"#],
        ],
    );
}

#[test]
fn repeated_value_is_refused_at_the_repetition() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r##"services("a", "b", r"a")"##,
                r##"                   ^^^^ "a" is in `services` twice; keep one"##,
            ],
            &[r#"scopes("x:y", "x:y")"#, r#"              ^^^^^ "x:y" is in `scopes` twice; keep one"#],
        ],
    );
}

#[test]
fn service_name_that_no_token_carries_is_refused_with_its_flaw() {
    let rule =
        "write 1 to 253 ASCII letters, digits, `-`, `_`, `.`, starting and ending with a letter or digit";
    let long = "x".repeat(254);
    for (name, flaw) in [
        ("", "it is empty"),
        ("orders api", "it has ' '"),
        ("orders/api", "it has '/'"),
        ("ördërs", "it has 'ö'"),
        ("a\nb", "it has '\\n'"),
        ("-a", "it does not start with a letter or digit"),
        ("a.", "it does not end with a letter or digit"),
        (&long, "it has 254 characters"),
    ] {
        let source = format!("services({name:?})");
        let carets = "^".repeat(source.chars().count() - "services()".len());
        let mistake = format!("         {carets} {name:?} is not a service name, {flaw}; {rule}");
        each_is_refused(mistakes_of_attribute, &[&[&source, &mistake]]);
    }
}

#[test]
fn scope_or_role_that_is_not_a_scope_token_is_refused_with_its_flaw() {
    let rule = r#"write printable ASCII without space, `"` and `\` (RFC 6749 section 3.3)"#;
    for (key, kind) in [("scopes", "scope"), ("roles", "role")] {
        for (name, flaw) in [
            ("", "it is empty"),
            ("a\"b", "it has '\"'"),
            ("a\\b", "it has '\\\\'"),
            ("a\tb", "it has '\\t'"),
            ("größe", "it has 'ö'"),
            ("a\u{7f}", "it has '\\u{7f}'"),
        ] {
            let source = format!("{key}({name:?})");
            let carets = "^".repeat(source.chars().count() - key.len() - 2);
            let indent = " ".repeat(key.len() + 1);
            let mistake = format!("{indent}{carets} {name:?} is not a {kind}, {flaw}; {rule}");
            each_is_refused(mistakes_of_attribute, &[&[&source, &mistake]]);
        }
    }
}

#[test]
fn several_scopes_in_one_string_are_suggested_as_a_list() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"scopes("a:read  a:write")"#,
                r#"       ^^^^^^^^^^^^^^^^^ "a:read  a:write" has a space, and a value of `scopes` is one word; write `scopes("a:read", "a:write")`"#,
            ],
            &[r#"roles(" ")"#, r#"      ^^^ " " has a space, and a value of `roles` is one word; name one"#],
        ],
    );
}

#[test]
fn age_that_is_not_a_duration_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"max_age = """#,
                r#"          ^^ "" is not an age, value was empty; write a duration such as `"24h"` or `"15min"`"#,
            ],
            &[r#"max_age = "24""#, r#"          ^^^^ "24" is not an age, it has no unit; write `"24s"`"#],
            &[
                r#"max_age = "-1h""#,
                r#"          ^^^^^ "-1h" is not an age, expected number at 0; write a duration such as `"24h"` or `"15min"`"#,
            ],
        ],
    );
}

#[test]
fn age_that_overflows_is_refused() {
    for age in [
        "18446744073709551615s 1s",
        "18446744073709551615years",
        "99999999999999999999s",
        "18446744073709551615s 999999999999ms",
        "1.00000000000000000000001h",
    ] {
        let errors = mistakes_of_attribute(&format!("max_age = {age:?}"));
        assert_eq!(errors.len(), 1, "{age}");
    }
}

#[test]
fn age_that_would_refuse_everything_or_nothing_is_refused() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[
                r#"max_age = "0s""#,
                r#"          ^^^^ a `max_age` of zero would refuse every token; write one second or more, or leave the key out"#,
            ],
            &[
                r#"max_age = "1500ms""#,
                r#"          ^^^^^^^^ the age of a token is in whole seconds, and "1500ms" has a fraction; write whole seconds"#,
            ],
            &[
                r#"max_age = "366days 1s""#,
                r#"          ^^^^^^^^^^^^ "366days 1s" is longer than the default maximum lifetime (365 days), so it would refuse nothing; write at most 366 days, or leave the key out"#,
            ],
        ],
    );
}

#[test]
fn word_that_is_not_a_proof_is_refused_with_a_similar_one() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[r#"proof = "mtsl""#, r#"        ^^^^^^ "mtsl" is not a proof, did you mean `"mtls"`?"#],
            &[r#"proof = "tls""#, r#"        ^^^^^ "tls" is not a proof, did you mean `"mtls"`?"#],
            &[r#"proof = "DPoP""#, r#"        ^^^^^^ "DPoP" is not a proof, did you mean `"dpop"`?"#],
            &[r#"proof = "Any ""#, r#"        ^^^^^^ "Any " is not a proof, did you mean `"any"`?"#],
            &[
                r#"proof = "none""#,
                r#"        ^^^^^^ "none" is not a proof; write `"mtls"`, `"dpop"` or `"any"`, or leave the key out to accept bearer tokens"#,
            ],
            &[
                r#"proof = """#,
                r#"        ^^ "" is not a proof; write `"mtls"`, `"dpop"` or `"any"`, or leave the key out to accept bearer tokens"#,
            ],
            &[
                r#"proof = "mtls dpop""#,
                r#"        ^^^^^^^^^^^ "mtls dpop" is not a proof; write `"mtls"`, `"dpop"` or `"any"`, or leave the key out to accept bearer tokens"#,
            ],
        ],
    );
}

#[test]
fn proof_in_another_form_is_refused_with_the_right_one() {
    each_is_refused(
        mistakes_of_attribute,
        &[
            &[r#"proof("dpop")"#, r#"     ^^^^^^^^ `proof` takes one value; write `proof = "dpop"`"#],
            &[r#"proof"#, r#"^^^^^ `proof` takes one value; write `proof = "mtls"`"#],
            &[r#"proof = any"#, r#"        ^^^ `proof` takes a string literal, found `any`; write `"any"`"#],
            &[r#"proof = 7"#, r#"        ^ `proof` takes a string literal, found `7`; write `"mtls"`"#],
            &[r#"proof = "any", proof = "any""#, r#"               ^^^^^ `proof` is repeated; keep one"#],
            &[r#"proofs = "any""#, r#"^^^^^^ unknown key `proofs`, did you mean `proof`?"#],
        ],
    );
}

#[test]
fn thirty_third_name_of_a_list_is_refused() {
    let names: Vec<_> = (0..34).map(|n| format!("\"s{n:02}\"")).collect();
    let source = format!("services({})", names.join(", "));
    let indent = " ".repeat("services(".len() + 32 * "\"s00\", ".len());
    let mistake = format!(
        "{indent}^^^^^ `services` has 34 values, and the limit is 32; require one role or scope that these callers share"
    );
    each_is_refused(mistakes_of_attribute, &[&[&source, &mistake]]);
}

#[test]
fn list_with_too_many_bytes_is_refused() {
    let names: Vec<_> = (0..5).map(|n| format!("\"{n}{}\"", "x".repeat(249))).collect();
    let source = format!("roles({})", names.join(", "));
    let carets = "^".repeat(source.len() - "roles".len());
    let mistake = format!(
        "     {carets} `roles` has 1254 bytes of text, and the limit is 1024; require one role or scope that these callers share"
    );
    each_is_refused(mistakes_of_attribute, &[&[&source, &mistake]]);
}

#[test]
fn public_without_a_reason_is_refused() {
    let example = "write `reason = \"load balancers have no token\"`";
    assert_eq!(
        mistakes_of_reason("").iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("`#[public]` needs a reason; {example}")]
    );
    let rows = [
        (r#"reason = "  ""#, "         ^^^^ the reason is empty; "),
        (r#"reason = "a\nb""#, "         ^^^^^^ the reason has a line break or another control character; "),
        (r#""why""#, "^^^^^ expected a key, found `\"why\"`; "),
        ("reason", "^^^^^^ expected a string; "),
        ("reason = 7", "       ^^^ expected a string; "),
    ];
    for (source, mistake) in rows {
        each_is_refused(mistakes_of_reason, &[&[source, &format!("{mistake}{example}")]]);
    }
    let long = format!("reason = {:?}", "x".repeat(257));
    let mistake = format!("         {} the reason has 257 bytes, and the limit is 256", "^".repeat(259));
    each_is_refused(mistakes_of_reason, &[&[&long, &mistake]]);
}

#[test]
fn key_that_public_does_not_have_is_refused() {
    each_is_refused(
        mistakes_of_reason,
        &[
            &[
                r#"reason = "why", services("a")"#,
                r#"                ^^^^^^^^ `services` is a key of `#[service_only]`; a public handler has no policy"#,
            ],
            &[
                r#"reason = "a", why"#,
                r#"              ^^^ unknown key `why`; the keys are `reason`, `crate`"#,
            ],
            &[r#"reason = "a", reason = "b""#, r#"              ^^^^^^ `reason` is repeated; keep one"#],
        ],
    );
}

#[test]
fn handler_cannot_be_guarded_and_public() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                r#"#[public(reason = "a")] fn list() {}"#,
                r#"  ^^^^^^^^^^^^^^^^^^^^ `list` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
            &[
                r#"fn list(_: ::service_only::__private::Public<P>) {}"#,
                r#"   ^^^^ `list` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
        ],
    );
    each_is_refused(
        mistakes_of_public_item,
        &[
            &[
                r#"#[service_only::service_only] fn list() {}"#,
                r#"  ^^^^^^^^^^^^^^^^^^^^^^^^^^ `list` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
            &[
                r#"fn list(_: ::service_only::__private::Guard<P>) {}"#,
                r#"   ^^^^ `list` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
            &[
                r#"#[public(reason = "a")] fn list() {}"#,
                r#"  ^^^^^^^^^^^^^^^^^^^^ `list` already has `#[public]`; put all keys into one attribute"#,
            ],
            &[
                r#"fn list(&self) {}"#,
                r#"        ^^^^^ `list` takes `self`; put `#[public]` on such a method only in an `impl` block with `#[service_only]`"#,
            ],
        ],
    );
}

#[test]
fn all_mistakes_of_an_attribute_are_reported_together() {
    each_is_refused(
        mistakes_of_attribute,
        &[&[
            r#"service("a"), roles(), max_age("1h"), scopes("a b", b"c")"#,
            r#"^^^^^^^ unknown key `service`, did you mean `services`?"#,
            r#"                              ^^^^^^ `max_age` takes one value; write `max_age = "1h"`"#,
            r#"                                                    ^^^^ `scopes` takes string literals and constants, found `b"c"`; write `"c"`"#,
            r#"                   ^^ `roles()` would refuse every caller; name a role, or leave out the key to allow every role"#,
            r#"                                             ^^^^^ "a b" has a space, and a value of `scopes` is one word; write `scopes("a", "b")`"#,
        ]],
    );
}

#[test]
fn mistake_on_a_later_line_is_reported_on_that_line() {
    let errors = mistakes_of_attribute("\n    services(\"a\"),\n    scope(\"b\"),\n");
    let starts: Vec<_> = errors.iter().map(|error| error.span().start()).collect();
    assert_eq!(starts.len(), 1);
    assert_eq!((starts[0].line, starts[0].column), (3, 4));
}

#[test]
fn method_with_self_is_refused_with_the_right_place() {
    let message =
        "`delete_order` takes `self`; put `#[service_only]` on the `impl` block, above `#[async_trait]`";
    for receiver in [
        "self",
        "mut self",
        "&self",
        "&mut self",
        "&'a self",
        "&'a mut self",
        "self: Arc<Self>",
        "mut self: Box<Self>",
        "&'static self",
    ] {
        let source = format!("fn delete_order({receiver}, id: Uuid) {{}}");
        let carets = "^".repeat(receiver.find("self:").map_or(receiver.len(), |at| at + "self".len()));
        let mistake = format!("                {carets} {message}");
        each_is_refused(mistakes_of_item, &[&[&source, &mistake]]);
    }
}

#[test]
fn item_that_is_not_a_function_is_refused_with_the_right_place() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "pub struct Orders;",
                "    ^^^^^^ `#[service_only]` goes on a function, not on a `struct`; put it on the handler",
            ],
            &[
                "mod orders {}",
                "^^^ `#[service_only]` goes on a function; put it on each handler in this module",
            ],
            &[
                "pub trait Orders {}",
                "    ^^^^^ `#[service_only]` goes on a function with a body; put it on the functions that implement this trait",
            ],
            &[
                "const ORDERS: fn() = f;",
                "^^^^^ `#[service_only]` goes on a function, found `const`; put it on the handler",
            ],
        ],
    );
}

#[test]
fn function_that_cannot_be_guarded_is_refused_with_the_reason() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "async fn list(id: Id) -> Orders;",
                "         ^^^^ `list` has no body; put `#[service_only]` on the function that implements it",
            ],
            &[
                "pub const fn list() {}",
                "    ^^^^^ `list` is `const`, and no request exists at compile time; remove `const`, or guard a function that calls it",
            ],
            &[
                "unsafe fn list() {}",
                "^^^^^^ `list` is `unsafe`, and a framework cannot uphold its safety contract; remove `unsafe`, or guard a function that calls it",
            ],
            &[
                "extern \"C\" fn list(id: Id, ...) {}",
                "^^^^^^ `list` is `extern`, and the hidden argument would change its foreign signature; remove `extern`, or guard a function that calls it",
            ],
            &[
                "fn list(id: Id, ids: ...) {}",
                "                     ^^^ `list` is variadic; name each argument",
            ],
        ],
    );
}

#[test]
fn item_that_syn_cannot_parse_is_refused() {
    each_is_refused(
        mistakes_of_item,
        &[
            &["fn f() -> A B {}", "            ^ `#[service_only]` cannot read this item: unexpected token"],
            &["fn f(a) {}", "      ^ `#[service_only]` cannot read this item: expected `:`"],
            &[
                "impl A B { fn f() {} }",
                "       ^ `#[service_only]` cannot read this item: expected curly braces",
            ],
        ],
    );
}

#[test]
fn checked_argument_with_a_condition_is_refused() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "fn list(#[cfg(a)] caller: &Caller) {}",
                "          ^^^^^^ `list` needs this argument for its guard in every configuration; put the `#[cfg]` on the function",
            ],
            &[
                "fn list(id: Id, #[cfg_attr(a, cfg(b))] claims: &ServiceClaims);",
                "   ^^^^ `list` has no body; put `#[service_only]` on the function that implements it",
                "                  ^^^^^^^^^^^^^^^^^^^ `list` needs this argument for its guard in every configuration; put the `#[cfg]` on the function",
            ],
        ],
    );
}

#[test]
fn second_caller_argument_is_refused() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "fn audit(subject: &ServiceClaims, caller: &Caller) {}",
                "                                  ^^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, id: Id, b: &'a service_only::Caller, c: &ServiceClaims) {}",
                "                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
                "                                                          ^^^^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: Caller) {}",
                "                     ^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: Caller, b: &Caller) {}",
                "                    ^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b:&Caller) {}",
                "                     ^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: (&Caller)) {}",
                "                     ^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: &Caller<>) {}",
                "                     ^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: &mut Caller) {}",
                "                     ^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: &&'a Caller) {}",
                "                     ^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "fn audit(a: &Caller, b: (&((ServiceClaims)))) {}",
                "                     ^^^^^^^^^^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
            &[
                "impl A { fn audit(&self, subject: &ServiceClaims, caller: &r#Caller) {} }",
                "                                                  ^^^^^^^^^^^^^^^^^ `audit` takes two callers; keep one, and pass only the data of the other, such as its service name",
            ],
        ],
    );
}

#[test]
fn public_function_that_takes_a_caller_is_refused() {
    each_is_refused(
        mistakes_of_public_item,
        &[
            &[
                "fn list(id: Id, caller: Caller) {}",
                "                ^^^^^^^^^^^^^^ `list` is public and takes a caller; remove this argument, or replace `#[public]` with `#[service_only]` (if the type is your own, rename it)",
            ],
            &[
                "fn list(_: &service_only::Caller) {}",
                "        ^^^^^^^^^^^^^^^^^^^^^^^^ `list` is public and takes a caller; remove this argument, or replace `#[public]` with `#[service_only]` (if the type is your own, rename it)",
            ],
            &[
                "fn list(claims: &'a ServiceClaims) {}",
                "        ^^^^^^^^^^^^^^^^^^^^^^^^^ `list` is public and takes a caller; remove this argument, or replace `#[public]` with `#[service_only]` (if the type is your own, rename it)",
            ],
            &[
                "fn list(id: Id, guard: Guard<A>) {}",
                "                ^^^^^^^^^^^^^^^ `list` is public and takes a caller; remove this argument, or replace `#[public]` with `#[service_only]` (if the type is your own, rename it)",
            ],
        ],
    );
    each_is_refused(
        mistakes_of_item,
        &[&[
            "impl A { #[public(reason = \"a\")] fn list(&self, caller: &Caller) {} }",
            "                                                ^^^^^^^^^^^^^^^ `list` is public and takes a caller; remove this argument, or replace `#[public]` with `#[service_only]` (if the type is your own, rename it)",
        ]],
    );
}

#[test]
fn function_that_is_guarded_twice_is_refused() {
    let message = "`list` already has `#[service_only]`; put all keys into one attribute";
    let own = "`list` already takes a `Guard`; remove it, because `#[service_only]` adds one \
               (if the type is your own, write its path, such as `self::Guard`)";
    each_is_refused(
        mistakes_of_item,
        &[
            &["#[inline] #[service_only] fn list() {}", &format!("            ^^^^^^^^^^^^ {message}")],
            &[
                "#[::service_only::service_only(roles(\"a\"))] fn list() {}",
                &format!("  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ {message}"),
            ],
            &["fn list(guard: Guard<Admin>, id: Id) {}", &format!("        ^^^^^^^^^^^^^^^^^^^ {own}")],
            &[
                "fn list(_: ::service_only::__private::Guard<Admin>) {}",
                &format!("        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ {own}"),
            ],
        ],
    );
}

#[test]
fn all_mistakes_of_a_function_are_reported_together() {
    each_is_refused(
        mistakes_of_item,
        &[&[
            "#[service_only] const unsafe fn f(&self);",
            "  ^^^^^^^^^^^^ `f` already has `#[service_only]`; put all keys into one attribute",
            "                ^^^^^ `f` is `const`, and no request exists at compile time; remove `const`, or guard a function that calls it",
            "                      ^^^^^^ `f` is `unsafe`, and a framework cannot uphold its safety contract; remove `unsafe`, or guard a function that calls it",
            "                                  ^^^^^ `f` takes `self`; put `#[service_only]` on the `impl` block, above `#[async_trait]`",
        ]],
    );
}

#[test]
fn edit_distance_counts_changed_characters() {
    for (left, right, edits) in [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("scope", "scopes", 1),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("ö", "o", 1),
    ] {
        assert_eq!(edit_distance(left, right), edits, "{left} and {right}");
    }
}

/// Applies the first suggestion of the first message that has one. A suggestion that starts with a key replaces the
/// whole attribute, another the token of the message.
fn follow(attribute: &str) -> Option<String> {
    let mistakes = mistakes_of_attribute(attribute);
    mistakes.iter().find_map(|mistake| {
        let message = mistake.to_string();
        let (_, suggestion) = message.rsplit_once("write `")?;
        let (suggestion, _) = suggestion.split_once('`')?;
        if suggestion.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Some(suggestion.to_owned());
        }
        let (start, end) = (mistake.span().start().column, mistake.span().end().column);
        let characters: Vec<char> = attribute.chars().collect();
        let text = |part: &[char]| part.iter().collect::<String>();
        Some(text(&characters[..start]) + suggestion + &text(&characters[end..]))
    })
}

#[test]
fn every_suggestion_compiles_when_it_is_followed() {
    for attribute in [
        r#""orders""#,
        r#""orders", "billing""#,
        r#""orders", "orders""#,
        r#""-", "billing""#,
        r#"services = "orders""#,
        r#"services = ["orders", "billing"]"#,
        r#"services: "orders""#,
        r#"services = ORDERS"#,
        r#"services = names::ORDERS"#,
        r#"services = (ORDERS, "billing")"#,
        r#"services = Self::ORDERS"#,
        r#"services = 'x'"#,
        r#"services = "..""#,
        r#"services = "a b""#,
        r#"services = 1.5"#,
        r#"services"#,
        r#"services["a"]"#,
        r#"services{"a"}"#,
        r#"services("a", 'b')"#,
        r#"services(b"a")"#,
        r#"services(c"a")"#,
        r#"services(42)"#,
        r#"services(["a", "b"])"#,
        r#"services(("a", 'b'))"#,
        r#"roles = "admin""#,
        r#"roles = "two words""#,
        r#"roles"#,
        r#"roles(7)"#,
        r#"scopes = "a:b""#,
        r#"scopes = ["a:b", "a:b"]"#,
        r#"scopes"#,
        r#"scopes("a b")"#,
        r#"scopes("a a")"#,
        r#"scopes("a \u{e9}")"#,
        r#"scopes("a", "b c")"#,
        r#"max_age = 3600"#,
        r#"max_age = 1_000"#,
        r#"max_age = "3600""#,
        r#"max_age = 24h"#,
        r#"max_age = 0"#,
        r#"max_age = 99999999999"#,
        r#"max_age = 1.5"#,
        r#"max_age = b"1h""#,
        r#"max_age = HOUR"#,
        r#"max_age: "1h""#,
        r#"max_age: 60"#,
        r#"max_age("24h")"#,
        r#"max_age(24)"#,
        r#"max_age("soon")"#,
        r#"max_age"#,
        r#"crate = "my::service_only""#,
        r#"crate = "no path""#,
        r#"crate = 7"#,
        r#"crate("x")"#,
        r#"crate"#,
    ] {
        let mut followed = follow(attribute).unwrap_or_else(|| panic!("{attribute} has no suggestion"));
        // A followed suggestion may reveal the next mistake.
        while let Some(next) = follow(&followed) {
            assert_ne!(next, followed, "{attribute}");
            followed = next;
        }
        let mistakes: Vec<_> = mistakes_of_attribute(&followed).iter().map(show).collect();
        assert!(mistakes.is_empty(), "{attribute} became {followed}\n{}", mistakes.join("\n"));
    }
}

#[test]
fn suggested_reason_compiles() {
    for attribute in [r#""#, r#""why""#, r#"reason"#, r#"reason = 7"#, r#"reason = """#, r#"reason("why")"#] {
        let mistakes = mistakes_of_reason(attribute);
        let message = mistakes.first().expect("a mistake").to_string();
        let (_, suggestion) = message.rsplit_once("write `").expect("a suggestion");
        let (suggestion, _) = suggestion.split_once('`').expect("its end");
        assert!(mistakes_of_reason(suggestion).is_empty(), "{attribute}: {suggestion}");
    }
}

#[test]
fn handler_with_too_many_arguments_is_refused() {
    let arguments = |count: usize| (0..count).map(|n| format!("a{n}: A")).collect::<Vec<_>>().join(", ");
    let refused = |item: String| mistakes_of_item(&item).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(refused(format!("async fn f({}) {{}}", arguments(15))).is_empty());
    let messages = refused(format!("async fn f({}) {{}}", arguments(17)));
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(message.starts_with("`f` takes 17 arguments, and the limit is 15"), "{message}");
    assert_eq!(refused(format!("impl A {{ async fn f({}) {{}} }}", arguments(16))).len(), 1);
    assert!(refused(format!("async fn f({}, #[cfg(a)] b: B) {{}}", arguments(15))).is_empty());
    // No framework calls this one.
    assert!(refused(format!("fn f(caller: &Caller, {}) -> R {{}}", arguments(16))).is_empty());
    assert_eq!(mistakes_of_public_item(&format!("async fn f({}) {{}}", arguments(16))).len(), 1);
}

#[test]
fn remedy_of_a_list_shows_a_value_of_its_kind() {
    for (attribute, expected) in [
        ("roles", r#""admin""#),
        ("scopes", r#""orders:read""#),
        ("issuers", r#""https://id.example""#),
        ("actors", r#""gateway""#),
        ("services", r#""orders""#),
        ("any_scope()", "`any_scope()` would refuse every caller; name a scope"),
        ("scopes()", "`scopes()` requires nothing"),
        (r#"any_scope("a:*")"#, "write each scope"),
        (r#"max_age = "5""#, "it has no unit"),
        (r#"max_age = "5 moons""#, "`moons` is not a unit"),
    ] {
        let messages: Vec<_> = mistakes_of_attribute(attribute).iter().map(ToString::to_string).collect();
        assert!(messages.iter().any(|message| message.contains(expected)), "{attribute}: {messages:?}");
    }
    let [error] = &mistakes_of_attribute(r#"any_scope("a:*")"#)[..] else { panic!("one mistake") };
    assert!(!error.to_string().contains("any_scope(..)"), "it is that list already: {error}");
}

//! The messages about `impl` blocks: each method is guarded, or told why it cannot be.

use super::*;

const OR_PUBLIC: &str = "or say that anybody may call: `#[public(reason = \"..\")]`";

#[test]
fn method_that_nothing_is_known_of_is_refused() {
    let given_nothing = |name: &str| {
        format!(
            "`{name}` is given nothing that says who calls; add an argument `caller: &Caller`, {OR_PUBLIC}"
        )
    };
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "impl Orders { async fn list(&self) {} fn count(self: Arc<Self>) {} }",
                &format!("                       ^^^^ {}", given_nothing("list")),
                &format!("                                         ^^^^^ {}", given_nothing("count")),
            ],
            &[
                "impl Api for Orders { fn list(&self, request: Request<()>) {} }",
                &format!(
                    "                         ^^^^ `list` is not `async`, so its request cannot be checked; write `async fn`, \
                     add an argument `caller: &Caller`, {OR_PUBLIC}"
                ),
            ],
            &[
                "impl Api for Orders { async fn list(request: Request<()>) {} }",
                &format!(
                    "                               ^^^^ `list` takes no `self` and nothing that says who calls, and its trait \
                     fixes what it takes; guard what calls it, {OR_PUBLIC}"
                ),
            ],
        ],
    );
}

#[test]
fn constructor_is_sent_to_another_block() {
    let message = |name: &str| {
        format!(
            "`{name}` makes the type that its methods are called on; move it to an `impl` block without \
             `#[service_only]`, {OR_PUBLIC}"
        )
    };
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "impl Orders { fn new() -> Self { Self } }",
                &format!("                 ^^^ {}", message("new")),
            ],
            &[
                "impl<T> a::Orders<T> { async fn open(t: T) -> Result<Orders<T>, E> where T: A { } }",
                &format!("                                ^^^^ {}", message("open")),
            ],
        ],
    );
}

#[test]
fn block_below_async_trait_is_sent_above_it() {
    each_is_refused(
        mistakes_of_item,
        &[&[
            "impl A for B { fn f<'life0, 'async_trait>(&'life0 self, r: R) -> Pin<Box<dyn Future>> { Box::pin(async move {}) } }",
            "                  ^ `#[async_trait]` has rewritten `f` already; put `#[service_only]` above `#[async_trait]`",
        ]],
    );
}

#[test]
fn macro_in_a_block_is_refused() {
    let message = "what this writes cannot be seen, nor guarded; write its methods out, or move it to an `impl` block \
                   without `#[service_only]`";
    each_is_refused(
        mistakes_of_item,
        &[
            &["impl A { handlers! { a b } }", &format!("         ^^^^^^^^^^^^^^^^^ {message}")],
            &[
                "impl A { #[a] b::handlers!(a); const B: u8 = 0; }",
                &format!("         ^^^^^^^^^^^^^^^^^^^^^ {message}"),
            ],
        ],
    );
}

#[test]
fn what_a_method_says_of_itself_is_checked_too() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                r#"impl A { #[service_only(scope("a"))] async fn f(&self, r: R) {} }"#,
                r#"                        ^^^^^ unknown key `scope`, did you mean `scopes`?"#,
            ],
            &[
                r#"impl A { #[service_only] #[service_only(roles("a"))] async fn f(&self, r: R) {} }"#,
                r#"                           ^^^^^^^^^^^^^^^^^^^^^^^^ `f` already has `#[service_only]`; put all keys into one attribute"#,
            ],
            &[
                r#"impl A { #[service_only] #[service_only::public(reason = "a")] async fn f(&self, r: R) {} }"#,
                r#"                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `f` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
            &[
                r#"impl A { #[public(services("a"), reason = "b")] fn f(&self) {} }"#,
                r#"                  ^^^^^^^^ `services` is a key of `#[service_only]`; what is public asks nothing of its caller"#,
            ],
            &[
                r#"impl A { #[cfg_attr(a, service_only)] async fn f(&self, r: R) {} }"#,
                r#"           ^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is known; write the method twice, each under its own `#[cfg]`"#,
            ],
            &[
                r#"impl A { async fn f(&self, #[cfg(a)] r: R, s: S) {} }"#,
                r#"                             ^^^^^^ `f` is guarded by this argument, which must always be there; put the `#[cfg]` on the function"#,
            ],
        ],
    );
}

#[test]
fn names_of_attributes_are_known_with_and_without_their_prefix() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                r##"impl A { #[r#service_only] #[r#public(reason = "a")] async fn f(&self, r: R) {} }"##,
                r##"                             ^^^^^^^^^^^^^^^^^^^^^^ `f` cannot be both `#[service_only]` and `#[public]`; keep one"##,
            ],
            &[
                r##"#[r#service_only] impl A {}"##,
                r##"  ^^^^^^^^^^^^^^ `impl` already has `#[service_only]`; put all keys into one attribute"##,
            ],
            &[
                r##"impl A { #[r#cfg_attr(a, r#public(reason = "a"))] fn f(&self, c: &Caller) {} }"##,
                r##"           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is known; write the method twice, each under its own `#[cfg]`"##,
            ],
            &[
                r##"impl A { #[cfg_attr(a, cfg_attr(b, service_only))] fn f(&self, c: &Caller) {} }"##,
                r##"           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is known; write the method twice, each under its own `#[cfg]`"##,
            ],
            &[
                r##"impl A { fn f(&self, #[r#cfg(a)] c: &Caller) {} }"##,
                r##"                       ^^^^^^^^ `f` is guarded by this argument, which must always be there; put the `#[cfg]` on the function"##,
            ],
        ],
    );
}

#[test]
fn block_is_guarded_once_and_not_public() {
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                r#"#[service_only] impl A {}"#,
                r#"  ^^^^^^^^^^^^ `impl` already has `#[service_only]`; put all keys into one attribute"#,
            ],
            &[
                r#"#[public(reason = "a")] impl A {}"#,
                r#"  ^^^^^^^^^^^^^^^^^^^^ `impl` cannot be both `#[service_only]` and `#[public]`; keep one"#,
            ],
        ],
    );
    each_is_refused(
        mistakes_of_public_item,
        &[&[
            "impl A { fn f() {} }",
            "^^^^ `#[public]` goes on a function; put it on each function of this `impl` block that is meant",
        ]],
    );
}

#[test]
fn mistakes_of_all_methods_come_at_once() {
    each_is_refused(
        mistakes_of_item,
        &[&[
            "impl A { const fn f(&self, c: &Caller) {} unsafe fn g(g: Guard<A>) {} fn h(&self, c: &Caller); }",
            "         ^^^^^ `f` is `const`, and no request is there when it is evaluated; remove `const`, or guard a function that calls it",
            "                                          ^^^^^^ `g` is `unsafe`, and a handler is called for strangers, who can promise nothing; remove `unsafe`, or guard a function that calls it",
            "                                                      ^^^^^^^^^^^ `g` already takes a `Guard`; remove the argument, `#[service_only]` adds it (a `Guard` of your own goes by its path, such as `self::Guard`)",
            "                                                                         ^ `h` has no body; put `#[service_only]` on the function that implements it",
        ]],
    );
}

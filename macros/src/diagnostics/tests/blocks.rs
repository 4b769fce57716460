//! The messages about `impl` blocks and their methods.

use super::*;

const OR_PUBLIC: &str = "or make it public: `#[public(reason = \"..\")]`";

#[test]
fn method_without_a_caller_is_refused() {
    let no_caller = |name: &str| {
        format!("`{name}` has no argument that identifies its caller; add `caller: &Caller`, {OR_PUBLIC}")
    };
    each_is_refused(
        mistakes_of_item,
        &[
            &[
                "impl Orders { async fn list(&self) {} fn count(self: Arc<Self>) {} }",
                &format!("                       ^^^^ {}", no_caller("list")),
                &format!("                                         ^^^^^ {}", no_caller("count")),
            ],
            &[
                "impl Api for Orders { fn list(&self, request: Request<()>) {} }",
                &format!(
                    "                         ^^^^ `list` is not `async`, so its request cannot be checked; write `async fn`, \
                     add `caller: &Caller`, {OR_PUBLIC}"
                ),
            ],
            &[
                "impl Api for Orders { async fn list(request: Request<()>) {} }",
                &format!(
                    "                               ^^^^ `list` takes no `self` and no caller, and its trait fixes its arguments; \
                     guard the function that calls it, {OR_PUBLIC}"
                ),
            ],
        ],
    );
}

#[test]
fn constructor_is_refused() {
    let message = |name: &str| {
        format!(
            "`{name}` returns the type itself; move it to an `impl` block without \
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
fn block_below_async_trait_is_refused() {
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
    let message = "`#[service_only]` cannot see the methods of this macro; write them out, or move the call to an \
                   `impl` block without `#[service_only]`";
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
fn member_that_syn_cannot_parse_is_refused_with_the_mistakes_before_it() {
    each_is_refused(
        mistakes_of_item,
        &[&[
            "impl A { fn f(&self, c: &Caller); fn g(&self) -> A B {} fn h(&self) {} }",
            "            ^ `f` has no body; put `#[service_only]` on the function that implements it",
            "                                                   ^ `#[service_only]` cannot read this member: expected the body of a function; \
             move it to an `impl` block without `#[service_only]`",
        ]],
    );
}

#[test]
fn attributes_of_methods_are_checked() {
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
                r#"                  ^^^^^^^^ `services` is a key of `#[service_only]`; a public handler has no policy"#,
            ],
            &[
                r#"impl A { #[cfg_attr(a, service_only)] async fn f(&self, r: R) {} }"#,
                r#"           ^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is evaluated; write the method twice, each with its own `#[cfg]`"#,
            ],
            &[
                r#"impl A { async fn f(&self, #[cfg(a)] r: R, s: S) {} }"#,
                r#"                             ^^^^^^ `f` needs this argument for its guard in every configuration; put the `#[cfg]` on the function"#,
            ],
        ],
    );
}

#[test]
fn attributes_with_raw_names_are_recognized() {
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
                r##"           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is evaluated; write the method twice, each with its own `#[cfg]`"##,
            ],
            &[
                r##"impl A { #[cfg_attr(a, cfg_attr(b, service_only))] fn f(&self, c: &Caller) {} }"##,
                r##"           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the block guards `f` before this condition is evaluated; write the method twice, each with its own `#[cfg]`"##,
            ],
            &[
                r##"impl A { fn f(&self, #[r#cfg(a)] c: &Caller) {} }"##,
                r##"                       ^^^^^^^^ `f` needs this argument for its guard in every configuration; put the `#[cfg]` on the function"##,
            ],
        ],
    );
}

#[test]
fn block_that_is_guarded_twice_or_public_is_refused() {
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
            "^^^^ `#[public]` goes on a function; put it on each public function of this `impl` block",
        ]],
    );
}

#[test]
fn mistakes_of_all_methods_are_reported_together() {
    each_is_refused(
        mistakes_of_item,
        &[&[
            "impl A { const fn f(&self, c: &Caller) {} unsafe fn g(g: Guard<A>) {} fn h(&self, c: &Caller); }",
            "         ^^^^^ `f` is `const`, and no request exists at compile time; remove `const`, or guard a function that calls it",
            "                                          ^^^^^^ `g` is `unsafe`, and a framework cannot uphold its safety contract; remove `unsafe`, or guard a function that calls it",
            "                                                      ^^^^^^^^^^^ `g` already takes a `Guard`; remove it, because `#[service_only]` adds one (if the type is your own, write its path, such as `self::Guard`)",
            "                                                                         ^ `h` has no body; put `#[service_only]` on the function that implements it",
        ]],
    );
}

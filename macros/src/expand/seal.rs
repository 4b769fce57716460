//! The seal: the last attribute of a guarded function. It checks that the guard is still the first argument.
//!
//! An extractor before the guard would parse unauthenticated input. Only the final signature shows the order, so this
//! check runs after all other attributes.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use crate::diagnostics;
use crate::item::{Item, argument};
use crate::tokens::{is_of_a_path, is_punct, with_stream};

/// Releases the statement that uses the guard, or reports that the guard is not the first argument.
pub(crate) fn sealed(item: TokenStream) -> TokenStream {
    let Ok(Item::Function(function)) = Item::parse(item.clone()) else {
        // Its statements stay sealed, and do not compile.
        return item;
    };
    if function.arguments().first().is_some_and(argument::is_hidden_guard) {
        return released(item, Statement::Kept);
    }
    let item = released(item, Statement::Removed);
    let error = diagnostics::guard_not_first(function.name()).into_compile_error();
    quote!(#item #error)
}

#[derive(Copy, Clone)]
enum Statement {
    Kept,
    /// The misplaced guard is reported, and the statement would only cause a second error.
    Removed,
}

/// Replaces each `path::unsealed! { statement }` by the statement, at any depth: an attribute may have moved the body
/// into a block or an inner function.
fn released(tokens: TokenStream, statement: Statement) -> TokenStream {
    let mut written: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if ends_with_marker(&written) => {
                // The `!` and the path before it.
                written.pop();
                while written.last().is_some_and(is_of_a_path) {
                    written.pop();
                }
                if let Statement::Kept = statement {
                    written.extend(group.stream());
                }
            }
            TokenTree::Group(group) => {
                let inner = released(group.stream(), statement);
                written.push(with_stream(&group, inner).into());
            }
            token => written.push(token),
        }
    }
    written.into_iter().collect()
}

fn ends_with_marker(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., TokenTree::Ident(name), bang] if name == "unsealed" && is_punct(bang, '!'))
}

//! The last attribute of a guarded function: checks that the attributes before it have left the guard first.
//!
//! An extractor that runs before the guard would parse what a stranger sends. Only the final signature shows the
//! order, so this is checked after all other attributes.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use crate::diagnostics;
use crate::item::{Item, argument};
use crate::tokens::{is_of_a_path, is_punct, with_stream};

/// Releases the statement that uses the guard, or reports that the guard is not the first argument.
pub(crate) fn sealed(item: TokenStream) -> TokenStream {
    let Ok(Item::Function(function)) = Item::parse(item.clone()) else {
        // What is in it stays sealed, and does not compile.
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
    /// One message is enough.
    Removed,
}

/// The tokens with each `path::unsealed! { statement }` replaced by the statement, at any depth: the body may have
/// been moved into a block or a function of its own.
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

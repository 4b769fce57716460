//! Small questions about single tokens.

use proc_macro2::{Group, TokenStream, TokenTree};

/// A group with the delimiters and the span of another.
pub(crate) fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut replaced = Group::new(group.delimiter(), stream);
    replaced.set_span(group.span());
    replaced
}

pub(crate) fn is_of_a_path(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(_)) || is_punct(token, ':')
}

pub(crate) fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

//! Small questions about single tokens.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A group with the delimiters and the span of another.
pub(crate) fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut replaced = Group::new(group.delimiter(), stream);
    replaced.set_span(group.span());
    replaced
}

/// Opens the invisible groups around the paths of macro calls, if there are any. A macro by example writes such a group for
/// `$path! { .. }`, and syn does not parse it where a type is.
pub(crate) fn with_open_macro_paths(tokens: TokenStream) -> Option<TokenStream> {
    let mut opened: Vec<TokenTree> = Vec::new();
    let mut is_changed = false;
    for token in tokens {
        if is_punct(&token, '!') {
            while let Some(TokenTree::Group(path)) = opened.pop_if(|last| is_invisible_path(last)) {
                opened.extend(path.stream());
                is_changed = true;
            }
        }
        let arguments = match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                with_open_macro_paths(group.stream()).map(|stream| with_stream(group, stream))
            }
            _ => None,
        };
        is_changed |= arguments.is_some();
        opened.push(arguments.map_or(token, TokenTree::Group));
    }
    is_changed.then(|| opened.into_iter().collect())
}

/// Only of a path: for other tokens, such as those of `$sum != 2`, the group keeps the precedence.
fn is_invisible_path(token: &TokenTree) -> bool {
    let of_path = |token: TokenTree| is_of_a_path(&token) || is_invisible_path(&token);
    matches!(token, TokenTree::Group(group)
        if group.delimiter() == Delimiter::None && group.stream().into_iter().all(of_path))
}

pub(crate) fn is_of_a_path(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(_)) || is_punct(token, ':')
}

pub(crate) fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

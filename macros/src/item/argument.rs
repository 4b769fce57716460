//! The first argument of a function: is it a receiver, or a guard already?

use proc_macro2::{Group, Spacing, TokenTree};

use super::{Nesting, is_punct, path};

/// The tokens of an argument, without its attributes. None where the function takes nothing.
pub(crate) struct Argument(Vec<TokenTree>);

impl Argument {
    pub(super) fn first_of(arguments: &Group) -> Self {
        let mut first = Vec::new();
        let mut nesting = Nesting::default();
        let mut tokens = arguments.stream().into_iter();
        while let Some(token) = tokens.next() {
            if is_punct(&token, ',') && nesting.is_flat() {
                break;
            }
            if is_punct(&token, '#') && first.is_empty() {
                tokens.next();
                continue;
            }
            nesting.pass(&token);
            first.push(token);
        }
        Self(first)
    }

    /// `self`, `&'a mut self`, `mut self`; not a pattern such as `self::State(state)`.
    pub(crate) fn receiver(&self) -> Option<&[TokenTree]> {
        let mut in_lifetime = false;
        for (at, token) in self.0.iter().enumerate() {
            match token {
                TokenTree::Ident(_) if in_lifetime => in_lifetime = false,
                TokenTree::Ident(word) if word == "self" => {
                    let is_path = self.0.get(at + 1).is_some_and(begins_path_separator);
                    return if is_path { None } else { self.0.get(..=at) };
                }
                TokenTree::Ident(word) if word == "mut" => {}
                TokenTree::Punct(punct) if punct.as_char() == '&' => {}
                TokenTree::Punct(punct) if punct.as_char() == '\'' => in_lifetime = true,
                _ => return None,
            }
        }
        None
    }

    /// The whole argument, where its type is our `Guard<..>`: written by hand, or by the attribute under
    /// another name.
    pub(crate) fn guard(&self) -> Option<&[TokenTree]> {
        let path = path(self.ty()?);
        let ours = match path.as_slice() {
            [name] => name == "Guard",
            [.., parent, name] => name == "Guard" && (parent == "private" || parent == "service_only"),
            [] => false,
        };
        let generic = self.0.iter().any(|token| is_punct(token, '<'));
        (ours && generic).then_some(self.0.as_slice())
    }

    /// Whether the type is the hidden argument of `#[public]`.
    pub(crate) fn is_public(&self) -> bool {
        let path = self.ty().map(path).unwrap_or_default();
        matches!(path.as_slice(), [.., parent, name] if parent == "private" && name == "Public")
    }

    fn ty(&self) -> Option<&[TokenTree]> {
        let mut after_joint = false;
        let colon = self.0.iter().position(|token| {
            let found = !after_joint && is_punct(token, ':') && !begins_path_separator(token);
            after_joint = begins_path_separator(token);
            found
        })?;
        self.0.get(colon + 1..)
    }

    #[cfg(test)]
    pub(super) fn tokens(&self) -> &[TokenTree] {
        &self.0
    }
}

/// The first half of `::`. The colon before a type stands alone, also in `_: ::path`.
fn begins_path_separator(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(colon) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
}

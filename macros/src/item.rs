//! The item under the attribute, read only as far as the attribute needs.
//!
//! First stage, beside [`crate::args`]. The compiler has parsed the item before it calls the attribute, so
//! nothing is parsed here again: a walk over the tokens finds the name and the argument list, and everything
//! else, the body above all, stays as it was written.

use std::borrow::Cow;

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;

pub(crate) use argument::Argument;
pub(crate) use block::{Block, Member};
pub(crate) use function::Function;

mod argument;
mod block;
mod function;

/// What the attribute was put on.
pub(crate) enum Item {
    Function(Function),
    Block(Block),
    /// Neither: the word that says what it is.
    Other(Option<Ident>),
}

impl Item {
    pub(crate) fn parse(item: TokenStream) -> Self {
        let mut tokens = item.into_iter();
        let mut seen = Vec::new();
        let mut attributes = Vec::new();
        let mut qualifiers: Vec<Ident> = Vec::new();
        for token in tokens.by_ref() {
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    attributes.push(group.clone());
                }
                TokenTree::Ident(word) if word == "fn" => {
                    seen.push(token);
                    return Function::parse(seen, attributes, qualifiers, tokens)
                        .map_or(Self::Other(None), Self::Function);
                }
                TokenTree::Ident(word) if word == "impl" => {
                    let keyword = word.clone();
                    return Block::parse(seen, attributes, keyword.clone(), tokens)
                        .map_or(Self::Other(Some(keyword)), Self::Block);
                }
                TokenTree::Ident(word) if is_qualifier(word) => qualifiers.push(word.clone()),
                TokenTree::Ident(word) if word == "pub" => {}
                TokenTree::Ident(word) => {
                    // `const NAME` and `extern crate` begin like a function; their first word says what they are.
                    let kind = match qualifiers.last() {
                        Some(last) if last == "const" => last,
                        _ => word,
                    };
                    return Self::Other(Some(kind.clone()));
                }
                // The `#` of an attribute, the `(crate)` of a visibility, the name of an ABI.
                _ => {}
            }
            seen.push(token);
        }
        Self::Other(qualifiers.pop())
    }
}

fn is_qualifier(word: &Ident) -> bool {
    ["const", "async", "unsafe", "safe", "extern"].iter().any(|qualifier| word == qualifier)
}

pub(crate) fn attributes_named<'a>(attributes: &'a [Group], name: &str) -> impl Iterator<Item = &'a Group> {
    attributes.iter().filter(move |attribute| is_named(attribute, name))
}

fn is_named(attribute: &Group, name: &str) -> bool {
    let tokens: Vec<_> = attribute.stream().into_iter().collect();
    path(&flat(&tokens)).last().is_some_and(|last| last == name)
}

/// What an attribute is given: the tokens in its parentheses, or whatever stands after its path.
pub(crate) fn arguments_of(attribute: &Group) -> TokenStream {
    let tokens: Vec<_> = attribute.stream().into_iter().collect();
    let of_the_path = |token: &&TokenTree| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':');
    let rest: Vec<_> = flat(&tokens).iter().skip_while(of_the_path).cloned().collect();
    match rest.as_slice() {
        [TokenTree::Group(arguments)] => arguments.stream(),
        rest => rest.iter().cloned().collect(),
    }
}

/// Without the invisible groups that a macro by example makes of what it passes on.
pub(crate) fn flat(tokens: &[TokenTree]) -> Cow<'_, [TokenTree]> {
    if !tokens.iter().any(is_invisible) {
        return Cow::Borrowed(tokens);
    }
    let mut all = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_invisible(token) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                all.extend_from_slice(&flat(&inner));
            }
            token => all.push(token.clone()),
        }
    }
    Cow::Owned(all)
}

fn is_invisible(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::None)
}

/// A group in the place of another.
pub(crate) fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut replaced = Group::new(group.delimiter(), stream);
    replaced.set_span(group.span());
    replaced
}

/// How deep in angle brackets a walk over tokens stands; they do not come as groups.
#[derive(Default)]
struct Nesting {
    depth: usize,
    after_dash: bool,
}

impl Nesting {
    fn is_flat(&self) -> bool {
        self.depth == 0
    }

    fn pass(&mut self, token: &TokenTree) {
        let punct = match token {
            TokenTree::Punct(punct) => Some(punct),
            _ => None,
        };
        match punct.map(proc_macro2::Punct::as_char) {
            Some('<') => self.depth += 1,
            // The second half of `->` closes nothing.
            Some('>') if !self.after_dash => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.after_dash =
            punct.is_some_and(|punct| punct.as_char() == '-' && punct.spacing() == Spacing::Joint);
    }
}

/// The words of the path that some tokens begin with, without their `r#`.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    tokens
        .iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':'))
        .filter_map(|token| match token {
            TokenTree::Ident(word) => Some(word.unraw().to_string()),
            _ => None,
        })
        .collect()
}

pub(crate) fn is_of_a_path(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(_)) || is_punct(token, ':')
}

pub(crate) fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

#[cfg(test)]
mod tests;

//! The item under the attribute, parsed up to its bodies.
//!
//! First stage, beside [`crate::args`]. Attributes, visibility and signature become syn's types. A body stays the
//! tokens that the user wrote, because an editor expands functions whose bodies are not finished.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, LitStr, Meta, Result};

use crate::tokens::with_open_macro_paths;

pub(crate) use block::{Block, Member};
pub(crate) use function::Function;

pub(crate) mod argument;
mod block;
mod function;

/// What the attribute was put on.
pub(crate) enum Item {
    Function(Box<Function>),
    Block(Box<Block>),
    /// Another item, with the word that names its kind: `struct`, `trait`.
    Other(Option<Ident>),
}

impl Item {
    /// # Errors
    /// When syn cannot parse the signature of a function or the head of an `impl` block.
    pub(crate) fn parse(item: TokenStream) -> Result<Self> {
        let Some((head, end)) = split_end(item) else { return Ok(Self::Other(None)) };
        let parse = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            let visibility = input.parse()?;
            match keyword(&input.fork())? {
                Some(word) if word == "fn" => {
                    let signature = input.parse()?;
                    Function::new(attributes, visibility, signature, end.clone())
                        .map(Box::new)
                        .map(Self::Function)
                }
                Some(word) if word == "impl" && matches!(end, TokenTree::Group(_)) => {
                    Block::parse(attributes, &input.parse()?, &end).map(Box::new).map(Self::Block)
                }
                kind => {
                    input.parse::<TokenStream>()?;
                    Ok(Self::Other(kind))
                }
            }
        };
        parse.parse2(head.clone()).or_else(|error| match with_open_macro_paths(head) {
            Some(opened) => parse.parse2(opened),
            None => Err(error),
        })
    }
}

/// Cuts an item before its last token: the braces of a body or of members, or a semicolon. So syn never reads what is
/// in a body.
fn split_end(item: TokenStream) -> Option<(TokenStream, TokenTree)> {
    let mut tokens: Vec<_> = item.into_iter().collect();
    loop {
        match tokens.pop()? {
            // A macro by example passes a fragment in an invisible group.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => tokens.extend(group.stream()),
            end => return Some((tokens.into_iter().collect(), end)),
        }
    }
}

/// The first word after a visibility that is not a qualifier. A constant starts like a `const fn`, so for it the word is
/// `const`.
fn keyword(input: ParseStream<'_>) -> Result<Option<Ident>> {
    let mut qualifier: Option<Ident> = None;
    while input.peek(Ident::peek_any) {
        let word = input.call(Ident::parse_any)?;
        if !["const", "async", "unsafe", "safe", "extern"].iter().any(|qualifier| word == qualifier) {
            let constant = qualifier.filter(|last| last == "const" && word != "fn");
            return Ok(Some(constant.unwrap_or(word)));
        }
        if word == "extern" {
            input.parse::<Option<LitStr>>()?;
        }
        qualifier = Some(word);
    }
    Ok(qualifier)
}

/// The attributes with this name, by whichever path.
pub(crate) fn attributes_named<'a>(
    attributes: impl IntoIterator<Item = &'a Attribute>,
    name: &str,
) -> impl Iterator<Item = &'a Attribute> {
    attributes.into_iter().filter(move |attribute| is_named(attribute, name))
}

fn is_named(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident.unraw() == name)
}

/// The tokens in the parentheses of an attribute, or those after its path.
pub(crate) fn arguments_of(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(pair) => {
            let (equals, value) = (pair.eq_token, pair.value.to_token_stream());
            quote!(#equals #value)
        }
    }
}

/// Built-in attributes that do not rewrite their item. The compiler rejects a macro of the same name as ambiguous.
const INERT: [&str; 12] = [
    "allow",
    "cfg",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "forbid",
    "inline",
    "must_use",
    "track_caller",
    "warn",
];

fn is_inert(attribute: &Attribute) -> bool {
    attribute.path().get_ident().is_some_and(|name| INERT.iter().any(|inert| name == inert))
}

#[cfg(test)]
mod tests;

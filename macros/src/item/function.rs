//! A function, cut open where the attribute has something to say: at its attributes, its arguments and its body.

use std::cell::OnceCell;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use super::{Argument, Nesting, attributes_named, flat, is_named, is_punct, with_stream};

/// Attributes of the compiler that say something of a function and change nothing about it. By these names alone
/// there are no others: the compiler calls them ambiguous.
const HARMLESS: [&str; 12] = [
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

/// A function, cut at its argument list.
pub(crate) struct Function {
    /// The attributes that stand below this one: what is in their brackets.
    pub(crate) attributes: Vec<Group>,
    /// `const`, `async`, `unsafe`, `extern`.
    pub(crate) qualifiers: Vec<Ident>,
    pub(crate) name: Ident,
    /// All from the first attribute to the end of the generics.
    pub(crate) head: TokenStream,
    pub(crate) arguments: Group,
    /// The same arguments, cut from each other once they are asked for.
    list: OnceCell<Vec<Argument>>,
    /// The return type, the `where` clause and the body, or the semicolon in its place.
    pub(crate) tail: Vec<TokenTree>,
}

impl Function {
    pub(super) fn parse(
        mut head: Vec<TokenTree>,
        attributes: Vec<Group>,
        qualifiers: Vec<Ident>,
        mut tokens: impl Iterator<Item = TokenTree>,
    ) -> Option<Self> {
        // A name in an invisible group is the name all the same.
        let name = match flat(&[tokens.next()?]).as_ref() {
            [TokenTree::Ident(name)] => name.clone(),
            _ => return None,
        };
        head.push(name.clone().into());
        let mut nesting = Nesting::default();
        for token in tokens.by_ref() {
            match token {
                TokenTree::Group(arguments)
                    if nesting.is_flat() && arguments.delimiter() == Delimiter::Parenthesis =>
                {
                    return Some(Self {
                        attributes,
                        qualifiers,
                        name,
                        head: head.into_iter().collect(),
                        arguments,
                        list: OnceCell::new(),
                        tail: tokens.map(with_visible_braces).collect(),
                    });
                }
                // Between the name and the arguments there are generics, and nothing else.
                token if nesting.is_flat() && !is_punct(&token, '<') => return None,
                token => {
                    nesting.pass(&token);
                    head.push(token);
                }
            }
        }
        None
    }

    pub(crate) fn argument_list(&self) -> &[Argument] {
        self.list.get_or_init(|| Argument::all_of(&self.arguments))
    }

    /// Whether no attribute that stands below this one can rewrite the function.
    pub(crate) fn is_final(&self) -> bool {
        self.attributes.iter().all(is_harmless)
    }

    /// The same function with one attribute more, which the compiler expands after all others.
    pub(crate) fn with_last_attribute(self, path: &impl ToTokens) -> Self {
        let head: Vec<_> = self.head.into_iter().collect();
        let mut end = 0;
        while let Some([hash, TokenTree::Group(_)]) = head.get(end..end + 2)
            && is_punct(hash, '#')
        {
            end += 2;
        }
        let (attributes, rest) = head.split_at(end);
        Self { head: quote!(#(#attributes)* #[#path] #(#rest)*), ..self }
    }

    /// `self`, by whichever reference.
    pub(crate) fn receiver(&self) -> Option<&[TokenTree]> {
        self.argument_list().first().and_then(Argument::receiver)
    }

    /// The same function with other arguments.
    pub(crate) fn with_arguments(self, arguments: TokenStream) -> Self {
        Self { arguments: with_stream(&self.arguments, arguments), list: OnceCell::new(), ..self }
    }

    /// The same function with another body, made of the tokens of this one.
    pub(crate) fn map_body(mut self, map: impl FnOnce(TokenStream) -> TokenStream) -> Self {
        if let Some(TokenTree::Group(body)) = self.tail.last_mut() {
            *body = with_stream(body, map(body.stream()));
        }
        self
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        let mut tokens = self.head;
        tokens.extend([TokenTree::Group(self.arguments)]);
        tokens.extend(self.tail);
        tokens
    }

    /// The attributes with this name, by whichever path.
    pub(crate) fn attributes_named(&self, name: &str) -> impl Iterator<Item = &Group> {
        attributes_named(&self.attributes, name)
    }

    /// Takes the attributes with this name away.
    pub(crate) fn without_attributes_named(self, name: &str) -> Self {
        let attributes = self.attributes.into_iter().filter(|attribute| !is_named(attribute, name)).collect();
        let mut head: Vec<TokenTree> = Vec::new();
        for token in self.head {
            match &token {
                TokenTree::Group(group)
                    if head.last().is_some_and(|last| is_punct(last, '#')) && is_named(group, name) =>
                {
                    head.pop();
                }
                _ => head.push(token),
            }
        }
        Self { attributes, head: head.into_iter().collect(), ..self }
    }

    /// The `...` of a variadic function. Those of patterns stand inside groups.
    pub(crate) fn variadic_dots(&self) -> Vec<TokenTree> {
        let tokens = self.argument_list().iter().flat_map(Argument::tokens);
        tokens.filter(|token| is_punct(token, '.')).cloned().collect()
    }

    /// Where the return type stands, or the name of a function that returns nothing.
    pub(crate) fn return_span(&self) -> Span {
        let mut tokens = self.tail.iter();
        tokens.by_ref().find(|token| is_punct(token, '>'));
        match tokens.next() {
            Some(ty) if matches!(self.tail.first(), Some(dash) if is_punct(dash, '-')) => ty.span(),
            _ => self.name.span(),
        }
    }

    pub(crate) fn is_async(&self) -> bool {
        self.qualifiers.iter().any(|word| word == "async")
    }

    /// Whether `#[async_trait]` has written it: its lifetime is there.
    pub(crate) fn is_desugared(&self) -> bool {
        let mut tokens = self.head.clone().into_iter();
        let lifetimes =
            std::iter::from_fn(|| tokens.by_ref().find(|token| is_punct(token, '\'')).and(tokens.next()));
        lifetimes
            .into_iter()
            .any(|lifetime| matches!(lifetime, TokenTree::Ident(name) if name == "async_trait"))
    }

    /// Whether `Self`, or the type by this name, is in the return type.
    pub(crate) fn returns(&self, ty: Option<&Ident>) -> bool {
        let is_own = |token: TokenTree| match token {
            TokenTree::Ident(word) => word == "Self" || ty.is_some_and(|ty| word == *ty),
            _ => false,
        };
        let before_body =
            self.tail.iter().take_while(|token| !matches!(token, TokenTree::Ident(word) if word == "where"));
        let before_body = before_body.take(self.tail.len().saturating_sub(1));
        before_body.flat_map(leaves).any(is_own)
    }

    pub(crate) fn has_body(&self) -> bool {
        matches!(self.tail.last(), Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace)
    }
}

pub(super) fn is_harmless(attribute: &Group) -> bool {
    let tokens: Vec<_> = attribute.stream().into_iter().collect();
    match flat(&tokens).as_ref() {
        [TokenTree::Ident(name), rest @ ..] => {
            HARMLESS.iter().any(|harmless| name == harmless)
                && !rest.first().is_some_and(|next| is_punct(next, ':'))
        }
        _ => false,
    }
}

/// The tokens within all groups.
fn leaves(token: &TokenTree) -> Vec<TokenTree> {
    match token {
        TokenTree::Group(group) => group.stream().into_iter().flat_map(|token| leaves(&token)).collect(),
        token => vec![token.clone()],
    }
}

/// The body, where a macro by example has put it into an invisible group.
pub(super) fn with_visible_braces(token: TokenTree) -> TokenTree {
    match flat(std::slice::from_ref(&token)).as_ref() {
        [TokenTree::Group(body)] if body.delimiter() == Delimiter::Brace => body.clone().into(),
        _ => token,
    }
}

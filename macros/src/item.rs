//! The item under the attribute, read only as far as the attribute needs.
//!
//! First stage, beside [`crate::args`]. The compiler has parsed the item before it calls the attribute, so
//! nothing is parsed here again: a walk over the tokens finds the name and the argument list, and everything
//! else, the body above all, stays as it was written.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

pub(crate) use argument::Argument;

mod argument;

/// What the attribute was put on.
pub(crate) enum Item {
    Function(Function),
    /// Not a function: the word that says what it is.
    Other(Option<Ident>),
}

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
    /// The return type, the `where` clause and the body, or the semicolon in its place.
    pub(crate) tail: Vec<TokenTree>,
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

impl Function {
    fn parse(
        mut head: Vec<TokenTree>,
        attributes: Vec<Group>,
        qualifiers: Vec<Ident>,
        mut tokens: impl Iterator<Item = TokenTree>,
    ) -> Option<Self> {
        let mut name = None;
        let mut nesting = Nesting::default();
        for token in tokens.by_ref() {
            match (token, &name) {
                (TokenTree::Group(arguments), Some(_))
                    if nesting.is_flat() && arguments.delimiter() == Delimiter::Parenthesis =>
                {
                    return Some(Self {
                        attributes,
                        qualifiers,
                        name: name?,
                        head: head.into_iter().collect(),
                        arguments,
                        tail: tokens.collect(),
                    });
                }
                (TokenTree::Ident(ident), None) => {
                    name = Some(ident.clone());
                    head.push(ident.into());
                }
                (token, _) => {
                    nesting.pass(&token);
                    head.push(token);
                }
            }
        }
        None
    }

    pub(crate) fn argument_list(&self) -> Vec<Argument> {
        Argument::all_of(&self.arguments)
    }

    pub(crate) fn first_argument(&self) -> Argument {
        self.argument_list().into_iter().next().unwrap_or_default()
    }

    /// The same function with other arguments.
    pub(crate) fn with_arguments(self, arguments: TokenStream) -> Self {
        Self { arguments: with_stream(&self.arguments, arguments), ..self }
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
        self.attributes.iter().filter(move |attribute| {
            let tokens: Vec<_> = attribute.stream().into_iter().collect();
            path(&tokens).last().is_some_and(|last| last == name)
        })
    }

    /// The `...` of a variadic function. Those of patterns stand inside groups.
    pub(crate) fn variadic_dots(&self) -> Vec<TokenTree> {
        let tokens = self.arguments.stream().into_iter();
        tokens.filter(|token| is_punct(token, '.')).collect()
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

    pub(crate) fn has_body(&self) -> bool {
        matches!(self.tail.last(), Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace)
    }
}

/// A group in the place of another.
fn with_stream(group: &Group, stream: TokenStream) -> Group {
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

/// The words of the path that some tokens begin with.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    tokens
        .iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':'))
        .filter_map(|token| match token {
            TokenTree::Ident(word) => Some(word.to_string()),
            _ => None,
        })
        .collect()
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

#[cfg(test)]
mod tests;

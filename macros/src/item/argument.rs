//! The arguments of a function: is one a receiver, a guard already, or what says who calls?

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

use syn::ext::IdentExt;

use super::{Nesting, flat, is_of_a_path, is_punct, path};

/// One argument, cut from the others. Empty where the function takes nothing.
#[derive(Clone, Default)]
pub(crate) struct Argument {
    attributes: Vec<TokenTree>,
    /// The pattern, the colon and the type.
    tokens: Vec<TokenTree>,
    comma: Option<TokenTree>,
}

impl Argument {
    pub(super) fn all_of(arguments: &Group) -> Vec<Self> {
        let mut all = Vec::new();
        let mut argument = Self::default();
        let mut nesting = Nesting::default();
        let mut tokens = arguments.stream().into_iter();
        while let Some(token) = tokens.next() {
            if is_punct(&token, ',') && nesting.is_flat() {
                argument.comma = Some(token);
                all.push(std::mem::take(&mut argument));
            } else if is_punct(&token, '#') && argument.tokens.is_empty() {
                argument.attributes.push(token);
                argument.attributes.extend(tokens.next());
            } else {
                nesting.pass(&token);
                argument.tokens.push(token);
            }
        }
        if !argument.tokens.is_empty() {
            all.push(argument);
        }
        all
    }

    /// `self`, `&'a mut self`, `mut self`; not a pattern such as `self::State(state)`.
    pub(crate) fn receiver(&self) -> Option<&[TokenTree]> {
        let mut in_lifetime = false;
        for (at, token) in self.tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(_) if in_lifetime => in_lifetime = false,
                TokenTree::Ident(word) if word == "self" => {
                    let is_path = begins_path_separator(self.tokens.get(at + 1..).unwrap_or_default());
                    return if is_path { None } else { self.tokens.get(..=at) };
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
        let path = path(&flat(self.ty()?));
        let ours = match path.as_slice() {
            [name] => name == "Guard",
            [.., parent, name] => name == "Guard" && (parent == "private" || parent == "service_only"),
            [] => false,
        };
        let generic = || flat(&self.tokens).iter().any(|token| is_punct(token, '<'));
        (ours && generic()).then_some(self.tokens.as_slice())
    }

    /// Whether the type is the hidden argument of `#[public]`.
    pub(crate) fn is_public(&self) -> bool {
        self.is_private("Public")
    }

    /// Whether the type is the hidden argument of `#[service_only]`, as the attribute writes it. A type of the user
    /// may be called `Guard` too.
    pub(crate) fn is_hidden_guard(&self) -> bool {
        self.is_private("Guard")
    }

    fn is_private(&self, hidden: &str) -> bool {
        let path = path(&flat(self.ty().unwrap_or_default()));
        matches!(path.as_slice(), [.., parent, name] if parent == "private" && name == hidden)
    }

    /// Whether the type is `&ServiceClaims` or `&Caller`, by whichever path and lifetime: what a function is
    /// given that no framework calls. A type that only hides behind such a name does not compile.
    pub(crate) fn says_who_calls(&self) -> bool {
        let ty = flat(self.ty().unwrap_or_default());
        let referent = match ty.as_ref() {
            [and, tick, TokenTree::Ident(_), rest @ ..] if is_punct(and, '&') && is_punct(tick, '\'') => rest,
            [and, rest @ ..] if is_punct(and, '&') => rest,
            _ => return false,
        };
        last_of_path(referent).is_some_and(|name| name == "ServiceClaims" || name == "Caller")
    }

    /// Whether the type is a caller or claims however it is spelled: in parentheses, behind several
    /// references, with empty generics. No more than a spelling can be seen; an alias cannot.
    pub(crate) fn names_who_calls(&self) -> bool {
        names_who_calls(self.ty().unwrap_or_default())
    }

    /// The type, where it is the path of a type without generics. Behind a condition it may not be there.
    pub(crate) fn named_type(&self) -> Option<&[TokenTree]> {
        let ty = self.ty()?;
        let is_word =
            |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word != "dyn" && word != "impl");
        let is_named = ty.iter().all(|token| is_word(token) || is_punct(token, ':'));
        (is_named && self.receiver().is_none() && self.cfg().is_none()).then_some(ty)
    }

    /// The attribute that may take the argument away.
    pub(crate) fn cfg(&self) -> Option<&Group> {
        self.attributes.iter().find_map(|token| match token {
            TokenTree::Group(attribute) => {
                let tokens: Vec<_> = attribute.stream().into_iter().collect();
                let name = path(&flat(&tokens)).pop()?;
                (name == "cfg" || name == "cfg_attr").then_some(attribute)
            }
            _ => None,
        })
    }

    /// The name that the pattern is, without its `mut`; `None` for a pattern that takes something apart.
    pub(crate) fn name(&self) -> Option<&Ident> {
        match self.pattern() {
            [TokenTree::Ident(name)] if name != "_" => Some(name),
            [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "mut" => Some(name),
            _ => None,
        }
    }

    pub(crate) fn pattern(&self) -> &[TokenTree] {
        self.colon().and_then(|colon| self.tokens.get(..colon)).unwrap_or_default()
    }

    /// The same argument with another pattern.
    pub(crate) fn with_pattern(self, pattern: &Ident) -> Self {
        let rest = self.colon().and_then(|colon| self.tokens.get(colon..)).unwrap_or_default();
        let tokens = std::iter::once(pattern.clone().into()).chain(rest.iter().cloned()).collect();
        Self { tokens, ..self }
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        self.attributes.into_iter().chain(self.tokens).chain(self.comma).collect()
    }

    /// Where the type stands.
    pub(crate) fn type_span(&self) -> Option<Span> {
        let ty = self.ty()?;
        ty.iter().find(|token| matches!(token, TokenTree::Ident(_))).or(ty.first()).map(TokenTree::span)
    }

    /// The pattern, the colon and the type.
    pub(crate) fn tokens(&self) -> &[TokenTree] {
        &self.tokens
    }

    fn ty(&self) -> Option<&[TokenTree]> {
        self.colon().and_then(|colon| self.tokens.get(colon + 1..))
    }

    fn colon(&self) -> Option<usize> {
        let mut in_separator = false;
        (0..self.tokens.len()).find(|at| {
            let rest = self.tokens.get(*at..).unwrap_or_default();
            let separator = begins_path_separator(rest);
            let found = !in_separator && !separator && rest.first().is_some_and(|token| is_punct(token, ':'));
            in_separator = separator;
            found
        })
    }
}

/// Whether the tokens begin with `::`. The colon before a type may be joint too, as in `caller:&Caller`.
fn begins_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(colon), next, ..]
        if colon.as_char() == ':' && colon.spacing() == Spacing::Joint && is_punct(next, ':'))
}

fn names_who_calls(ty: &[TokenTree]) -> bool {
    let ty = flat(ty);
    let mut referent = ty.as_ref();
    loop {
        referent = match referent {
            [and, rest @ ..] if is_punct(and, '&') => rest,
            [tick, TokenTree::Ident(_), rest @ ..] if is_punct(tick, '\'') => rest,
            [TokenTree::Ident(word), rest @ ..] if word == "mut" => rest,
            [rest @ .., open, close] if is_punct(open, '<') && is_punct(close, '>') => rest,
            [TokenTree::Group(inner)] if inner.delimiter() == Delimiter::Parenthesis => {
                return names_who_calls(&inner.stream().into_iter().collect::<Vec<_>>());
            }
            _ => break,
        };
    }
    last_of_path(referent).is_some_and(|name| name == "ServiceClaims" || name == "Caller")
}

/// The last word of tokens that are a path and nothing else.
fn last_of_path(tokens: &[TokenTree]) -> Option<Ident> {
    match tokens {
        [TokenTree::Ident(name)] => Some(name.unraw()),
        [.., colon, TokenTree::Ident(name)] if is_punct(colon, ':') && tokens.iter().all(is_of_a_path) => {
            Some(name.unraw())
        }
        _ => None,
    }
}

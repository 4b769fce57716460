//! An `impl` block, cut at its members. Like a function, it was parsed by the compiler; this walk only finds
//! where each member ends, so that methods can be guarded one by one and all else stays as it was written.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::quote;

use super::function::with_visible_braces;
use super::{Function, Item, Nesting, flat, is_punct, is_qualifier, with_stream};

pub(crate) struct Block {
    /// The attributes that stand below this one: what is in their brackets.
    pub(crate) attributes: Vec<Group>,
    /// The word `impl`.
    pub(crate) keyword: Ident,
    /// Whether a trait is implemented, whose signatures are fixed.
    pub(crate) of_a_trait: bool,
    /// The name of the type, where it has one.
    pub(crate) ty: Option<Ident>,
    pub(crate) members: Vec<Member>,
    /// All before the braces.
    head: Vec<TokenTree>,
    inner_attributes: Vec<TokenTree>,
    body: Group,
}

pub(crate) enum Member {
    Function(Box<Function>),
    /// A constant or a type.
    Value(TokenStream),
    /// A macro that is called here, which may write anything.
    Opaque(TokenStream),
}

impl Block {
    /// `keyword` has been read; `tokens` are those that follow it.
    pub(super) fn parse(
        mut head: Vec<TokenTree>,
        attributes: Vec<Group>,
        keyword: Ident,
        tokens: impl Iterator<Item = TokenTree>,
    ) -> Option<Self> {
        let mut rest: Vec<_> = tokens.collect();
        let Some(TokenTree::Group(body)) = rest.pop() else {
            return None;
        };
        if body.delimiter() != Delimiter::Brace {
            return None;
        }
        let (of_a_trait, ty) = implemented(&rest);
        head.push(keyword.clone().into());
        head.extend(rest);
        let (inner_attributes, members) = inside(body.stream());
        Some(Self { attributes, keyword, of_a_trait, ty, members, head, inner_attributes, body })
    }

    /// The block around other members.
    pub(crate) fn with_members(self, members: impl IntoIterator<Item = TokenStream>) -> TokenStream {
        let (head, inner) = (self.head, self.inner_attributes);
        let members = members.into_iter();
        let body = with_stream(&self.body, quote!(#(#inner)* #(#members)*));
        quote!(#(#head)* #body)
    }
}

impl Member {
    fn take(first: TokenTree, tokens: &mut impl Iterator<Item = TokenTree>) -> Self {
        let mut taken: Vec<TokenTree> = Vec::new();
        let mut kind = None;
        let mut nesting = Nesting::default();
        for token in std::iter::once(first).chain(tokens).map(with_visible_braces) {
            kind = kind.or_else(|| Kind::told_by(&token, taken.last()));
            if let Some(Kind::Function) = kind {
                nesting.pass(&token);
            }
            let brace = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            let semicolon = is_punct(&token, ';');
            taken.push(token);
            let ends = match kind {
                Some(Kind::Function) => nesting.is_flat() && (brace || semicolon),
                Some(Kind::Value) => semicolon,
                Some(Kind::Macro) => brace || semicolon,
                None => false,
            };
            if ends {
                break;
            }
        }
        let tokens: TokenStream = taken.into_iter().collect();
        match (kind, Item::parse(tokens.clone())) {
            (Some(Kind::Function), Item::Function(function)) => Self::Function(Box::new(function)),
            (Some(Kind::Value), _) => Self::Value(tokens),
            _ => Self::Opaque(tokens),
        }
    }
}

#[derive(Copy, Clone)]
enum Kind {
    Function,
    Value,
    Macro,
}

impl Kind {
    /// What a member is, at the first token that tells.
    fn told_by(token: &TokenTree, before: Option<&TokenTree>) -> Option<Self> {
        let before = match before {
            Some(TokenTree::Ident(word)) => Some(word),
            _ => None,
        };
        match token {
            TokenTree::Ident(word) if word == "fn" => Some(Self::Function),
            TokenTree::Ident(word) if word == "type" => Some(Self::Value),
            TokenTree::Ident(word) if before.is_some_and(|before| before == "const") => {
                (!is_qualifier(word)).then_some(Self::Value)
            }
            TokenTree::Punct(bang) if bang.as_char() == '!' => before.map(|_| Self::Macro),
            _ => None,
        }
    }
}

/// Whether a trait is implemented, and the last name of the type's path.
fn implemented(tokens: &[TokenTree]) -> (bool, Option<Ident>) {
    let mut nesting = Nesting::default();
    let mut ty: Vec<TokenTree> = Vec::new();
    let mut of_a_trait = false;
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        let word = match token {
            TokenTree::Ident(word) if nesting.is_flat() => word.to_string(),
            _ => String::new(),
        };
        match word.as_str() {
            "where" => break,
            // A lifetime may be quantified within a type: `for<'a> fn(&'a T)`.
            "for" if !tokens.peek().is_some_and(|next| is_punct(next, '<')) => {
                of_a_trait = true;
                ty.clear();
                continue;
            }
            _ => {}
        }
        let outside = nesting.is_flat();
        nesting.pass(token);
        if outside && nesting.is_flat() {
            ty.push(token.clone());
        }
    }
    let ty = flat(&ty);
    let is_path = ty
        .iter()
        .all(|token| matches!(token, TokenTree::Ident(word) if word != "dyn") || is_punct(token, ':'));
    let name = match ty.last() {
        Some(TokenTree::Ident(name)) if is_path => Some(name.clone()),
        _ => None,
    };
    (of_a_trait, name)
}

/// The inner attributes and the members of a block.
fn inside(body: TokenStream) -> (Vec<TokenTree>, Vec<Member>) {
    let mut tokens = body.into_iter().peekable();
    let mut inner_attributes = Vec::new();
    let mut members = Vec::new();
    while let Some(first) = tokens.next() {
        if is_punct(&first, '#') && tokens.peek().is_some_and(|next| is_punct(next, '!')) {
            inner_attributes.push(first);
            inner_attributes.extend(tokens.by_ref().take(2));
            continue;
        }
        members.push(Member::take(first, &mut tokens));
    }
    (inner_attributes, members)
}

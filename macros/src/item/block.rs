//! An `impl` block, cut at its members. Like a function, it was parsed by the compiler; this walk only finds
//! where each member ends, so that methods can be guarded one by one and all else stays as it was written.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::quote;

use super::function::{is_harmless, with_visible_braces};
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

    /// Whether no attribute that stands below this one can rewrite the block.
    pub(crate) fn is_final(&self) -> bool {
        self.attributes.iter().all(is_harmless)
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
    fn take(tokens: &mut Rest) -> Option<Self> {
        let mut taken: Vec<TokenTree> = Vec::new();
        let mut kind = None;
        let mut nesting = Nesting::default();
        let mut ends = false;
        while !ends && let Some(token) = tokens.next(kind) {
            let found = kind.is_none().then(|| Kind::told_by(&token, taken.last())).flatten();
            if let Some(found) = found {
                // Whatever else stood before the keyword would be written out unseen.
                kind = Some(if is_prelude(found.prelude(&taken)) { found } else { Kind::Other });
            }
            if let Some(Kind::Function) = kind {
                nesting.pass(&token);
            }
            let brace = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            let semicolon = is_punct(&token, ';');
            ends = match kind {
                Some(Kind::Function) => {
                    nesting.is_flat() && (semicolon || brace && !ends_with_macro_name(&taken))
                }
                Some(Kind::Value) => semicolon,
                Some(Kind::Other) => brace || semicolon,
                None => false,
            };
            taken.push(token);
        }
        let functions = functions(&taken);
        let tokens: TokenStream = taken.into_iter().collect();
        if tokens.is_empty() {
            return None;
        }
        Some(match (kind, Item::parse(tokens.clone())) {
            (Some(Kind::Function), Item::Function(function)) if ends && functions == 1 => {
                Self::Function(Box::new(function))
            }
            (Some(Kind::Value), _) if ends && functions == 0 => Self::Value(tokens),
            _ => Self::Opaque(tokens),
        })
    }
}

#[derive(Copy, Clone)]
enum Kind {
    Function,
    Value,
    /// A macro, or something that no `impl` block should hold.
    Other,
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
                (word == "safe" || !is_qualifier(word)).then_some(Self::Value)
            }
            TokenTree::Punct(bang) if bang.as_char() == '!' => before.map(|_| Self::Other),
            _ => None,
        }
    }

    /// What stands before the keyword, of what was read before the token that told.
    fn prelude(self, taken: &[TokenTree]) -> &[TokenTree] {
        match (self, taken) {
            (Self::Value, [before @ .., TokenTree::Ident(word)]) if word == "const" => before,
            _ => taken,
        }
    }
}

/// Whether these are attributes, a visibility and qualifiers, and nothing else.
fn is_prelude(tokens: &[TokenTree]) -> bool {
    match tokens {
        [] => true,
        [hash, TokenTree::Group(attribute), rest @ ..]
            if is_punct(hash, '#') && attribute.delimiter() == Delimiter::Bracket =>
        {
            is_prelude(rest)
        }
        [TokenTree::Ident(word), TokenTree::Group(within), rest @ ..]
            if word == "pub" && within.delimiter() == Delimiter::Parenthesis =>
        {
            is_prelude(rest)
        }
        [TokenTree::Ident(word), TokenTree::Literal(_), rest @ ..] if word == "extern" => is_prelude(rest),
        [TokenTree::Ident(word), rest @ ..] if word == "pub" || word == "default" || is_qualifier(word) => {
            is_prelude(rest)
        }
        _ => false,
    }
}

/// Whether the braces that follow are those of a macro, which writes a type, and no body. The type `!` is no
/// macro, nor is it after `->`, `&mut` or a lifetime.
fn ends_with_macro_name(tokens: &[TokenTree]) -> bool {
    match tokens {
        [.., tick, TokenTree::Ident(_), bang] if is_punct(tick, '\'') && is_punct(bang, '!') => false,
        [.., TokenTree::Ident(word), bang] if is_punct(bang, '!') => word != "mut" && word != "const",
        [.., TokenTree::Group(path), bang] => path.delimiter() == Delimiter::None && is_punct(bang, '!'),
        _ => false,
    }
}

/// How many functions begin in these tokens. After the `fn` of a type there is no name.
fn functions(member: &[TokenTree]) -> usize {
    let words = flat(member);
    let pairs = words.windows(2);
    pairs.filter(|pair| matches!(pair, [TokenTree::Ident(word), TokenTree::Ident(_)] if word == "fn")).count()
}

/// The tokens of a block that are still to be read. A macro by example passes fragments on in invisible groups,
/// and these are opened where the end of a member could be hidden in one. Elsewhere they stay, since they hold
/// together what belongs together, such as the sum in `2 * $sum`.
struct Rest(Vec<TokenTree>);

impl Rest {
    fn of(body: TokenStream) -> Self {
        let mut tokens: Vec<_> = body.into_iter().collect();
        tokens.reverse();
        Self(tokens)
    }

    /// The next token, within a member of this kind.
    fn next(&mut self, kind: Option<Kind>) -> Option<TokenTree> {
        loop {
            let token = with_visible_braces(self.0.pop()?);
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::None && may_end(group, kind) => {
                    self.0.extend(Self::of(group.stream()).0);
                }
                _ => return Some(token),
            }
        }
    }

    fn starts_with(&self, puncts: [char; 2]) -> bool {
        self.0.iter().rev().zip(puncts).filter(|(token, punct)| is_punct(token, *punct)).count() == 2
    }
}

/// Whether a member of this kind may end in an invisible group.
fn may_end(group: &Group, kind: Option<Kind>) -> bool {
    let tokens: Vec<_> = group.stream().into_iter().collect();
    let semicolon = |token: &TokenTree| is_punct(token, ';');
    let brace =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    match kind {
        None => true,
        // The value of a constant may have braces in it.
        Some(Kind::Value) => flat(&tokens).iter().any(semicolon),
        Some(Kind::Function | Kind::Other) => {
            flat(&tokens).iter().any(|token| semicolon(token) || brace(token))
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
    let mut tokens = Rest::of(body);
    let mut inner_attributes = Vec::new();
    while tokens.starts_with(['#', '!']) {
        inner_attributes.extend((0..3).filter_map(|_| tokens.0.pop()));
    }
    let members = std::iter::from_fn(|| Member::take(&mut tokens)).collect();
    (inner_attributes, members)
}

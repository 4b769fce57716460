//! An `impl` block and its members. Each method becomes a [`Function`], so methods are guarded one by one.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{AttrStyle, Attribute, Error, ImplItem, ItemImpl, Result, Type};

use super::argument::ungrouped;
use super::{Function, is_inert, keyword};
use crate::tokens::{with_open_macro_paths, with_stream};

pub(crate) struct Block {
    pub(crate) members: Vec<Member>,
    /// The block without its members.
    item: ItemImpl,
}

/// What an `impl` block holds.
pub(crate) enum Member {
    Function(Box<Function>),
    /// A constant or a type.
    Value(TokenStream),
    /// A macro call, which may write anything.
    Macro(TokenStream),
    /// What syn cannot parse, with all that follows in the block.
    Unknown(Error, TokenStream),
}

impl Block {
    /// `head` is all between the attributes and the members.
    pub(crate) fn parse(mut attributes: Vec<Attribute>, head: &TokenStream, end: &TokenTree) -> Result<Self> {
        let (members, braces) = match end {
            TokenTree::Group(group) => (group.stream(), with_stream(group, TokenStream::new())),
            end => return Err(Error::new(end.span(), "expected the members of a block")),
        };
        let item: ItemImpl = syn::parse2(quote!(#head #braces))?;
        let (inner_attributes, mut parsed) = inside.parse2(members.clone())?;
        if let Some(Member::Unknown(..)) = parsed.last()
            && let Some(opened) = with_open_macro_paths(members)
        {
            (_, parsed) = inside.parse2(opened)?;
        }
        attributes.extend(inner_attributes);
        Ok(Self { members: parsed, item: ItemImpl { attrs: attributes, ..item } })
    }

    /// The attributes below this one.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.item.attrs.iter().filter(|attribute| matches!(attribute.style, AttrStyle::Outer))
    }

    /// The word `impl`.
    pub(crate) fn keyword(&self) -> Ident {
        Ident::new("impl", self.item.impl_token.span)
    }

    /// Whether it implements a trait, whose signatures are fixed.
    pub(crate) fn is_of_a_trait(&self) -> bool {
        self.item.trait_.is_some()
    }

    /// The name of the type, if the type is a path.
    pub(crate) fn type_name(&self) -> Option<&Ident> {
        match ungrouped(&self.item.self_ty) {
            Type::Path(ty) => ty.path.segments.last().map(|last| &last.ident),
            _ => None,
        }
    }

    /// Whether no attribute below this one can rewrite the block.
    pub(crate) fn is_final(&self) -> bool {
        self.attributes().all(is_inert)
    }

    /// The block around other members.
    pub(crate) fn with_members(self, members: impl IntoIterator<Item = TokenStream>) -> TokenStream {
        let items = members.into_iter().map(ImplItem::Verbatim).collect();
        ItemImpl { items, ..self.item }.into_token_stream()
    }
}

/// The inner attributes and the members of a block.
fn inside(input: ParseStream<'_>) -> Result<(Vec<Attribute>, Vec<Member>)> {
    let inner_attributes = input.call(Attribute::parse_inner)?;
    let mut members = Vec::new();
    while !input.is_empty() {
        let member = input.fork();
        match member.parse() {
            Ok(read) => {
                members.push(read);
                input.advance_to(&member);
            }
            // The members before it may have mistakes too, and all are reported.
            Err(error) => members.push(Member::Unknown(error, input.parse()?)),
        }
    }
    Ok((inner_attributes, members))
}

impl Parse for Member {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let begin = input.fork();
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let keyword = keyword(&input.fork())?;
        if keyword.as_ref().is_some_and(|word| word == "fn") {
            return Function::parse_member(attributes, visibility, input).map(Box::new).map(Self::Function);
        }
        let member = begin.parse::<ImplItem>()?.into_token_stream();
        input.advance_to(&begin);
        let is_value = keyword.is_some_and(|word| word == "const" || word == "type");
        Ok(if is_value { Self::Value(member) } else { Self::Macro(member) })
    }
}

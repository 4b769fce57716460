//! An `impl` block and its members. Each method becomes a [`Function`], so methods are guarded one by one.

use proc_macro2::{Group, Ident, TokenStream};
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
    /// `head` is all before the braces.
    pub(crate) fn parse(head: &TokenStream, members: &Group) -> Result<Self> {
        let braces = with_stream(members, TokenStream::new());
        let mut item: ItemImpl = syn::parse2(quote!(#head #braces))?;
        let (inner_attributes, members) = inside.parse2(with_open_macro_paths(members.stream()))?;
        item.attrs.extend(inner_attributes);
        Ok(Self { members, item })
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
        match keyword(&input.fork())? {
            Some(word) if word == "fn" => input.parse().map(Box::new).map(Self::Function),
            Some(word) if word == "const" || word == "type" => {
                input.parse::<ImplItem>().map(|value| Self::Value(value.into_token_stream()))
            }
            _ => input.parse::<ImplItem>().map(|item| Self::Macro(item.into_token_stream())),
        }
    }
}

//! A function: syn's signature around a body of raw tokens.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Receiver, Result, ReturnType, Safety, Signature, Token, Visibility};

use super::{attributes_named, is_inert, is_named};
use crate::tokens::with_stream;

/// A function or a method.
pub(crate) struct Function {
    /// The attributes below this one.
    pub(crate) attributes: Vec<Attribute>,
    /// Attributes that the expansion adds below those of the user.
    added_attributes: TokenStream,
    visibility: Visibility,
    pub(crate) signature: Signature,
    /// The braces of the body, or the semicolon of a declaration.
    body: TokenTree,
}

impl Function {
    pub(crate) fn new(
        attributes: Vec<Attribute>,
        visibility: Visibility,
        signature: Signature,
        body: TokenTree,
    ) -> Result<Self> {
        let is_end = match &body {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            _ => false,
        };
        if !is_end {
            return Err(Error::new(body.span(), "expected the body of a function"));
        }
        Ok(Self { attributes, added_attributes: TokenStream::new(), visibility, signature, body })
    }

    /// Parses the signature and the body of a member, which other members follow.
    pub(crate) fn parse_member(
        attributes: Vec<Attribute>,
        visibility: Visibility,
        input: ParseStream<'_>,
    ) -> Result<Self> {
        let signature = input.parse()?;
        let mut body: TokenTree = input.parse()?;
        // A macro by example passes a block in an invisible group.
        while let Some(inner) = only_token_of_invisible(&body) {
            body = inner;
        }
        Self::new(attributes, visibility, signature, body)
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.signature.ident
    }

    pub(crate) fn arguments(&self) -> &Punctuated<FnArg, Token![,]> {
        &self.signature.inputs
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.signature.receiver()
    }

    /// Whether no attribute below this one can rewrite the function.
    pub(crate) fn is_final(&self) -> bool {
        self.attributes.iter().all(is_inert)
    }

    /// Adds an attribute that the compiler expands after all others.
    pub(crate) fn add_last_attribute(&mut self, attribute: &impl ToTokens) {
        self.added_attributes.append_all(quote::quote!(#[#attribute]));
    }

    /// The same function with another body, made of the tokens of this one.
    pub(crate) fn map_body(mut self, map: impl FnOnce(TokenStream) -> TokenStream) -> Self {
        if let TokenTree::Group(body) = &mut self.body {
            *body = with_stream(body, map(body.stream()));
        }
        self
    }

    /// The attributes with this name, by whichever path.
    pub(crate) fn attributes_named(&self, name: &str) -> impl Iterator<Item = &Attribute> {
        attributes_named(&self.attributes, name)
    }

    pub(crate) fn remove_attributes_named(&mut self, name: &str) {
        self.attributes.retain(|attribute| !is_named(attribute, name));
    }

    /// The span of the return type, or of the name of a function that returns nothing.
    pub(crate) fn return_span(&self) -> Span {
        match &self.signature.output {
            ReturnType::Default => self.name().span(),
            ReturnType::Type(_, ty) => ty.span(),
        }
    }

    pub(crate) fn is_async(&self) -> bool {
        self.signature.asyncness.is_some()
    }

    /// The qualifiers that a guarded function cannot have.
    pub(crate) fn refused_qualifiers(&self) -> impl Iterator<Item = Ident> {
        let Signature { constness, safety, abi, .. } = &self.signature;
        let constness = constness.map(|word| Ident::new("const", word.span));
        let safety = match safety {
            Safety::Safe(word) => Some(Ident::new("safe", word.span)),
            Safety::Unsafe(word) => Some(Ident::new("unsafe", word.span)),
            Safety::Default => None,
        };
        let abi = abi.as_ref().map(|abi| Ident::new("extern", abi.extern_token.span));
        [constness, safety, abi].into_iter().flatten()
    }

    /// Whether `#[async_trait]` has rewritten it, which adds a lifetime of that name.
    pub(crate) fn is_desugared(&self) -> bool {
        self.signature.generics.lifetimes().any(|parameter| parameter.lifetime.ident == "async_trait")
    }

    /// Whether `Self`, or the type with this name, is part of the return type.
    pub(crate) fn returns(&self, ty: Option<&Ident>) -> bool {
        contains(self.signature.output.to_token_stream(), &|word| word == "Self" || ty == Some(word))
    }

    pub(crate) fn has_body(&self) -> bool {
        matches!(self.body, TokenTree::Group(_))
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attributes);
        self.added_attributes.to_tokens(tokens);
        self.visibility.to_tokens(tokens);
        self.signature.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

fn only_token_of_invisible(token: &TokenTree) -> Option<TokenTree> {
    let invisible = |group: &&Group| group.delimiter() == Delimiter::None;
    let TokenTree::Group(group) = token else { return None };
    let mut tokens = Some(group).filter(invisible)?.stream().into_iter();
    tokens.next().filter(|_| tokens.next().is_none())
}

fn contains(tokens: TokenStream, is_wanted: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => is_wanted(&word),
        TokenTree::Group(group) => contains(group.stream(), is_wanted),
        _ => false,
    })
}

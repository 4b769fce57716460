//! Checks that every method of an `impl` block is guarded or marked as public.
//!
//! A method that cannot be guarded is a mistake, reported at the method. Otherwise a guarded block could contain an
//! open method.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;

use super::item::{Way, guardable, has_place};
use super::{Policy, Public};
use crate::args::{Args, PublicArgs};
use crate::diagnostics::{self, Diagnostics};
use crate::item::{Block, Function, Member, argument, arguments_of, attributes_named};
use crate::rules::Attribute;

/// A block with its checked members. Their own `#[service_only]` and `#[public]` are removed.
pub(crate) struct CheckedBlock {
    pub(crate) block: Block,
    pub(crate) members: Vec<CheckedMember>,
}

pub(crate) enum CheckedMember {
    Method(Box<Function>, Way, Asks),
    /// A constant or a type. If the block has mistakes, any member.
    Kept(TokenStream),
}

/// The policy of a method.
pub(crate) enum Asks {
    AsTheBlock,
    Itself(Policy),
    Nothing(Public),
}

pub(crate) fn block(mut block: Block, errors: &mut Diagnostics) -> CheckedBlock {
    let keyword = block.keyword();
    for again in attributes_named(block.attributes(), "service_only") {
        errors.push(diagnostics::repeated_attribute(Attribute::ServiceOnly, &keyword, again));
    }
    for contradiction in attributes_named(block.attributes(), "public") {
        errors.push(diagnostics::contradiction(&keyword, contradiction));
    }
    let members = std::mem::take(&mut block.members);
    let members = members.into_iter().map(|one| member(one, &block, errors)).collect();
    CheckedBlock { block, members }
}

fn member(member: Member, block: &Block, errors: &mut Diagnostics) -> CheckedMember {
    match member {
        Member::Function(function) => method(*function, block, errors),
        Member::Value(tokens) => CheckedMember::Kept(tokens),
        Member::Macro(tokens) => {
            errors.push(diagnostics::macro_in_a_block(&tokens));
            CheckedMember::Kept(tokens)
        }
        Member::Unknown(error, tokens) => {
            errors.push(diagnostics::unknown_member(&error));
            CheckedMember::Kept(tokens)
        }
    }
}

fn method(mut function: Function, block: &Block, errors: &mut Diagnostics) -> CheckedMember {
    for attribute in
        function.attributes_named("cfg_attr").filter(|attribute| holds_ours(arguments_of(attribute)))
    {
        errors.push(diagnostics::conditional_attribute(function.name(), attribute));
    }
    let asks = asks(&function, errors);
    function.remove_attributes_named("service_only");
    function.remove_attributes_named("public");
    let way = way(&function, &asks, block, errors);
    has_place(&function, way, errors);
    CheckedMember::Method(Box::new(function), way, asks)
}

fn asks(function: &Function, errors: &mut Diagnostics) -> Asks {
    let mut own = function.attributes_named("service_only");
    let mut public = function.attributes_named("public");
    let asks = match (own.next(), public.next()) {
        (None, None) => Asks::AsTheBlock,
        (Some(own), None) => Asks::Itself(super::policy(Args::parse(arguments_of(own), errors), errors)),
        (None, Some(public)) => {
            let args = PublicArgs::parse(arguments_of(public), errors);
            Asks::Nothing(super::public(args, errors))
        }
        (Some(_), Some(public)) => {
            errors.push(diagnostics::contradiction(function.name(), public));
            Asks::AsTheBlock
        }
    };
    for again in own {
        errors.push(diagnostics::repeated_attribute(Attribute::ServiceOnly, function.name(), again));
    }
    for again in public {
        errors.push(diagnostics::repeated_attribute(Attribute::Public, function.name(), again));
    }
    asks
}

fn way(function: &Function, asks: &Asks, block: &Block, errors: &mut Diagnostics) -> Way {
    let name = function.name();
    let receives = function.receiver().is_some();
    let public = matches!(asks, Asks::Nothing(_));
    let attribute = if public { Attribute::Public } else { Attribute::ServiceOnly };
    guardable(function, attribute, errors);
    if !function.has_body() {
        errors.push(diagnostics::no_body(attribute, name));
    }
    if function.is_desugared() {
        errors.push(diagnostics::below_async_trait(name));
        return Way::HiddenArgument;
    }
    if public {
        // A router takes only handlers without `self`. Other public functions keep their arguments.
        let handler = function.is_async() && !receives && !block.is_of_a_trait();
        return if handler { Way::HiddenArgument } else { Way::Marked };
    }
    let arguments = function.arguments();
    let at = match arguments.iter().position(argument::is_caller) {
        Some(at) => at,
        None if receives && arguments.len() > 1 && function.is_async() => 1,
        None => {
            match () {
                () if receives && arguments.len() == 1 => errors.push(diagnostics::no_caller(name)),
                () if receives => errors.push(diagnostics::not_async(name)),
                () if block.is_of_a_trait() => errors.push(diagnostics::fixed_without_self(name)),
                () if function.returns(block.type_name()) => errors.push(diagnostics::constructor(name)),
                () => {}
            }
            return Way::HiddenArgument;
        }
    };
    let checked = arguments.get(at);
    if let Some(cfg) = checked.and_then(argument::condition) {
        errors.push(diagnostics::conditional_argument(name, cfg));
    }
    if checked.is_some_and(argument::is_caller) { Way::Given(at) } else { Way::Request(at) }
}

/// Whether a `cfg_attr` contains one of our attributes. The compiler evaluates its condition after the block is
/// expanded, which is too late.
fn holds_ours(tokens: TokenStream) -> bool {
    let is_ours = |word: &Ident| ["service_only", "public"].iter().any(|ours| word.unraw() == ours);
    let mut after_cfg_attr = false;
    tokens.into_iter().any(|token| {
        let found = match &token {
            TokenTree::Ident(word) => is_ours(word),
            TokenTree::Group(group) => {
                (after_cfg_attr || group.delimiter() == Delimiter::None) && holds_ours(group.stream())
            }
            _ => false,
        };
        after_cfg_attr = matches!(&token, TokenTree::Ident(word) if word.unraw() == "cfg_attr");
        found
    })
}

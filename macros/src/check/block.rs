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
    Itself(Box<Policy>),
    Nothing(Public),
}

/// What the attribute of a block requires of its methods.
#[derive(Copy, Clone)]
pub(crate) struct Guarding<'a> {
    pub(crate) attribute: Attribute,
    pub(crate) policy: &'a Policy,
}

pub(crate) fn block(mut block: Block, guarding: Guarding<'_>, errors: &mut Diagnostics) -> CheckedBlock {
    let (keyword, attribute) = (block.keyword(), guarding.attribute);
    for again in attributes_named(block.attributes(), attribute.name()) {
        errors.push(diagnostics::repeated_attribute(attribute, &keyword, again));
    }
    for other in attribute.others() {
        for contradiction in attributes_named(block.attributes(), other.name()) {
            errors.push(diagnostics::contradiction(&keyword, attribute, other, contradiction));
        }
    }
    let members = std::mem::take(&mut block.members);
    let members = members.into_iter().map(|one| member(one, &block, guarding, errors)).collect();
    CheckedBlock { block, members }
}

fn member(member: Member, block: &Block, guarding: Guarding<'_>, errors: &mut Diagnostics) -> CheckedMember {
    match member {
        Member::Function(function) => method(*function, block, guarding, errors),
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

fn method(
    mut function: Function,
    block: &Block,
    guarding: Guarding<'_>,
    errors: &mut Diagnostics,
) -> CheckedMember {
    for attribute in
        function.attributes_named("cfg_attr").filter(|attribute| holds_ours(arguments_of(attribute)))
    {
        errors.push(diagnostics::conditional_attribute(function.name(), attribute));
    }
    let (attribute, asks) = asks(&function, guarding.attribute, errors);
    for ours in Attribute::ALL {
        function.remove_attributes_named(ours.name());
    }
    let way = way(&function, attribute, block, errors);
    has_place(&function, way, errors);
    match &asks {
        Asks::AsTheBlock => super::applicable(guarding.policy, &function, way, errors),
        Asks::Itself(policy) => super::applicable(policy, &function, way, errors),
        Asks::Nothing(_) => {}
    }
    CheckedMember::Method(Box::new(function), way, asks)
}

/// The attribute that applies to a method, and what it requires.
fn asks(function: &Function, of_block: Attribute, errors: &mut Diagnostics) -> (Attribute, Asks) {
    let name = function.name();
    let mut own = Attribute::ALL
        .into_iter()
        .flat_map(|ours| function.attributes_named(ours.name()).map(move |written| (ours, written)));
    let Some((attribute, written)) = own.next() else { return (of_block, Asks::AsTheBlock) };
    let (mut again, mut others): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    own.for_each(|one| if one.0 == attribute { again.push(one) } else { others.push(one) });
    let is_contradiction = !others.is_empty();
    for (other, contradiction) in others {
        errors.push(diagnostics::contradiction(name, attribute, other, contradiction));
    }
    for (_, again) in again {
        errors.push(diagnostics::repeated_attribute(attribute, name, again));
    }
    if is_contradiction {
        return (of_block, Asks::AsTheBlock);
    }
    let tokens = arguments_of(written);
    let asks = match attribute {
        Attribute::Public => Asks::Nothing(super::public(PublicArgs::parse(tokens, errors), errors)),
        guarded => {
            let args = Args::parse(guarded, tokens, errors);
            Asks::Itself(Box::new(super::policy(guarded, args, errors)))
        }
    };
    (attribute, asks)
}

fn way(function: &Function, attribute: Attribute, block: &Block, errors: &mut Diagnostics) -> Way {
    let name = function.name();
    let receives = function.receiver().is_some();
    guardable(function, attribute, errors);
    if !function.has_body() {
        errors.push(diagnostics::no_body(attribute, name));
    }
    if function.is_desugared() {
        errors.push(diagnostics::below_async_trait(name));
        return Way::HiddenArgument;
    }
    if attribute == Attribute::Public {
        // A router takes only handlers without `self`. Other public functions keep their arguments.
        let handler = function.is_async() && !receives && !block.is_of_a_trait();
        return if handler { Way::HiddenArgument } else { Way::Marked };
    }
    let arguments = function.arguments();
    let at = match arguments.iter().position(|one| argument::is_caller(attribute, one)) {
        Some(at) => at,
        None if receives && arguments.len() > 1 && function.is_async() => 1,
        None => {
            match () {
                () if receives && arguments.len() == 1 => {
                    errors.push(diagnostics::no_caller(name, attribute))
                }
                () if receives => errors.push(diagnostics::not_async(name, attribute)),
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
    if checked.is_some_and(|one| argument::is_caller(attribute, one)) {
        Way::Given(at)
    } else {
        Way::Request(at)
    }
}

/// Whether a `cfg_attr` contains one of our attributes. The compiler evaluates its condition after the block is
/// expanded, which is too late.
fn holds_ours(tokens: TokenStream) -> bool {
    let is_ours = |word: &Ident| Attribute::ALL.iter().any(|ours| word.unraw() == ours.name());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_of_ours_is_found_in_a_cfg_attr_only() {
        for (tokens, is_found) in [
            ("cfg_attr(test, service_only)", true),
            ("cfg_attr(test, path::r#users_only(keys))", true),
            ("cfg_attr(a, cfg_attr(b, public))", true),
            ("r#cfg_attr(test, callers)", true),
            ("doc(service_only)", false),
            ("cfg_attr(test, doc(service_only))", false),
            ("cfg_attr(test, other)", false),
            ("allow(unused)", false),
        ] {
            assert_eq!(holds_ours(tokens.parse().expect("tokens")), is_found, "{tokens}");
        }
    }
}

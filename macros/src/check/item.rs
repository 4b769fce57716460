//! Whether the item under the attribute can be guarded.

use crate::diagnostics::{self, Diagnostics};
use crate::item::{Function, argument};
use crate::rules::{Attribute, MAX_EXTRACTORS};

/// How a function is guarded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a hidden argument, which a framework extracts before all others.
    HiddenArgument,
    /// By the caller or the claims in the argument at this index, checked before the body.
    Given(usize),
    /// By the request in the argument at this index, admitted before the body.
    Request(usize),
    /// Not at all: the function is public, and only the list of endpoints shows it.
    Marked,
}

/// Checks a function and selects how it is guarded.
pub(crate) fn function(
    function: Function,
    attribute: Attribute,
    errors: &mut Diagnostics,
) -> (Function, Way) {
    let name = function.name();
    for again in function.attributes_named(attribute.name()) {
        errors.push(diagnostics::repeated_attribute(attribute, name, again));
    }
    for other in attribute.others() {
        for contradiction in function.attributes_named(other.name()) {
            errors.push(diagnostics::contradiction(name, attribute, other, contradiction));
        }
    }
    guardable(&function, attribute, errors);
    let way = way(&function, attribute, errors);
    has_place(&function, way, errors);
    (function, way)
}

/// Frameworks call handlers of at most 16 arguments, the hidden one included.
pub(crate) fn has_place(function: &Function, way: Way, errors: &mut Diagnostics) {
    let mut arguments =
        function.arguments().iter().filter(|argument| argument::condition(argument).is_none());
    if let (Way::HiddenArgument, Some(extra)) = (way, arguments.nth(MAX_EXTRACTORS)) {
        let count = MAX_EXTRACTORS + 1 + arguments.count();
        errors.push(diagnostics::too_many_extractors(function.name(), count, &argument::tokens(extra)));
    }
}

/// The rules for every function, however it is guarded.
pub(crate) fn guardable(function: &Function, attribute: Attribute, errors: &mut Diagnostics) {
    let name = function.name();
    for qualifier in function.refused_qualifiers() {
        errors.push(diagnostics::bad_qualifier(name, &qualifier));
    }
    let arguments = function.arguments();
    let first = arguments.first();
    if let Some(guard) = first.filter(|first| argument::is_guard(first)) {
        errors.push(match attribute {
            Attribute::Public => diagnostics::guarded_and_public(name),
            guarded => diagnostics::takes_a_guard(name, guarded, &argument::tokens(guard)),
        });
    }
    if first.is_some_and(argument::is_hidden_public) {
        errors.push(diagnostics::guarded_and_public(name));
    }
    match attribute {
        Attribute::ServiceOnly if arguments.iter().any(|one| argument::is_caller(attribute, one)) => {
            for another in arguments.iter().filter(|one| argument::resembles_a_caller(one)).skip(1) {
                errors.push(diagnostics::several_callers(name, &argument::tokens(another)));
            }
        }
        Attribute::ServiceOnly => {}
        Attribute::UsersOnly | Attribute::Callers => {
            let services = arguments.iter().filter(|one| argument::is_caller(Attribute::ServiceOnly, one));
            for service in services {
                errors.push(diagnostics::checks_another(name, attribute, &argument::tokens(service)));
            }
            let checked = arguments.iter().filter(|one| argument::is_caller(attribute, one));
            for another in checked.skip(1) {
                errors.push(diagnostics::several_callers(name, &argument::tokens(another)));
            }
        }
        Attribute::Public => {
            let asking = arguments.iter().filter(|one| argument::resembles_a_caller(one));
            // A guard in first position was reported above.
            let guards = arguments.iter().skip(1).filter(|one| argument::is_guard(one));
            for asking in asking.chain(guards) {
                errors.push(diagnostics::public_takes_a_caller(name, &argument::tokens(asking)));
            }
        }
    }
    let signature = &function.signature;
    if let (Some(variadic), None) = (&signature.variadic, &signature.abi) {
        errors.push(diagnostics::variadic(name, &variadic.dots));
    }
}

fn way(function: &Function, attribute: Attribute, errors: &mut Diagnostics) -> Way {
    let name = function.name();
    let arguments = function.arguments();
    let given = match attribute {
        Attribute::Public => None,
        guarded => arguments.iter().position(|one| argument::is_caller(guarded, one)),
    };
    match (given, function.receiver()) {
        (None, Some(receiver)) => errors.push(diagnostics::takes_self(attribute, name, receiver)),
        _ if !function.has_body() => errors.push(diagnostics::no_body(attribute, name)),
        _ => {}
    }
    let Some(at) = given else {
        return Way::HiddenArgument;
    };
    if let Some(cfg) = arguments.get(at).and_then(argument::condition) {
        errors.push(diagnostics::conditional_argument(name, cfg));
    }
    Way::Given(at)
}

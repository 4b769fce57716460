use super::*;

fn declared(names: &[&str], prefixes: &[&str]) -> Declared {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Declared { names: owned(names), prefixes: owned(prefixes) }
}

fn separated(issuers: &[(&str, Option<Declared>)]) -> Result<Vec<Namespace>, BuildError> {
    let mut namespaces: Vec<_> =
        issuers.iter().map(|(_, declared)| Namespace::of(declared.clone())).collect();
    let names = issuers.iter().map(|(issuer, _)| *issuer);
    separate(names.zip(&mut namespaces)).map(|()| namespaces)
}

#[test]
fn a_declaration_holds_service_names_and_prefixes_that_end_in_a_separator() {
    assert_eq!(declared(&["orders", "a.b-c_d"], &["mill.", "m-", "m_", "a.b."]).check(), Ok(()));
    assert_eq!(declared(&[], &[]).check(), Err(BuildError::NoServices));
    for name in ["", " ", "orders ", "-orders", "orders/x", "mill."] {
        assert_eq!(
            declared(&["a", name], &[]).check(),
            Err(BuildError::ServiceName(name.to_owned())),
            "{name:?}"
        );
    }
    // `mill` would cover `millstone`, and the empty prefix would cover every service.
    for prefix in ["", "mill", ".", "-a.", "mill/", "mi ll.", "mill. "] {
        let refused = Err(BuildError::ServicePrefix(prefix.to_owned()));
        assert_eq!(declared(&[], &["a.", prefix]).check(), refused, "{prefix:?}");
    }
}

#[test]
fn an_issuer_names_what_was_declared_for_it_and_nothing_else() {
    let own = Namespace::of(Some(declared(&["flour", "oats"], &["mill."])));
    for service in ["flour", "oats", "mill.a", "mill.a.b"] {
        assert!(own.check("mill", service).is_ok(), "{service}");
    }
    for service in ["Flour", "flours", "mill", "millstone", "Mill.a", "xmill.a", "orders"] {
        let denial = own.check("mill", service).unwrap_err();
        assert_eq!((denial.code(), denial.status()), (Code::BadClaimValue, 401), "{service}");
        assert!(denial.reason().contains(service) && denial.reason().contains("`mill`"), "{denial}");
    }
}

#[test]
fn an_issuer_without_a_declaration_names_what_no_other_issuer_was_declared_to_name() {
    let namespaces = separated(&[
        ("bakery", None),
        ("mill", Some(declared(&["flour"], &["mill."]))),
        ("farm", Some(declared(&["eggs"], &[]))),
    ]);
    let [bakery, mill, farm] = &namespaces.unwrap()[..] else { panic!("three") };
    for (service, namers) in [
        ("orders", [true, false, false]),
        ("flour", [false, true, false]),
        ("mill.a", [false, true, false]),
        ("eggs", [false, false, true]),
        ("mill", [true, false, false]),
    ] {
        assert_eq!([bakery, mill, farm].map(|own| own.check("i", service).is_ok()), namers, "{service}");
    }
}

#[test]
fn two_issuers_without_a_declaration_do_not_build() {
    let both = Err(BuildError::ServicesNotDeclared("bakery".to_owned(), "mill".to_owned()));
    assert_eq!(separated(&[("bakery", None), ("mill", None)]).map(|_| ()), both);
    let third = ("farm", Some(declared(&["eggs"], &[])));
    assert_eq!(separated(&[("bakery", None), third.clone(), ("mill", None)]).map(|_| ()), both);
    assert!(separated(&[("bakery", None), third.clone()]).is_ok());
    assert!(separated(&[third, ("bakery", None)]).is_ok());
    assert!(separated(&[("bakery", None)]).is_ok() && separated(&[]).is_ok());
}

#[test]
fn declarations_of_two_issuers_that_overlap_do_not_build() {
    for (one, other, shared) in [
        (declared(&["a"], &[]), declared(&["b", "a"], &[]), "a"),
        (declared(&["x.a"], &[]), declared(&[], &["x."]), "x.a"),
        (declared(&[], &["x."]), declared(&["x.a"], &[]), "x.a"),
        (declared(&[], &["x."]), declared(&[], &["x."]), "x."),
        (declared(&[], &["x.y."]), declared(&[], &["x."]), "x.y."),
        (declared(&[], &["x."]), declared(&[], &["x.y."]), "x.y."),
    ] {
        let [issuer, between, other_issuer] = ["one", "between", "other"].map(str::to_owned);
        let refused = BuildError::SharedService {
            issuer: issuer.clone(),
            other: other_issuer.clone(),
            shared: shared.to_owned(),
        };
        let issuers = [
            (issuer.as_str(), Some(one.clone())),
            (between.as_str(), Some(declared(&["z"], &[]))),
            (other_issuer.as_str(), Some(other.clone())),
        ];
        assert_eq!(separated(&issuers).map(|_| ()), Err(refused), "{one:?} {other:?}");
        // Entries of one `iss` are one authority.
        assert!(separated(&[("one", Some(one)), ("one", Some(other))]).is_ok());
    }
    let apart = [("one", Some(declared(&["x"], &["x-"]))), ("other", Some(declared(&["x.a"], &["xx-"])))];
    assert!(separated(&apart).is_ok());
}

#[test]
fn entries_of_one_issuer_share_what_it_may_name() {
    let namespaces = separated(&[
        ("bakery", None),
        ("bakery", Some(declared(&["old"], &[]))),
        ("bakery", None),
        ("mill", Some(declared(&["flour"], &[]))),
    ]);
    let namespaces = namespaces.unwrap();
    let may = |service| [0, 1, 2, 3].map(|index: usize| namespaces[index].check("i", service).is_ok());
    assert_eq!(may("old"), [true, true, true, false]);
    assert_eq!(may("flour"), [false, false, false, true]);
    assert_eq!(may("orders"), [true, false, true, false]);
}

#[test]
fn an_issuer_that_is_trusted_for_some_services_is_trusted_for_no_users() {
    let denial = Namespace::of(Some(declared(&["flour"], &[]))).check_user("mill").unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::NotService, 403));
    assert!(Namespace::of(None).check_user("bakery").is_ok());
}

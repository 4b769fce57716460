service_only::Verifier::builder()
    .issuer("ISSUER")
    .keys(service_only::KeySet::from_jwks_file("JWKS")?)
    .build()?

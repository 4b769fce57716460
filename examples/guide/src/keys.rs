//! `verifying/keys.md`: the sources of the public keys.

use service_only::{
    FileKeys, RemoteJwks,
    keys::{KeyError, RemoteError},
};

fn keys_of_a_file() -> Result<FileKeys, KeyError> {
    FileKeys::jwks("/etc/service-keys/jwks.json").open()
}

async fn keys_of_an_issuer() -> Result<RemoteJwks, RemoteError> {
    RemoteJwks::discover("https://auth.bakery.example").start().await
}

#[cfg(test)]
mod tests {
    #[test]
    fn missing_key_file_is_an_error_at_the_start() {
        assert!(super::keys_of_a_file().unwrap_err().to_string().contains("jwks.json"));
    }
}

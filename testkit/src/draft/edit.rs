//! Changes to the text of a token that no JSON object can express and no signer would make.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{TokenDraft, base64url};

/// A change to one of the three texts of a token.
#[derive(Clone)]
pub(crate) enum Edit {
    HeaderJson(EditText),
    ClaimsJson(EditText),
    Token(EditText),
}

type EditText = Arc<dyn Fn(String) -> String + Send + Sync>;

impl TokenDraft {
    /// Changes the text of the header before it is encoded and signed, for text that no JSON object can
    /// express.
    pub fn edit_header_json(self, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        self.edit(Edit::HeaderJson(Arc::new(edit)))
    }

    /// Changes the text of the claims before it is encoded and signed.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority
    ///     .service("orders")
    ///     .edit_claims_json(|json| json.replacen('{', r#"{"is_service":false,"#, 1))
    ///     .token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "malformed");
    /// ```
    pub fn edit_claims_json(self, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        self.edit(Edit::ClaimsJson(Arc::new(edit)))
    }

    /// Changes the text of the finished token, after it was signed.
    pub fn edit_token(self, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        self.edit(Edit::Token(Arc::new(edit)))
    }

    /// Changes the bytes of the signature.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let same = authority.service("orders").edit_signature(|bytes| bytes).token();
    /// assert!(authority.verifier().verify(&same).is_ok());
    ///
    /// let zeros = authority.service("orders").edit_signature(|bytes| vec![0; bytes.len()]).token();
    /// assert_eq!(authority.verifier().verify(&zeros).unwrap_err().code().as_str(), "bad_signature");
    /// ```
    pub fn edit_signature(self, edit: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.edit_token(move |token| match token.rsplit_once('.') {
            Some((signed, signature)) => {
                let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
                format!("{signed}.{}", base64url(edit(bytes)))
            }
            None => token,
        })
    }

    fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }
}

pub(crate) fn header_json(edits: &[Edit], json: String) -> String {
    edits.iter().fold(json, |json, edit| match edit {
        Edit::HeaderJson(edit) => edit(json),
        _ => json,
    })
}

pub(crate) fn claims_json(edits: &[Edit], json: String) -> String {
    edits.iter().fold(json, |json, edit| match edit {
        Edit::ClaimsJson(edit) => edit(json),
        _ => json,
    })
}

pub(crate) fn token(edits: &[Edit], token: String) -> String {
    edits.iter().fold(token, |token, edit| match edit {
        Edit::Token(edit) => edit(token),
        _ => token,
    })
}

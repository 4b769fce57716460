//! Parses `DELETE /tenant/7` and `id=7` from the command line.

use std::str::FromStr;

use http::Method;

/// A method and a path.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) target: String,
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| "the method is not an HTTP method")?;
        if !target.starts_with('/') || !target.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return Err("name a method and a path, such as `GET /stock`");
        }
        Ok(Self { method, target: target.to_owned() })
    }
}

/// A path parameter and its value.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Parameter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("name a parameter and its value, such as `id=7`")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_method_and_a_path() {
        let parsed = |text: &str| text.parse::<Endpoint>().map(|endpoint| (endpoint.method, endpoint.target));
        assert_eq!(parsed("DELETE /tenant/7?q"), Ok((Method::DELETE, "/tenant/7?q".to_owned())));
        assert_eq!(parsed("/stock"), Ok((Method::GET, "/stock".to_owned())));
        for wrong in ["", "GET stock", "GET  /stock", "G(T /stock", "GET /a b", "GET /a\r\nX: y", "http://a/"]
        {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}

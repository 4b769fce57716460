//! Whether two responses come from the same handler. A handler that is public by design may answer another
//! method or another spelling of a path. Only a response of the attacked handler is a hole.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::fixture::Outgoing;

/// The parts of a response that identify its handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) content_length: Option<usize>,
    pub(crate) location: Option<String>,
    /// The nonce for the next proof of DPoP.
    pub(crate) nonce: Option<String>,
    /// At most [`MAX_BODY`](super::target::MAX_BODY) bytes; empty if it was not read.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status,
            content_type: text(header::CONTENT_TYPE),
            content_length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            location: text(header::LOCATION),
            nonce: text(HeaderName::from_static("dpop-nonce")),
            body,
        }
    }
}

/// How a response compares with the responses to the control.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// The attacked handler answered.
    Same,
    /// Another handler answered.
    Different,
    /// The responses to the control are empty, so they match any empty response.
    CannotBeTold,
}

/// Compares the response to a request with those to the valid token.
pub(crate) fn likeness(reply: &Reply, request: &Outgoing, controls: &[Reply], target: &str) -> Likeness {
    let of_status = || controls.iter().filter(|control| control.status == reply.status);
    if of_status().next().is_none() {
        return Likeness::Different;
    }
    let changes = controls.iter().zip(controls.iter().skip(1)).any(|(one, next)| one.body != next.body);
    let matches = |control: &&Reply| match request.method {
        Method::HEAD => same_head(reply, control),
        _ => {
            let own = words(&reply.body, &request.target, changes);
            control.body == reply.body || (!own.is_empty() && own == words(&control.body, target, changes))
        }
    };
    let is_empty = |control: &Reply| control.body.is_empty() && control.content_type.is_none();
    match of_status().find(matches) {
        Some(control) if is_empty(control) => Likeness::CannotBeTold,
        Some(_) => Likeness::Same,
        None => Likeness::Different,
    }
}

/// A HEAD response has the headers of the GET response (RFC 9110 section 9.3.2).
fn same_head(head: &Reply, control: &Reply) -> bool {
    let length = control.content_length.unwrap_or(control.body.len());
    head.content_type == control.content_type && head.content_length.is_none_or(|own| own == length)
}

/// The words of a body without those of the request's target, which a handler may repeat. If the handler
/// answers one request in two ways, for example with a clock or a counter, words with digits are also
/// ignored.
fn words(body: &[u8], target: &str, changes: bool) -> Vec<String> {
    let split = |text: &str| {
        let words =
            text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>()
    };
    let of_target = split(target);
    let mut words = split(&String::from_utf8_lossy(body));
    words.retain(|word| !of_target.contains(word));
    words.retain(|word| !changes || !word.bytes().any(|byte| byte.is_ascii_digit()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content_type: Option<&str>, body: &str) -> Reply {
        let content_type = content_type.map(str::to_owned);
        let (status, body) = (StatusCode::OK, body.as_bytes().to_vec());
        Reply { status, content_type, content_length: Some(body.len()), location: None, nonce: None, body }
    }

    fn compared(reply: &Reply, method: &Method, controls: &[Reply]) -> Likeness {
        at("/tenant/seven", reply, method, controls)
    }

    fn at(target: &str, reply: &Reply, method: &Method, controls: &[Reply]) -> Likeness {
        let request = crate::fixture::Fixture::stray().outgoing(method.clone(), target);
        likeness(reply, &request, controls, "/tenant/seven")
    }

    #[test]
    fn a_handler_that_repeats_its_path_is_recognized() {
        let text = |body| reply(Some("text/plain"), body);
        let controls = [text("deleted /tenant/seven"), text("deleted /tenant/seven")];
        let other = |body| at("/tenant//SEVEN.png", &text(body), &Method::GET, &controls);
        assert_eq!(other("deleted /tenant//SEVEN.png"), Likeness::Same);
        assert_eq!(other("no picture at /tenant//SEVEN.png"), Likeness::Different);
    }

    #[test]
    fn the_body_identifies_the_responding_handler() {
        let controls = [reply(Some("text/plain"), "12 loaves"), reply(Some("text/plain"), "12 loaves")];
        let of = |body| compared(&reply(Some("text/plain"), body), &Method::POST, &controls);
        assert_eq!(
            (of("12 loaves"), of("13 loaves"), of("")),
            (Likeness::Same, Likeness::Different, Likeness::Different)
        );
    }

    #[test]
    fn a_variable_body_is_recognized_by_its_constant_words() {
        let json = |body| reply(Some("application/json"), body);
        let controls = [json(r#"{"deleted":5,"left":7}"#), json(r#"{"deleted":0,"left":7}"#)];
        let of = |body| compared(&json(body), &Method::POST, &controls);
        assert_eq!(
            (of(r#"{"deleted":1,"left":2}"#), of(r#"{"tenants":[]}"#)),
            (Likeness::Same, Likeness::Different)
        );

        let controls = [reply(None, "read at 12:00:01"), reply(None, "read at 12:00:02")];
        assert_eq!(compared(&reply(None, "read at 12:00:09"), &Method::PUT, &controls), Likeness::Same);
        assert_eq!(compared(&reply(None, "alive since 12:00"), &Method::PUT, &controls), Likeness::Different);
    }

    #[test]
    fn a_response_to_head_is_recognized_by_its_headers() {
        let controls = [reply(Some("text/plain"), "12 loaves")];
        let mut head = reply(Some("text/plain"), "");
        head.content_length = Some(9);
        assert_eq!(compared(&head, &Method::HEAD, &controls), Likeness::Same);
        head.content_length = Some(0);
        assert_eq!(compared(&head, &Method::HEAD, &controls), Likeness::Different);
        assert_eq!(compared(&reply(None, ""), &Method::HEAD, &controls), Likeness::Different);
    }

    #[test]
    fn an_empty_response_looks_like_any_other() {
        let controls = [reply(None, "")];
        assert_eq!(compared(&reply(None, ""), &Method::POST, &controls), Likeness::CannotBeTold);
        assert_eq!(compared(&reply(None, ""), &Method::HEAD, &controls), Likeness::CannotBeTold);
        assert_eq!(
            compared(&reply(Some("text/plain"), "public"), &Method::POST, &controls),
            Likeness::Different
        );
    }
}

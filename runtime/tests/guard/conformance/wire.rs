//! What a caller sees of a decision, on each kind of wire.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Response;
use serde_json::Value;
use service_only::{Denial, error::Code};
use tonic::Status;

use crate::frameworks::challenge;

/// The name of the caller who was let in, or the refusal as the framework says it.
#[derive(Debug)]
pub(crate) enum Answer {
    Http(Response<Bytes>),
    Grpc(Result<String, Status>),
    Plain(Result<String, Denial>),
}

impl Answer {
    /// The status of the refusal; for the caller who was let in, 200.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Http(response) => response.status().as_u16(),
            Self::Grpc(Err(status)) => match status.code() {
                tonic::Code::InvalidArgument => 400,
                tonic::Code::Unauthenticated => 401,
                tonic::Code::PermissionDenied => 403,
                other => panic!("{other:?}"),
            },
            Self::Plain(Err(denial)) => denial.status(),
            Self::Grpc(Ok(_)) | Self::Plain(Ok(_)) => 200,
        }
    }

    pub(crate) fn caller(&self) -> Option<&str> {
        match self {
            Self::Http(response) if response.status() == 200 => std::str::from_utf8(response.body()).ok(),
            Self::Grpc(Ok(caller)) | Self::Plain(Ok(caller)) => Some(caller),
            _ => None,
        }
    }

    /// The refusal is complete, leads to its record, and tells no reason.
    pub(crate) fn assert_refused(&self, code: Code, reason: &str, id: &str, context: &str) {
        let instance = format!("urn:uuid:{id}");
        match self {
            Self::Http(response) => {
                let headers = |name| {
                    let values = response.headers().get_all(name).iter();
                    values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
                };
                assert_eq!(headers("www-authenticate"), Vec::from_iter(challenge(code)), "{context}");
                assert_eq!(headers("content-type"), ["application/problem+json"], "{context}");
                assert_eq!(headers("cache-control"), ["no-store"], "{context}");
                let body: serde_json::Map<String, Value> = serde_json::from_slice(response.body()).unwrap();
                let members = BTreeSet::from_iter(body.keys().map(String::as_str));
                assert_eq!(members, BTreeSet::from(["type", "title", "status", "instance"]), "{context}");
                assert_eq!((&body["status"], &body["instance"]), (&code.status().into(), &instance.into()));
            }
            Self::Grpc(answer) => {
                let status = answer.as_ref().unwrap_err();
                let metadata = |name| status.metadata().get(name).map(|value| value.to_str().unwrap());
                assert_eq!(metadata("www-authenticate"), challenge(code), "{context}");
                assert_eq!(metadata("instance"), Some(instance.as_str()), "{context}");
            }
            // No wire: the code that calls the function is told why.
            Self::Plain(answer) => {
                let denial = answer.as_ref().unwrap_err();
                assert_eq!((denial.code(), denial.reason()), (code, reason), "{context}");
                return;
            }
        }
        assert!(!format!("{self:?}").contains(reason), "the wire tells the reason: {context}");
    }
}

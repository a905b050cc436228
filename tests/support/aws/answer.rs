//! Answers and errors, in each service's way of writing them.

use super::call::{Call, Protocol};
use axum::body::Bytes;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

impl Answer {
    /// What DynamoDB says when all is well.
    pub fn json(value: &Value) -> Self {
        Self { status: 200, content_type: "application/x-amz-json-1.0".into(), body: value.to_string().into() }
    }

    /// An error as the call's service writes it.
    pub fn error(call: &Call, status: u16, code: &str, message: &str) -> Self {
        match call.protocol {
            Protocol::Json => {
                let kind = if call.service == "dynamodb" {
                    format!("com.amazonaws.dynamodb.v20120810#{code}")
                } else {
                    code.into()
                };
                let body = json!({"__type": kind, "message": message}).to_string();
                Self { status, content_type: "application/x-amz-json-1.0".into(), body: body.into() }
            }
            Protocol::Rest => {
                let body = json!({"__type": code, "message": message}).to_string();
                Self { status, content_type: "application/json".into(), body: body.into() }
            }
            Protocol::Query => {
                let party = if status >= 500 { "Receiver" } else { "Sender" };
                let body = format!(
                    "<ErrorResponse><Error><Type>{party}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>stand-in</RequestId></ErrorResponse>"
                );
                Self { status, content_type: "text/xml".into(), body: body.into() }
            }
        }
    }

    /// DynamoDB's usual refusal.
    pub fn refused(call: &Call, code: &str, message: &str) -> Self {
        Self::error(call, 400, code, message)
    }

    pub fn is_good(&self) -> bool {
        self.status < 300
    }

    /// The body as JSON; null when it is none.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error's code, without its namespace.
    pub fn code(&self) -> Option<String> {
        if self.is_good() {
            return None;
        }
        let text = self.text();
        let code = match self.value()["__type"].as_str() {
            Some(kind) => kind.rsplit('#').next().unwrap_or(kind).to_owned(),
            None => super::xml::value_of(&text, "Code").unwrap_or_default().to_owned(),
        };
        Some(code)
    }
}

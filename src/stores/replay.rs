//! AWS's answers on the wire, replayed: each call is answered by a function of its operation and its body.

use crate::aws::Aws;
use crate::clock::wall;
use crate::config;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use jiff::SignedDuration;
use std::sync::Arc;

/// A status and a body.
pub type Answer = (u16, String);

type Answers = Arc<dyn Fn(&str, &str) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Wire {
    answers: Answers,
    /// How far its clock is ahead.
    ahead: SignedDuration,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.split('.').nth(1).unwrap_or_default().to_owned(),
            None => field(&body, "Action"),
        };
        let (status, answer) = (self.answers)(&operation, &body);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer));
        let date = (wall() + self.ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers_mut().insert("date", date);
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// A field of a form.
fn field(body: &str, name: &str) -> String {
    let mut fields = body.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

pub fn place() -> config::Aws {
    config::Aws { region: "eu-west-1".to_owned(), role_arn: None, external_id: None, endpoint: None }
}

/// An account whose every call is answered by `answers`.
pub fn aws(ahead: SignedDuration, answers: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Aws {
    let wire = SharedHttpConnector::new(Wire { answers: Arc::new(answers), ahead });
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| wire.clone()))
        .build();
    Aws::default().with(&place(), sdk, "123456789012")
}

/// An error in DynamoDB's protocol.
pub fn json_error(code: &str, message: &str) -> Answer {
    let body = serde_json::json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message});
    (if code.starts_with("Internal") { 500 } else { 400 }, body.to_string())
}

/// An error in RDS's protocol.
pub fn xml_error(code: &str, message: &str) -> Answer {
    let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
    (400, format!("<ErrorResponse><Error>{error}</Error><RequestId>r</RequestId></ErrorResponse>"))
}

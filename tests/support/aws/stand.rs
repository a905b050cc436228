//! What everything in the stand-in shares: settings, the log, the state of each scope, and the way to moto.

use super::answer::Answer;
use super::call::{Call, DEFAULT_ACCOUNT, Scope};
use super::clock::Clock;
use super::dynamodb::Region;
use super::faults::Faults;
use super::limits::Limits;
use super::log::Log;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wildmatch::WildMatch;

const MOTO_LIMIT: Duration = Duration::from_secs(60);

/// How long AWS takes, and what it never ends.
pub struct Pace {
    pub create_table: Duration,
    pub restore: Duration,
    pub backup: Duration,
    pub delete_table: Duration,
    pub database: Duration,
    /// Versions of a table's rows that are kept; older points cannot be restored.
    pub versions: usize,
    pub stuck: Vec<(String, WildMatch)>,
    pub statuses: Vec<(WildMatch, String)>,
}

pub struct Settings {
    pub clock: Clock,
    pub faults: Faults,
    pub limits: Limits,
    pub pace: Pace,
    /// Role ARNs that ask for an external id.
    pub external_ids: BTreeMap<String, String>,
    accounts: BTreeMap<String, String>,
}

pub struct Stand {
    settings: Mutex<Settings>,
    log: Mutex<Log>,
    /// One lock a scope, held while a call runs in moto: a copy of a table then never meets a write to it, and moto
    /// is one Python process that gains nothing from more.
    regions: Mutex<BTreeMap<Scope, Arc<tokio::sync::Mutex<Region>>>>,
    moto: String,
    client: Client<HttpConnector, Body>,
}

impl Stand {
    pub fn new(moto_port: u16, client: Client<HttpConnector, Body>) -> Self {
        let pace = Pace {
            create_table: Duration::ZERO,
            restore: Duration::from_millis(300),
            backup: Duration::from_millis(200),
            delete_table: Duration::from_millis(200),
            database: Duration::from_millis(300),
            versions: 64,
            stuck: Vec::new(),
            statuses: Vec::new(),
        };
        let settings = Settings {
            clock: Clock::new(),
            faults: Faults::default(),
            limits: Limits::new(),
            pace,
            external_ids: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        Self {
            settings: Mutex::new(settings),
            log: Mutex::default(),
            regions: Mutex::default(),
            moto: format!("http://127.0.0.1:{moto_port}"),
            client,
        }
    }

    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn moto(&self) -> &str {
        &self.moto
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn region(&self, scope: &Scope) -> Arc<tokio::sync::Mutex<Region>> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(regions.entry(scope.clone()).or_default())
    }

    /// The account of an access key: of the role it was assumed for, or the key itself when it is twelve digits.
    pub fn account_of(&self, access_key: &str) -> String {
        if access_key.len() == 12 && access_key.bytes().all(|byte| byte.is_ascii_digit()) {
            return access_key.into();
        }
        self.settings().accounts.get(access_key).cloned().unwrap_or_else(|| DEFAULT_ACCOUNT.into())
    }

    pub fn remember_session(&self, access_key: &str, role_arn: &str) {
        let account = role_arn.split(':').nth(4).unwrap_or(DEFAULT_ACCOUNT);
        self.settings().accounts.insert(access_key.into(), account.into());
    }

    /// Whether an operation on that name never ends.
    pub fn is_stuck(&self, operation: &str, name: &str) -> bool {
        self.settings().pace.stuck.iter().any(|(stuck, glob)| stuck == operation && glob.matches(name))
    }

    /// Has moto execute a call.
    pub async fn forward(&self, call: &Call) -> Answer {
        match tokio::time::timeout(MOTO_LIMIT, self.ask_moto(call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::error(call, 500, "StandInFailure", &error),
            Err(_) => Answer::error(call, 500, "StandInFailure", "moto does not answer"),
        }
    }

    /// An operation of DynamoDB for the stand-in's own ends: neither logged nor limited.
    pub async fn dynamodb(&self, scope: &Scope, operation: &str, input: &Value) -> Answer {
        self.forward(&Call::internal(scope, operation, input)).await
    }

    async fn ask_moto(&self, call: &Call) -> Result<Answer, String> {
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", self.moto, call.path));
        if let Some(headers) = request.headers_mut() {
            copy_headers(&call.headers, headers);
            headers.insert("x-moto-account-id", call.scope.account.parse().map_err(|error| format!("{error}"))?);
        }
        let request = request.body(Body::from(call.body.clone())).map_err(|error| error.to_string())?;
        let reply: Response<_> = self.client.request(request).await.map_err(|error| format!("moto: {error:?}"))?;
        let status = reply.status().as_u16();
        let content_type = reply.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("application/json").to_owned();
        let body =
            axum::body::to_bytes(Body::new(reply.into_body()), usize::MAX).await.map_err(|error| error.to_string())?;
        Ok(Answer { status, content_type, body })
    }
}

fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let of_the_connection =
            ["host", "connection", "content-length", "transfer-encoding", "expect"].contains(&name.as_str());
        if !of_the_connection {
            to.append(name, value.clone());
        }
    }
}

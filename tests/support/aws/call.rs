//! A request as AWS sees it: who, where, which operation, on what.

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request};
use serde_json::{Map, Value};

/// The account of whoever has no other; moto's own default.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

const BODY_LIMIT: usize = 32 << 20;

/// An account's part in one region: what limits, tables and backups belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    pub account: String,
    pub region: String,
}

impl Scope {
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: account.into(), region: region.into() }
    }
}

/// The ways in which the services write requests and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON with the operation in `X-Amz-Target`: DynamoDB (1.0), auto scaling and tagging (1.1).
    Json,
    /// Form fields in, XML out: RDS, STS.
    Query,
    /// Paths and JSON: EKS.
    Rest,
}

#[derive(Clone)]
pub struct Call {
    pub scope: Scope,
    pub access_key: String,
    pub service: String,
    pub operation: String,
    /// Names of tables, instances, clusters, roles, backups.
    pub targets: Vec<String>,
    /// The parameters; form fields as strings.
    pub input: Value,
    pub protocol: Protocol,
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// Reads a request to its end. `account_of` knows the accounts of access keys.
    pub async fn read(request: Request<Body>, account_of: impl Fn(&str) -> String) -> Result<Self, axum::Error> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_LIMIT).await?;
        let (access_key, region, signed_for) = credential_scope(&parts.headers);
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let form =
            parts.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www"));
        let (protocol, input, operation) = if let Some(target) = target {
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            (Protocol::Json, serde_json::from_slice(&body).unwrap_or_default(), operation)
        } else if form {
            let input = form_fields(&body);
            let operation = input["Action"].as_str().unwrap_or_default().to_owned();
            (Protocol::Query, input, operation)
        } else {
            (Protocol::Rest, serde_json::from_slice(&body).unwrap_or_default(), rest_operation(&parts))
        };
        let service = if signed_for.is_empty() { "sts".into() } else { signed_for };
        let mut targets = targets(&input);
        if protocol == Protocol::Rest {
            targets.extend(parts.uri.path().split('/').skip(2).step_by(2).map(str::to_owned));
        }
        Ok(Self {
            scope: Scope { account: account_of(&access_key), region },
            access_key,
            service,
            operation,
            targets,
            input,
            protocol,
            method: parts.method,
            path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: parts.headers,
            body,
        })
    }

    /// A call that the stand-in makes itself, on DynamoDB.
    pub fn internal(scope: &Scope, operation: &str, input: &Value) -> Self {
        let mut headers = HeaderMap::new();
        let credential = format!("{}/20260101/{}/dynamodb/aws4_request", scope.account, scope.region);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none");
        headers.insert("authorization", authorization.parse().expect("it is ASCII"));
        headers.insert("x-amz-target", format!("DynamoDB_20120810.{operation}").parse().expect("it is ASCII"));
        headers.insert("content-type", "application/x-amz-json-1.0".parse().expect("it is ASCII"));
        Self {
            scope: scope.clone(),
            access_key: String::new(),
            service: "dynamodb".into(),
            operation: operation.into(),
            targets: Vec::new(),
            protocol: Protocol::Json,
            method: Method::POST,
            path: "/".into(),
            headers,
            body: input.to_string().into(),
            input: input.clone(),
        }
    }

    /// A parameter that is text, or the empty one.
    pub fn text(&self, name: &str) -> &str {
        self.input[name].as_str().unwrap_or_default()
    }

    /// Whether it changes something in AWS; a new session of STS is no change.
    pub fn mutates(&self) -> bool {
        const LOOKS: [&str; 10] =
            ["Describe", "List", "Get", "BatchGet", "TransactGet", "Query", "Scan", "AssumeRole", "Select", "Search"];
        self.method != Method::GET && !LOOKS.iter().any(|look| self.operation.starts_with(look))
    }

    /// Whether it reads or writes rows.
    pub fn is_about_rows(&self) -> bool {
        const ROWS: [&str; 8] =
            ["GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems", "PutItem", "UpdateItem", "DeleteItem"];
        self.service == "dynamodb" && (ROWS.contains(&self.operation.as_str()) || self.may_write_rows())
    }

    /// Whether it may change rows.
    pub fn may_write_rows(&self) -> bool {
        const WRITES: [&str; 8] = [
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "BatchWriteItem",
            "TransactWriteItems",
            "ExecuteStatement",
            "BatchExecuteStatement",
            "ExecuteTransaction",
        ];
        WRITES.contains(&self.operation.as_str())
    }
}

/// Access key, region and service out of the `Authorization` header; unsigned calls are STS's.
fn credential_scope(headers: &HeaderMap) -> (String, String, String) {
    let text = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = text.split("Credential=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let mut parts = credential.trim().split('/');
    let access_key = parts.next().unwrap_or_default().to_owned();
    let region = parts.nth(1).unwrap_or("us-east-1").to_owned();
    (access_key, region, parts.next().unwrap_or_default().to_owned())
}

fn form_fields(body: &[u8]) -> Value {
    let mut fields = Map::new();
    for pair in String::from_utf8_lossy(body).split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decoded(name), Value::String(decoded(value)));
    }
    Value::Object(fields)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn rest_operation(parts: &Parts) -> String {
    let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    match (parts.method.as_str(), path.as_slice()) {
        ("GET", ["clusters"]) => "ListClusters".into(),
        ("POST", ["clusters"]) => "CreateCluster".into(),
        ("GET", ["clusters", _]) => "DescribeCluster".into(),
        ("DELETE", ["clusters", _]) => "DeleteCluster".into(),
        (method, path) => format!("{method} /{}", path.join("/")),
    }
}

/// The names that a call is about.
fn targets(input: &Value) -> Vec<String> {
    const NAMES: [&str; 17] = [
        "TableName",
        "SourceTableName",
        "SourceTableArn",
        "TargetTableName",
        "BackupName",
        "BackupArn",
        "ResourceArn",
        "ResourceId",
        "DBInstanceIdentifier",
        "DBClusterIdentifier",
        "SourceDBInstanceIdentifier",
        "SourceDBClusterIdentifier",
        "TargetDBInstanceIdentifier",
        "DbiResourceId",
        "ResourceName",
        "RoleArn",
        "name",
    ];
    let mut found: Vec<String> =
        NAMES.iter().filter_map(|name| input[name].as_str()).map(|text| table_name(text).to_owned()).collect();
    if let Some(items) = input["RequestItems"].as_object() {
        found.extend(items.keys().map(|name| table_name(name).to_owned()));
    }
    for item in input["TransactItems"].as_array().into_iter().flatten() {
        let actions = item.as_object().into_iter().flatten();
        found.extend(
            actions.filter_map(|(_, action)| action["TableName"].as_str()).map(|name| table_name(name).to_owned()),
        );
    }
    found.extend(statements(input).iter().filter_map(|statement| written_by(statement)));
    found.sort();
    found.dedup();
    found
}

/// A table's name out of a name, the ARN of a table or of its backup, or auto scaling's `table/NAME`.
pub fn table_name(text: &str) -> &str {
    match text.split_once(":table/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => text.strip_prefix("table/").unwrap_or(text),
    }
}

fn statements(input: &Value) -> Vec<&str> {
    let several = input["Statements"].as_array().or(input["TransactStatements"].as_array());
    let several = several.into_iter().flatten().filter_map(|one| one["Statement"].as_str());
    input["Statement"].as_str().into_iter().chain(several).collect()
}

/// The table of a PartiQL statement.
fn written_by(statement: &str) -> Option<String> {
    let mut words = statement.split_whitespace();
    words.find(|word| ["INTO", "UPDATE", "FROM"].iter().any(|verb| verb.eq_ignore_ascii_case(word)))?;
    let table = words.next()?.trim_start_matches('"');
    Some(table.split('"').next().unwrap_or(table).to_owned())
}

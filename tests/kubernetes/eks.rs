//! A cluster in EKS: its API server is found through AWS, and takes tokens that the program signs itself. In front of
//! the real API server stands what EKS has there: it takes nobody but a caller that such a token names. What STS would
//! say of a token is not asked here: its signature is checked against botocore's in src/kubernetes/eks_tests.rs.

use crate::authority::Authority;
use crate::rig::{CHARTS, LIMIT, Rig, shared};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::any;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use kube::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

const ROLE: &str = "arn:aws:iam::123456789012:role/stillpoint";
/// The key that whoever takes on [`ROLE`] gets.
const ROLE_KEY: &str = "ASIAROLEOFSTILLPOINT";
const KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIAOFTHEENVIRONMENT"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_CONFIG_FILE", "/nonexistent"),
];

/// What was asked of the API server.
#[derive(Default)]
struct Seen {
    tokens: BTreeSet<String>,
    refused: Vec<String>,
    /// Paths, and how often a watch began there.
    watches: BTreeMap<String, u32>,
}

type Gate = (Client, Arc<Mutex<Seen>>);

/// The API server's front in EKS.
async fn gate(State((client, seen)): State<Gate>, mut request: Request) -> Response {
    let bearer = request.headers_mut().remove(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().map(str::to_owned).ok()).unwrap_or_default();
    if let Err(problem) = caller(&bearer) {
        seen.lock().unwrap().refused.push(problem);
        return answer(StatusCode::UNAUTHORIZED, json!({"kind": "Status", "code": 401, "message": "who asks?"}));
    }
    {
        let mut seen = seen.lock().unwrap();
        seen.tokens.insert(bearer);
        if request.uri().query().unwrap_or_default().contains("watch=") {
            *seen.watches.entry(request.uri().path().to_owned()).or_default() += 1;
        }
    }
    request.headers_mut().remove(header::HOST);
    let path = request.uri().path_and_query().unwrap().to_string();
    *request.uri_mut() = path.parse::<Uri>().unwrap();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let answer = client.send(Request::from_parts(parts, kube::client::Body::from(body))).await.unwrap();
    answer.map(Body::new)
}

/// Whom a token names, as far as it can be told without STS: EKS checks the same of its form.
fn caller(bearer: &str) -> Result<(), String> {
    let text = bearer.strip_prefix("Bearer k8s-aws-v1.").ok_or("no token of AWS's form")?;
    let padded = text.replace('-', "+").replace('_', "/") + ["", "===", "==", "="][text.len() % 4];
    let url = aws_smithy_types::base64::decode(padded).map_err(|error| error.to_string())?;
    let url = String::from_utf8(url).map_err(|error| error.to_string())?;
    let rest = url.strip_prefix("https://sts.us-east-1.amazonaws.com/?").ok_or_else(|| format!("not to STS: {url}"))?;
    let values: BTreeMap<&str, &str> = rest.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let date = values["X-Amz-Date"];
    for (name, value) in [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Expires", "60"),
        ("X-Amz-SignedHeaders", "host%3Bx-k8s-aws-id"),
        ("X-Amz-Security-Token", "session"),
        ("X-Amz-Credential", &format!("{ROLE_KEY}%2F{}%2Fus-east-1%2Fsts%2Faws4_request", &date[..8])),
    ] {
        if values.get(name) != Some(&value) {
            return Err(format!("{name} is not {value}: {url}"));
        }
    }
    Ok(())
}

/// What of AWS the test needs: EKS tells of one cluster to whoever took on the role; STS gives the role's credentials,
/// which end soon.
#[derive(Clone)]
struct Amazon {
    cluster: Value,
    /// How long the role's credentials last.
    life: Duration,
}

async fn amazon(State(amazon): State<Amazon>, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    let signed = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let body = String::from_utf8_lossy(&body).into_owned();
    if body.contains("Action=AssumeRole") {
        assert!(signed.contains("Credential=AKIAOFTHEENVIRONMENT/"), "{signed}");
        assert!(body.contains("ExternalId=shop-7") && body.contains("role%2Fstillpoint"), "{body}");
        let end = jiff::Timestamp::try_from(SystemTime::now() + amazon.life).unwrap();
        let text = format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>{ROLE_KEY}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session\
             </SessionToken><Expiration>{end:.0}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::\
             123456789012:assumed-role/stillpoint/stillpoint</Arn><AssumedRoleId>AROA:stillpoint</AssumedRoleId>\
             </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        );
        return Response::builder().header(header::CONTENT_TYPE, "text/xml").body(Body::from(text)).unwrap();
    }
    assert!(signed.contains(&format!("Credential={ROLE_KEY}/")) && signed.contains("/us-east-1/eks/"), "{signed}");
    if uri.path() == "/clusters/shop" {
        return answer(StatusCode::OK, json!({"cluster": amazon.cluster}));
    }
    let mut answer = answer(StatusCode::NOT_FOUND, json!({"message": "No cluster found for name: other."}));
    answer.headers_mut().insert("x-amzn-ErrorType", "ResourceNotFoundException".parse().unwrap());
    answer
}

fn answer(status: StatusCode, body: Value) -> Response {
    let json = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    json.body(Body::from(body.to_string())).unwrap()
}

struct Eks {
    seen: Arc<Mutex<Seen>>,
    endpoint: SocketAddr,
}

impl Eks {
    /// In front of the rig's API server, as its ServiceAccount.
    fn before(rig: &Rig, life: Duration) -> Self {
        let account = rig.api.account(&rig.namespace, "stillpoint");
        let authority = Authority::new("EKS");
        let (certificate, key) = authority.issue("127.0.0.1", 2040);
        let seen = Arc::<Mutex<Seen>>::default();
        let endpoint = rig.block_on(async {
            let kubeconfig = kube::config::Kubeconfig::read_from(account).unwrap();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
            let client = Client::try_from(config).unwrap();
            let front = serve_tls(&certificate, &key, (client, seen.clone())).await;
            let authority = aws_smithy_types::base64::encode(&authority.pem);
            let cluster = json!({"name": "shop", "status": "ACTIVE", "endpoint": format!("https://{front}"),
                "certificateAuthority": {"data": authority}});
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let endpoint = listener.local_addr().unwrap();
            let router = any(amazon).with_state(Amazon { cluster, life });
            tokio::spawn(async move { axum::serve(listener, router).await });
            endpoint
        });
        Self { seen, endpoint }
    }

    /// Writes the config of a release in that EKS cluster.
    fn configure(&self, rig: &Rig, cluster: &str, hold: u32) {
        let (folder, namespace, endpoint) = (rig.path(""), &rig.namespace, self.endpoint);
        let text = format!(
            "daemon: {{catalog: \"sqlite://{}/eks.db\", http: none}}\ngroups:\n  shop:\n    \
             window: {{hold: {hold}s, drain: 2s, max_pause: 20s}}\n    clusters:\n      orders:\n        \
             product: scalardb-cluster\n        kubernetes:\n          \
             eks: {{region: us-east-1, cluster: {cluster}, role_arn: \"{ROLE}\", external_id: shop-7, \
             endpoint: \"http://{endpoint}\"}}\n          namespace: {namespace}\n          release: orders\n",
            folder.display()
        );
        std::fs::write(rig.path("config.yaml"), text).unwrap();
    }
}

async fn serve_tls(certificate: &str, key: &str, gate_state: Gate) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(any(gate).with_state::<()>(gate_state));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), service.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A window of the group shop: exit code, and its first reason's sentence.
fn window(rig: &Rig) -> (i32, String) {
    let (code, output, errors) = rig.run_with(&KEYS, &["window", "shop", "-o", "json"]);
    let report: Value = serde_json::from_str(output.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {output}{errors}"));
    (code, report["reasons"][0]["sentence"].as_str().unwrap_or_default().to_owned())
}

fn rig(name: &str) -> Rig {
    let rig = Rig::new(shared(), name);
    rig.release("orders", &CHARTS[0], 2);
    // For the Role.
    rig.config("{hold: 2s}", "", &[("orders", "product: scalardb-cluster, kubernetes: {PLACE, release: orders}")]);
    rig
}

#[test]
fn a_window_in_eks_is_made_with_tokens_of_its_own_that_are_renewed_under_the_watch() {
    let rig = rig("eks");
    // The program counts such credentials as ended two seconds after it got them.
    let eks = Eks::before(&rig, Duration::from_secs(12));
    eks.configure(&rig, "shop", 6);
    assert_eq!(window(&rig), (0, String::new()), "{:?}", eks.seen.lock().unwrap().refused);
    let seen = eks.seen.lock().unwrap();
    assert_eq!(seen.refused, Vec::<String>::new());
    assert!(seen.tokens.len() >= 2, "a token was used for longer than its credentials");
    // One over the whole hold, and one that catches up after it.
    assert!(!seen.watches.is_empty() && seen.watches.values().all(|began| *began <= 2), "{:?}", seen.watches);
}

#[test]
fn an_eks_cluster_that_aws_does_not_know_refuses_the_window() {
    let rig = rig("eks-unknown");
    let eks = Eks::before(&rig, Duration::from_secs(3600));
    eks.configure(&rig, "other", 2);
    let (code, sentence) = window(&rig);
    let told = "the EKS cluster other in us-east-1: DescribeCluster: ResourceNotFoundException: No cluster found";
    assert!(code == 4 && sentence.contains(told), "{code} {sentence}");
    assert_eq!(rig.pauses(), 0);
}

#[test]
fn an_aws_that_does_not_answer_refuses_the_window_in_time() {
    let rig = rig("eks-silent");
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let eks = Eks { seen: Arc::default(), endpoint: silent.local_addr().unwrap() };
    eks.configure(&rig, "shop", 2);
    let started = Instant::now();
    let (code, sentence) = window(&rig);
    assert_eq!(code, 4, "{sentence}");
    assert!(sentence.contains("no answer") || sentence.contains("did not answer"), "{sentence}");
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(rig.pauses(), 0);
}

//! Clusters in EKS: AWS tells where their API server is, and the tokens that `aws eks get-token` would make are signed
//! here, so that neither an exec plugin nor AWS's CLI is needed.

use super::client::chain;
use crate::aws::Aws;
use crate::clock;
use crate::config::Eks;
use aws_sdk_sts::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::base64;
use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::header::{AUTHORIZATION, HeaderValue};
use kube::client::Body;
use kube::config::{Cluster, Context, KubeConfigOptions, Kubeconfig, NamedCluster, NamedContext};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

/// How long it may take to learn where the API server is, credentials and second tries included.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(20);
/// How long a token may take to be made: the credentials may have to be asked for.
const TOKEN_DEADLINE: Duration = Duration::from_secs(10);
/// A token counts for 15 minutes from its date; the clocks may differ, and requests take their time.
const OLDEST_TOKEN: Duration = Duration::from_secs(12 * 60);
/// A token counts no longer than the credentials that signed it; requests take their time.
const CREDENTIALS_MARGIN: Duration = Duration::from_secs(10);
/// As aws-iam-authenticator demands; the token's own time is another matter.
const PRESIGNED_FOR: Duration = Duration::from_secs(60);
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// Where an EKS cluster's API server is, and what makes tokens for it.
///
/// # Errors
/// AWS does not tell, or the cluster has no API server yet: one sentence.
pub async fn config(aws: &Aws, eks: &Eks) -> Result<(kube::Config, Tokens), String> {
    let late = |_| format!("{eks}: no answer within {} s", DESCRIBE_DEADLINE.as_secs());
    tokio::time::timeout(DESCRIBE_DEADLINE, described(aws, eks)).await.map_err(late)?
}

async fn described(aws: &Aws, eks: &Eks) -> Result<(kube::Config, Tokens), String> {
    let account = aws.account(&eks.aws).await.map_err(|fault| format!("{eks}: {fault}"))?;
    let client = aws_sdk_eks::Client::new(&account.sdk);
    let answer = account.asked("DescribeCluster", || client.describe_cluster().name(&eks.cluster).send()).await;
    let cluster = answer.map_err(|fault| format!("{eks}: {fault}"))?.cluster;
    let status = cluster.as_ref().and_then(|it| it.status.clone()).map_or("unknown".to_owned(), |it| it.to_string());
    let authority = cluster.as_ref().and_then(|it| it.certificate_authority.clone()).and_then(|it| it.data);
    let (Some(url), Some(authority)) = (cluster.and_then(|it| it.endpoint), authority) else {
        return Err(format!("{eks} has no API server; its status is {status}"));
    };
    let provider = account.sdk.credentials_provider().ok_or_else(|| format!("{eks}: there are no credentials"))?;
    Ok((server(&url, authority).await.map_err(|problem| format!("{eks}: {problem}"))?, Tokens::new(eks, provider)))
}

/// As a kubeconfig would name it.
async fn server(url: &str, authority: String) -> Result<kube::Config, String> {
    let name = "eks".to_owned();
    let cluster =
        Cluster { server: Some(url.to_owned()), certificate_authority_data: Some(authority), ..Cluster::default() };
    let context = Context { cluster: name.clone(), ..Context::default() };
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster { name: name.clone(), cluster: Some(cluster), ..NamedCluster::default() }],
        contexts: vec![NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(name),
        ..Kubeconfig::default()
    };
    let options = KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| chain(&error))
}

/// Puts a token on every request, and makes a new one in time: the client, and a watch through it, live on. Cheap to
/// clone.
#[derive(Clone)]
pub struct Tokens {
    eks: Arc<Eks>,
    provider: SharedCredentialsProvider,
    last: Arc<Mutex<Option<Token>>>,
    /// How long credentials may take.
    deadline: Duration,
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

impl Tokens {
    fn new(eks: &Eks, provider: SharedCredentialsProvider) -> Self {
        Self { eks: Arc::new(eks.clone()), provider, last: Arc::default(), deadline: TOKEN_DEADLINE }
    }

    /// The header that a request carries at `now`.
    async fn header(&self, now: Instant, wall: SystemTime) -> Result<HeaderValue, String> {
        // Held while a token is made: whoever else needs one needs that one.
        let mut last = self.last.lock().await;
        if let Some(token) = last.as_ref().filter(|token| now < token.until) {
            return Ok(token.header.clone());
        }
        let made = tokio::time::timeout(self.deadline, self.provider.provide_credentials()).await;
        let late = |_| format!("no credentials for {} within {:?}", self.eks, self.deadline);
        let credentials = made.map_err(late)?.map_err(|error| format!("{}: {}", self.eks, chain(&error)))?;
        let until = now + life(credentials.expiry(), wall);
        let token = token(&self.eks, credentials, wall)?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
        header.set_sensitive(true);
        *last = Some(Token { header: header.clone(), until });
        Ok(header)
    }
}

/// How long a token is used whose credentials end then.
fn life(credentials_end: Option<SystemTime>, wall: SystemTime) -> Duration {
    let left = credentials_end.map(|end| end.duration_since(wall).unwrap_or_default());
    left.map_or(OLDEST_TOKEN, |left| left.saturating_sub(CREDENTIALS_MARGIN).min(OLDEST_TOKEN))
}

impl AsyncPredicate<Request<Body>> for Tokens {
    type Future = BoxFuture<'static, Result<Request<Body>, BoxError>>;
    type Request = Request<Body>;

    fn check(&mut self, mut request: Request<Body>) -> Self::Future {
        let tokens = self.clone();
        Box::pin(async move {
            let header = tokens.header(clock::instant(), clock::wall().into()).await?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        })
    }
}

/// What `aws eks get-token` and aws-iam-authenticator call a token: a presigned question to STS who asks, which EKS puts.
fn token(eks: &Eks, credentials: Credentials, wall: SystemTime) -> Result<String, String> {
    let url = presigned(eks, credentials, wall).map_err(|error| format!("{eks}: cannot sign a token: {error}"))?;
    Ok(format!("k8s-aws-v1.{}", base64_url(url)))
}

fn presigned(eks: &Eks, credentials: Credentials, wall: SystemTime) -> Result<String, BoxError> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(PRESIGNED_FOR);
    let identity = Identity::from(credentials);
    let region = &eks.aws.region;
    let params =
        v4::SigningParams::builder().identity(&identity).region(region).name("sts").time(wall).settings(settings);
    let params = params.build()?.into();
    // China's regions have a domain of their own.
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let url = format!("https://sts.{region}.amazonaws.com{suffix}/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = std::iter::once((CLUSTER_HEADER, eks.cluster.as_str()));
    let request = SignableRequest::new("GET", url.as_str(), headers, SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let mut signed = Request::get(url).body(())?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(signed.uri().to_string())
}

/// Base64 in its URL form, without padding.
fn base64_url(text: impl AsRef<[u8]>) -> String {
    base64::encode(text).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[cfg(test)]
#[path = "eks_tests.rs"]
mod tests;

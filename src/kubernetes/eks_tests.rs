use super::*;
use crate::config;
use aws_credential_types::provider::future;
use aws_sdk_sts::config::Credentials;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

fn eks(region: &str, cluster: &str) -> Eks {
    let aws = config::Aws { region: region.to_owned(), role_arn: None, external_id: None, endpoint: None };
    Eks { aws, cluster: cluster.to_owned() }
}

/// 2026-11-24T03:00:00Z.
fn at() -> SystemTime {
    "2026-11-24T03:00:00Z".parse::<jiff::Timestamp>().unwrap().into()
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn credentials(session: Option<&str>, end: Option<SystemTime>) -> Credentials {
    Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET, session.map(str::to_owned), end, "test")
}

fn parts(url: &str) -> (String, BTreeSet<String>) {
    let (place, query) = url.split_once('?').unwrap();
    (place.to_owned(), query.split('&').map(str::to_owned).collect())
}

/// Made by botocore 1.44.8: a client's `generate_presigned_url('get_caller_identity', ExpiresIn=60)` with the header
/// signed as awscli's `eks/get_token.py` does it, and the clock at [`at`].
#[test]
fn a_token_is_the_url_that_botocore_signs() {
    let given = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261124%2FREGION%2Fsts%2F\
                 aws4_request&X-Amz-Date=20261124T030000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id";
    let session = "IQoJb3JpZ2luX2VjEXAMPLE//token+with/==";
    for (region, suffix, cluster, session, signed) in [
        ("ap-northeast-1", "", "shop", None, "985309d01ae4ca910cee126bb6daa0995c25886797cfed5f30ef144e3db29728"),
        (
            "us-gov-west-1",
            "",
            "Shop_2",
            Some((session, "&X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE%2F%2Ftoken%2Bwith%2F%3D%3D")),
            "6e64ef035fe294e04cda28aa7f174eb857324ea063aa33a06190ca58231f5a82",
        ),
        ("cn-north-1", ".cn", "shop", None, "bf735cc968f3f20e9cc78e4b24a72a599409674cc4d32dcbfc7d8ccd7f99716f"),
    ] {
        let (token, more) = session.unzip();
        let given = given.replace("REGION", region);
        let more = more.unwrap_or_default();
        let expected = format!(
            "https://sts.{region}.amazonaws.com{suffix}/?Action=GetCallerIdentity&Version=2011-06-15&{given}{more}\
             &X-Amz-Signature={signed}"
        );
        let url = presigned(&eks(region, cluster), credentials(token, None), at()).unwrap();
        assert_eq!(parts(&url), parts(&expected));
    }
}

#[test]
fn a_token_is_written_as_eks_reads_it() {
    let token = token(&eks("ap-northeast-1", "shop"), credentials(None, None), at()).unwrap();
    let text = token.strip_prefix("k8s-aws-v1.").unwrap();
    assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{text}");
    let padded = text.replace('-', "+").replace('_', "/") + ["", "===", "==", "="][text.len() % 4];
    let url = presigned(&eks("ap-northeast-1", "shop"), credentials(None, None), at()).unwrap();
    assert_eq!(String::from_utf8(base64::decode(padded).unwrap()).unwrap(), url);
}

/// Credentials that end so long after they were asked for, and how often they were.
#[derive(Debug)]
struct Counted(Option<Duration>, AtomicU32);

impl ProvideCredentials for Counted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.1.fetch_add(1, Ordering::Relaxed);
        let end = self.0.map(|life| at() + life);
        future::ProvideCredentials::ready(Ok(credentials(None, end)))
    }
}

/// How often credentials were asked for when a request leaves at each of these seconds.
async fn asked(life: Option<u64>, seconds: &[u64]) -> u32 {
    let counted = Arc::new(Counted(life.map(Duration::from_secs), AtomicU32::new(0)));
    let shared: Arc<dyn ProvideCredentials> = counted.clone();
    let tokens = Tokens::new(&eks("ap-northeast-1", "shop"), SharedCredentialsProvider::new(shared));
    let start = clock::instant();
    for seconds in seconds {
        let later = Duration::from_secs(*seconds);
        tokens.header(start + later, at() + later).await.unwrap();
    }
    counted.1.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_token_is_made_anew_before_it_is_14_minutes_old() {
    assert_eq!(asked(None, &[0, 1, 700]).await, 1);
    assert_eq!(asked(None, &[0, 1, 700, 13 * 60, 14 * 60]).await, 2);
}

#[tokio::test]
async fn a_token_is_used_no_longer_than_its_credentials() {
    assert_eq!(asked(Some(100), &[0, 80, 89]).await, 1);
    assert_eq!(asked(Some(100), &[0, 80, 91]).await, 2);
}

/// Credentials that never come.
#[derive(Debug)]
struct Silent;

impl ProvideCredentials for Silent {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(std::future::pending())
    }
}

#[tokio::test]
async fn credentials_that_never_come_are_given_up() {
    let tokens = Tokens::new(&eks("ap-northeast-1", "shop"), SharedCredentialsProvider::new(Silent));
    let tokens = Tokens { deadline: Duration::from_millis(50), ..tokens };
    let problem = tokens.header(clock::instant(), at()).await.unwrap_err();
    assert_eq!(problem, "no credentials for the EKS cluster shop in ap-northeast-1 within 50ms");
}

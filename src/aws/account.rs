//! One way into AWS: a region, and the role that is taken on there.

use super::fault::Fault;
use super::kind::FaultKind;
use super::limits::Limits;
use crate::config;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one call may take. One that changes something and is not answered by then may still be carried out.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long the credentials may take: a file, the pod's identity, the role.
const CREDENTIALS_DEADLINE: Duration = Duration::from_secs(15);
/// How often a call that changes nothing is sent before its error counts.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Who is told of every call: account, region, operation and outcome.
pub type Told = Arc<dyn Fn(&str, &str, &str, &str) + Send + Sync>;

/// The accounts that a config names. Cheap to clone; an account is made when it is first needed, and kept.
#[derive(Clone, Default)]
pub struct Aws {
    accounts: Arc<Mutex<BTreeMap<config::Aws, Account>>>,
    limits: Limits,
    told: Option<Told>,
    gives_way: bool,
}

/// A region of an account, as one role sees it. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    /// For clients: region, credentials, endpoint, deadlines. Nothing is tried again by the SDK.
    pub sdk: SdkConfig,
    /// Twelve digits.
    pub id: String,
    pub region: String,
    limits: Limits,
    told: Option<Told>,
    gives_way: bool,
}

impl Aws {
    /// Every call is told.
    #[must_use]
    pub fn telling(told: Told) -> Self {
        Self { told: Some(told), ..Self::default() }
    }

    /// The same accounts and rates, for calls that give way to those of windows.
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    /// The account that a store's config means.
    ///
    /// # Errors
    /// The credentials cannot be had, or the role not be taken on.
    pub async fn account(&self, place: &config::Aws) -> Result<Account, Fault> {
        if let Some(account) = self.accounts().get(place) {
            return Ok(self.for_us(account));
        }
        let late = |_| Fault::lost(format!("no credentials within {} s", CREDENTIALS_DEADLINE.as_secs()));
        let sdk = tokio::time::timeout(CREDENTIALS_DEADLINE, sdk(place)).await.map_err(late)?;
        let id = tokio::time::timeout(CREDENTIALS_DEADLINE, account_id(place, &sdk)).await.map_err(late)??;
        let account = self.made(place, sdk, id);
        Ok(self.for_us(self.accounts().entry(place.clone()).or_insert(account)))
    }

    /// Takes a place for one that is known already: account `id`, reached by `sdk`. Nothing is asked for it.
    #[must_use]
    pub fn with(self, place: &config::Aws, sdk: SdkConfig, id: &str) -> Self {
        let account = self.made(place, sdk, id.to_owned());
        self.accounts().insert(place.clone(), account);
        self
    }

    fn made(&self, place: &config::Aws, sdk: SdkConfig, id: String) -> Account {
        let (region, limits, told) = (place.region.clone(), self.limits.clone(), self.told.clone());
        Account { sdk, id, region, limits, told, gives_way: false }
    }

    fn for_us(&self, account: &Account) -> Account {
        Account { gives_way: self.gives_way, ..account.clone() }
    }

    fn accounts(&self) -> std::sync::MutexGuard<'_, BTreeMap<config::Aws, Account>> {
        // Whole between any two statements under the lock.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Sends one call as soon as the account's rate allows it; for calls that change something.
    ///
    /// # Errors
    /// What AWS answered, or that nothing is known of it.
    pub async fn once<T, E, R>(
        &self,
        operation: &'static str,
        send: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        self.limits.wait(&self.id, &self.region, operation, self.gives_way).await;
        let answer = match tokio::time::timeout(CALL_DEADLINE + CONNECT_TIMEOUT, send).await {
            Ok(answer) => answer.map_err(|error| Fault::of(operation, &error)),
            Err(_) => Err(Fault::lost(format!("{operation}: no answer within its deadline"))),
        };
        if let Some(told) = &self.told {
            let outcome = answer.as_ref().map_or_else(|fault| fault.kind.outcome(), |_| "ok");
            told(&self.id, &self.region, operation, outcome);
        }
        if let Err(fault) = &answer
            && fault.kind == FaultKind::Throttled
        {
            self.limits.throttled(&self.id, &self.region, operation);
        }
        answer
    }

    /// The same for calls that change nothing: a throttled, lost or failed one is sent again, a few times.
    ///
    /// # Errors
    /// What the last try met.
    pub async fn asked<T, E, R, F>(&self, operation: &'static str, send: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.once(operation, send()).await {
                Err(fault) if fault.kind.passes() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 3;
        }
        self.once(operation, send()).await
    }
}

async fn sdk(place: &config::Aws) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_DEADLINE).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(place.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = &place.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let base = loader.load().await;
    let Some(role) = &place.role_arn else { return base };
    let mut role = AssumeRoleProvider::builder(role).session_name("stillpoint").configure(&sts(place, &base));
    if let Some(id) = &place.external_id {
        role = role.external_id(id);
    }
    base.into_builder()
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(role.build().await))
        .build()
}

/// The same for STS: an endpoint of AWS's own serves one service, and that is another one; any other stands in for all.
fn sts(place: &config::Aws, sdk: &SdkConfig) -> SdkConfig {
    let mut builder = sdk.to_builder();
    if place.endpoint.as_deref().is_some_and(is_of_one_service) {
        builder.set_endpoint_url(None);
    }
    builder.build()
}

fn is_of_one_service(endpoint: &str) -> bool {
    let host = endpoint.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|domain| host.ends_with(domain))
}

/// A role's is in its name; whose the credentials of the environment are, AWS tells anybody.
async fn account_id(place: &config::Aws, sdk: &SdkConfig) -> Result<String, Fault> {
    if let Some(id) = place.account() {
        return Ok(id.to_owned());
    }
    let answer = aws_sdk_sts::Client::new(&sts(place, sdk)).get_caller_identity().send().await;
    let identity = answer.map_err(|error| Fault::of("GetCallerIdentity", &error))?;
    identity.account.ok_or_else(|| Fault::lost("GetCallerIdentity tells no account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vpc_endpoint_is_not_asked_who_asks_but_a_stand_in_for_aws_is() {
        let at = |endpoint: &str| {
            let endpoint = Some(endpoint.to_owned());
            let place = config::Aws { region: "us-east-1".to_owned(), role_arn: None, external_id: None, endpoint };
            let sdk = SdkConfig::builder().endpoint_url(place.endpoint.clone().unwrap()).build();
            sts(&place, &sdk).endpoint_url().map(str::to_owned)
        };
        assert_eq!(at("https://vpce-0a1b-x.dynamodb.us-east-1.vpce.amazonaws.com"), None);
        assert_eq!(at("https://eks.cn-north-1.amazonaws.com.cn:443/"), None);
        for everything in ["http://127.0.0.1:5000", "https://amazonaws.com.example"] {
            assert_eq!(at(everything).as_deref(), Some(everything));
        }
    }
}

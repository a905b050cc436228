//! Plain SDK clients of the tests.

use crate::aws::AwsStandIn;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;

/// A client's configuration for an account and a region, without retries.
pub fn config(aws: &AwsStandIn, account: &str, region: &str) -> SdkConfig {
    with_credentials(aws, Credentials::new(account, "secret", None, None, "test"), region)
}

/// The same, with retries: for what a test asks beside the program, whose calls fill the rates.
pub fn patient(aws: &AwsStandIn, account: &str, region: &str) -> SdkConfig {
    let retries = RetryConfig::standard().with_max_attempts(8);
    config(aws, account, region).into_builder().retry_config(retries).build()
}

pub fn with_credentials(aws: &AwsStandIn, credentials: Credentials, region: &str) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(aws.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().build_http())
        .retry_config(RetryConfig::disabled());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    // a thread of its own, so that a test may ask from inside a runtime
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(loader.load())).join()).expect("nothing is contacted")
}

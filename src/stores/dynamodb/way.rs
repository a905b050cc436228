//! The calls that only read, each asked as the account's rates allow.

use super::super::ask::pages;
use crate::aws::{Account, Aws, Dates, Fault};
use crate::config;
use aws_sdk_applicationautoscaling as scaling;
use aws_sdk_applicationautoscaling::types::{ScalableTarget, ScalingPolicy, ServiceNamespace};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ContinuousBackupsDescription, TableDescription, Tag, TimeToLiveDescription};

/// A way to the tables of one region of an account, with a clock of its own.
pub struct Way {
    pub account: Account,
    pub client: Client,
    scaling: scaling::Client,
    /// Of DynamoDB's answers since the way was made.
    pub dates: Dates,
}

impl Way {
    pub async fn new(aws: &Aws, place: &config::Aws) -> Result<Self, Fault> {
        let (account, dates) = (aws.account(place).await?, Dates::default());
        let config = aws_sdk_dynamodb::config::Builder::from(&account.sdk).interceptor(dates.clone()).build();
        let scaling = scaling::Client::new(&account.sdk);
        Ok(Self { account, client: Client::from_conf(config), scaling, dates })
    }

    /// The cheapest call that there is.
    pub async fn touch(&self) -> Result<(), Fault> {
        self.account.asked("ListTables", || self.client.list_tables().limit(1).send()).await.map(|_| ())
    }

    pub async fn list_tables(&self) -> Result<Vec<String>, Fault> {
        pages("ListTables", |from: Option<String>| async move {
            let send = || self.client.list_tables().set_exclusive_start_table_name(from.clone()).send();
            let answer = self.account.asked("ListTables", send).await?;
            Ok((answer.table_names.unwrap_or_default(), answer.last_evaluated_table_name))
        })
        .await
    }

    pub async fn describe_table(&self, name: &str) -> Result<TableDescription, Fault> {
        let send = || self.client.describe_table().table_name(name).send();
        let answer = self.account.asked("DescribeTable", send).await?;
        answer.table.ok_or_else(|| Fault::lost("DescribeTable: the answer is empty"))
    }

    pub async fn continuous_backups(&self, name: &str) -> Result<ContinuousBackupsDescription, Fault> {
        let send = || self.client.describe_continuous_backups().table_name(name).send();
        let answer = self.account.asked("DescribeContinuousBackups", send).await?;
        let told = answer.continuous_backups_description;
        told.ok_or_else(|| Fault::lost("DescribeContinuousBackups: the answer is empty"))
    }

    pub async fn time_to_live(&self, name: &str) -> Result<TimeToLiveDescription, Fault> {
        let send = || self.client.describe_time_to_live().table_name(name).send();
        let answer = self.account.asked("DescribeTimeToLive", send).await?;
        answer.time_to_live_description.ok_or_else(|| Fault::lost("DescribeTimeToLive: the answer is empty"))
    }

    pub async fn tags(&self, arn: &str) -> Result<Vec<Tag>, Fault> {
        pages("ListTagsOfResource", |from: Option<String>| async move {
            let send = || self.client.list_tags_of_resource().resource_arn(arn).set_next_token(from.clone()).send();
            let answer = self.account.asked("ListTagsOfResource", send).await?;
            Ok((answer.tags.unwrap_or_default(), answer.next_token.filter(|token| !token.is_empty())))
        })
        .await
    }

    pub async fn scalable_targets(&self) -> Result<Vec<ScalableTarget>, Fault> {
        pages("DescribeScalableTargets", |from: Option<String>| async move {
            let request = || self.scaling.describe_scalable_targets().service_namespace(ServiceNamespace::Dynamodb);
            let send = || request().set_next_token(from.clone()).send();
            let answer = self.account.asked("DescribeScalableTargets", send).await?;
            Ok((answer.scalable_targets.unwrap_or_default(), answer.next_token))
        })
        .await
    }

    pub async fn scaling_policies(&self) -> Result<Vec<ScalingPolicy>, Fault> {
        pages("DescribeScalingPolicies", |from: Option<String>| async move {
            let request = || self.scaling.describe_scaling_policies().service_namespace(ServiceNamespace::Dynamodb);
            let send = || request().set_next_token(from.clone()).send();
            let answer = self.account.asked("DescribeScalingPolicies", send).await?;
            Ok((answer.scaling_policies.unwrap_or_default(), answer.next_token))
        })
        .await
    }
}

//! `make aws-check`: the whole job with two small tables in an AWS account, and here the same against the stand-in.

use crate::aws::AwsStandIn;
use crate::rig::{HERE, LIMIT, Program};
use crate::sdk;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BackupTypeFilter, BillingMode, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, ScalarAttributeType,
};
use std::time::{Duration, Instant};

/// What is made begins with this, or with `stillpoint-`.
const NAMESPACE: &str = "stillpointcheck";
/// Of everything in AWS: restores of small tables take minutes, and the latest restorable time is five behind.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// Tables that are deleted again, whatever happens.
struct Tables<'a> {
    program: &'a Program,
    client: Client,
    names: Vec<String>,
}

impl Drop for Tables<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let deleted = self.program.block_on(self.client.delete_table().table_name(name).send());
            println!("deleting table {name}: {}", if deleted.is_ok() { "begun" } else { "FAILED, delete it by hand" });
        }
    }
}

impl Tables<'_> {
    fn make(&mut self, name: &str) {
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build();
        let create = self.client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        let create = create.attribute_definitions(id.unwrap()).key_schema(key.unwrap());
        self.program.block_on(create.send()).unwrap();
        self.names.push(name.to_owned());
        self.wait_active(name);
        let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().unwrap();
        patiently("point-in-time recovery is on", || {
            let update = self.client.update_continuous_backups().table_name(name);
            self.program.block_on(update.point_in_time_recovery_specification(on.clone()).send()).ok()
        });
    }

    fn wait_active(&self, name: &str) {
        patiently(&format!("table {name} is active"), || {
            let described = self.program.block_on(self.client.describe_table().table_name(name).send()).ok()?;
            (described.table?.table_status?.as_str() == "ACTIVE").then_some(())
        });
    }

    fn write(&self, id: &str) {
        for name in &self.names {
            let put = self.client.put_item().table_name(name).item("id", AttributeValue::S(id.to_owned()));
            self.program.block_on(put.send()).unwrap();
        }
    }

    fn rows(&self, name: &str) -> Vec<String> {
        let scan = self.program.block_on(self.client.scan().table_name(name).consistent_read(true).send()).unwrap();
        let mut ids: Vec<String> = scan.items().iter().map(|item| item["id"].as_s().unwrap().clone()).collect();
        ids.sort();
        ids
    }
}

/// Nothing here is quick in a real account: asked every few seconds at most.
fn patiently<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    println!("waiting: {what}");
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(50);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Window, tracking, materializing, restore; everything is deleted afterwards.
fn check(program: &Program, sdk: &SdkConfig) {
    let mut tables = Tables { program, client: Client::new(sdk), names: Vec::new() };
    for table in ["first", "second"] {
        tables.make(&format!("{NAMESPACE}.{table}"));
    }
    tables.write("before");
    let _daemon = program.daemon();
    let report = patiently("a consistent window", || {
        let (code, report, said) = program.run(&["window", "shop", "-o", "json"]);
        println!("{said}");
        (code == 0).then_some(report)
    });
    tables.write("after");
    let window = report["window"].as_str().unwrap().to_owned();
    patiently("the restore point is materialized", || {
        let (_, point, said) = program.run(&["points", "show", &window, "-o", "json"]);
        assert!(!["lost", "failed"].iter().any(|bad| point["state"] == *bad), "{said}");
        (point["state"] == "materialized").then_some(())
    });
    let (_, point, said) = program.run(&["points", "show", &window, "-o", "json"]);
    let parts = point["stores"]["check"]["parts"].as_array().unwrap_or_else(|| panic!("{said}"));
    assert_eq!(parts.len(), 2, "{said}");
    for part in parts {
        let (name, arn) = (part["name"].as_str().unwrap(), part["backup"].as_str().unwrap());
        let back = name.replacen(NAMESPACE, &format!("{NAMESPACE}-back"), 1);
        let restore = tables.client.restore_table_from_backup().backup_arn(arn).target_table_name(&back);
        program.block_on(restore.send()).unwrap();
        tables.names.push(back.clone());
        tables.wait_active(&back);
        assert_eq!(tables.rows(&back), ["before"], "{back} holds exactly the rows of the point");
        assert_eq!(tables.rows(name), ["after", "before"], "{name} is as it was");
    }
    let (code, _, said) = program.run(&["points", "expire", &window, "--force"]);
    assert_eq!(code, 0, "{said}");
    patiently("its backups are deleted", || {
        (program.run(&["points", "show", &window, "-o", "json"]).1["state"] == "expired").then_some(())
    });
    println!("restored {} tables from the backups of the point; the rows are exactly those of the point", parts.len());
}

fn store(region: &str) -> String {
    format!(
        "check: {{dynamodb: {{region: {region}, coordinator: none, metadata: none, tables: {{include: \
         [\"{NAMESPACE}.*\"]}}}}}}"
    )
}

#[test]
fn the_check_of_an_aws_account_passes_against_the_stand_in() {
    let aws = AwsStandIn::start();
    let program = Program::new(Some(aws.endpoint()), &[&store("us-east-1")], "");
    let sdk = sdk::patient(&aws, HERE, "us-east-1");
    check(&program, &sdk);
    let client = Client::new(&sdk);
    crate::support::wait_until("nothing is left", LIMIT, || {
        let tables = program.block_on(client.list_tables().send()).unwrap();
        let backups = program.block_on(client.list_backups().backup_type(BackupTypeFilter::User).send()).unwrap();
        (tables.table_names().is_empty() && backups.backup_summaries().is_empty()).then_some(())
    });
}

#[test]
#[ignore = "in an AWS account, which it costs a few cents: make aws-check REGION=…"]
fn for_real() {
    let region = std::env::var("STILLPOINT_AWS_CHECK_REGION").expect("make aws-check REGION=… sets it");
    let program = Program::new(None, &[&store(&region)], "");
    let loaded = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region));
    let http = aws_smithy_http_client::Builder::new().tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
        aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
    ));
    let sdk = program.block_on(loaded.http_client(http.build_https()).load());
    check(&program, &sdk);
}

//! The rights in AWS that a group asks for.

use crate::{ended, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const CLUSTERS: &str = "    clusters:\n      ledger: {product: scalardl-ledger, addresses: [\"127.0.0.1:50053\"]}\n";
const PLAIN: &str =
    "    stores:\n      orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"orders.*\"]}}}\n";
const EVERYTHING: &str = "    clusters:
      ledger: {product: scalardl-ledger, addresses: [\"127.0.0.1:50053\"]}
      orders: {product: scalardb-cluster, kubernetes: {release: orders, eks: {region: ap-northeast-1, cluster: shop, role_arn: \"arn:aws:iam::210987654321:role/members\"}}}
    stores:
      orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"orders.*\"], exclude: [\"orders.tmp_*\"]}, prefix: east_}}
      stock: {dynamodb: {region: us-east-1, tables: {include: [\"stock.item?\"]}, coordinator: none, metadata: none, materialize: never}}
      ledger: {rds: {region: us-east-1, instance: Ledger, role_arn: \"arn:aws:iam::123456789012:role/stillpoint\"}}
      billing: {aurora: {region: ap-northeast-1, cluster: billing, role_arn: \"arn:aws:iam::123456789012:role/stillpoint\"}}
";

/// What the command prints for a group with these parts.
fn iam(group: &str, arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), format!("groups:\n  payments:\n{group}")).unwrap();
    let mut command = program(&["iam", "payments", "--config", file.path().to_str().unwrap()]);
    let (code, printed, errors) = ended(command.args(arguments));
    assert_eq!(code, 0, "{errors}");
    printed
}

/// The statements for every identity.
fn statements(group: &str, part: &[&str]) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(&iam(group, &[&["-o", "json"], part].concat())).unwrap();
    all.iter().flat_map(|it| it["policy"]["Statement"].as_array().unwrap().clone()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_policy_of_a_group_in_one_account_is_json_that_aws_takes() {
    let printed = iam(&format!("{CLUSTERS}{PLAIN}"), &[]);
    let policy: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    insta::assert_snapshot!("iam_one_account", printed);
}

#[test]
fn each_role_gets_a_policy_of_its_own_and_the_environments_credentials_may_take_them_on() {
    insta::assert_snapshot!("iam_every_kind", iam(EVERYTHING, &[]));
}

#[test]
fn a_part_is_printed_alone() {
    let all = statements(EVERYTHING, &[]);
    let parts = ["tracking", "materializing", "restoring"].map(|part| statements(EVERYTHING, &["--part", part]));
    let sids =
        |statements: &[Value]| -> BTreeSet<String> { statements.iter().map(|it| it["Sid"].to_string()).collect() };
    assert_eq!(sids(&all), sids(&parts.concat()));
    assert_eq!(
        sids(&all).len(),
        parts.iter().map(|part| sids(part).len()).sum::<usize>(),
        "a statement is in two parts"
    );
    for statement in &parts[0] {
        for action in texts(&statement["Action"]) {
            let (_, name) = action.split_once(':').unwrap();
            assert!(["Describe", "List", "AssumeRole"].iter().any(|verb| name.starts_with(verb)), "{action}");
        }
    }
}

#[test]
fn what_deletes_or_writes_while_materializing_is_allowed_on_names_of_stillpoints_only() {
    for statement in statements(EVERYTHING, &["--part", "materializing"]) {
        let reads = |action: &String| ["Describe", "List", "RestoreTable"].iter().any(|verb| action.contains(verb));
        if !texts(&statement["Action"]).iter().all(reads) {
            for resource in texts(&statement["Resource"]) {
                assert!(resource.contains(":table/stillpoint-*"), "{statement}");
            }
        }
    }
}

#[test]
fn other_partitions_have_arns_of_their_own() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")] {
        let group = format!("{CLUSTERS}{}", PLAIN.replace("ap-northeast-1", region));
        for resource in statements(&group, &[]).iter().flat_map(|it| texts(&it["Resource"])).filter(|it| it != "*") {
            assert!(resource.starts_with(&format!("arn:{partition}:")) && resource.contains(region), "{resource}");
        }
    }
}

#[test]
fn a_group_without_stores_needs_no_rights() {
    assert_eq!(iam(CLUSTERS, &[]), "");
    assert_eq!(iam(CLUSTERS, &["-o", "json"]), "[]\n");
}

/// Every Rust file below.
fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
}

#[test]
fn every_call_that_the_program_makes_in_aws_is_granted() {
    let mut text = String::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut text);
    let mut calls = BTreeSet::new();
    for way in [".once(", ".asked("] {
        for after in text.split(way).skip(1) {
            if let Some(name) = after.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                calls.insert(name.0.to_owned());
            }
        }
    }
    assert!(calls.contains("DescribeCluster"), "{calls:?}");
    let mut granted = BTreeSet::new();
    for part in ["tracking", "materializing"] {
        for statement in statements(EVERYTHING, &["--part", part]) {
            granted.extend(texts(&statement["Action"]).iter().map(|it| it.split_once(':').unwrap().1.to_owned()));
        }
    }
    let lacking: Vec<&String> = calls.difference(&granted).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

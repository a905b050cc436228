//! Where in AWS something lies, and how one comes to it.

use super::super::Aws;
use super::super::error::Wrong;
use super::super::model::partition;
use super::super::path::KeyPath;
use super::Check;
use tonic::transport::Uri;

const REGION: &str = "an AWS region, such as ap-northeast-1";
const ROLE: &str = "a role's ARN, such as arn:aws:iam::123456789012:role/stillpoint";
const ENDPOINT: &str = "http:// or https:// and a host, such as https://dynamodb.us-east-1.amazonaws.com";
const EXTERNAL_ID: &str = "2 to 1224 letters, digits and + = , . @ : / - _";

/// The four keys as they were written.
pub struct Access {
    pub region: Option<String>,
    pub role_arn: Option<String>,
    pub external_id: Option<String>,
    pub endpoint: Option<String>,
}

/// None when a part without which there is no place is faulty; every fault is recorded.
pub fn aws(check: &mut Check<'_>, path: &KeyPath, raw: Access) -> Option<Aws> {
    let region = region(check, path, raw.region.as_deref());
    let role = raw.role_arn.as_deref().map(|text| check.take(&path.key("role_arn"), role(text, region.as_deref())));
    if let Some(text) = &raw.external_id {
        let path = path.key("external_id");
        check.take(&path, external_id(text));
        if raw.role_arn.is_none() {
            let wrong = Wrong::new("external_id stands without role_arn, whose role demands it");
            check.fault(&path, wrong.expected("role_arn beside it"));
        }
    }
    if let Some(text) = &raw.endpoint {
        check.take(&path.key("endpoint"), endpoint(text));
    }
    let role_arn = match role {
        None => None,
        Some(role) => Some(role?),
    };
    Some(Aws { region: region?, role_arn, external_id: raw.external_id, endpoint: raw.endpoint })
}

/// What tells accounts apart, as far as a config shows it: two roles of one account see the same tables.
pub fn account(place: &Aws) -> &str {
    place.account().unwrap_or_default()
}

/// For people: the region, and the account where a role tells it.
pub fn shown(place: &Aws) -> String {
    match account(place) {
        "" => place.region.clone(),
        account => format!("{} of account {account}", place.region),
    }
}

fn region(check: &mut Check<'_>, path: &KeyPath, text: Option<&str>) -> Option<String> {
    let Some(text) = text else {
        check.missing(path, "region", REGION);
        return None;
    };
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| part.len() >= 2 && part.chars().all(|c| c.is_ascii_lowercase());
    let is_region = match parts.split_last() {
        Some((number, words)) => words.len() >= 2 && words.iter().all(letters) && number.parse::<u8>().is_ok(),
        None => false,
    };
    if !is_region {
        check.fault(&path.key("region"), Wrong::new(format!("\"{text}\" is not a region")).expected(REGION));
        return None;
    }
    Some(text.to_owned())
}

fn role(text: &str, region: Option<&str>) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("\"{text}\" {what}")).expected(ROLE);
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", named @ ("aws" | "aws-cn" | "aws-us-gov"), "iam", "", account, resource] = parts[..] else {
        return Err(wrong("is not the ARN of a role"));
    };
    if account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
        return Err(wrong(&format!("has the account \"{account}\", not twelve digits")));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    match resource.strip_prefix("role/") {
        Some(name) if !name.is_empty() && !name.ends_with('/') && name.chars().all(fits) => {}
        Some(_) => return Err(wrong("has no name of a role after role/")),
        None => return Err(wrong("is not the ARN of a role")),
    }
    match region {
        Some(region) if partition(region) != named => {
            let expected = format!("arn:{}:iam::…, as the region {region} has it", partition(region));
            Err(Wrong::new(format!("\"{text}\" is of the partition {named}")).expected(expected))
        }
        _ => Ok(text.to_owned()),
    }
}

fn external_id(text: &str) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@:/-_".contains(c);
    // The text may be confidential, so it is not repeated.
    let what = match text.chars().count() {
        0..2 => "the external ID is too short",
        1225.. => "the external ID is too long",
        _ if !text.chars().all(fits) => "the external ID has a character that none may have",
        _ => return Ok(()),
    };
    Err(Wrong::new(what).expected(EXTERNAL_ID))
}

fn endpoint(text: &str) -> Result<(), Wrong> {
    let wrong = |what: &str| Wrong::new(what).expected(ENDPOINT);
    // The text may hold a password, so it is only repeated where it cannot.
    if text.contains('@') {
        return Err(wrong("the URL holds credentials"));
    }
    let quoted = format!("\"{text}\" is not the URL of an endpoint");
    let Ok(uri) = text.parse::<Uri>() else { return Err(wrong(&quoted)) };
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        let near = (!text.contains("://") && !text.is_empty()).then(|| format!("https://{text}"));
        return Err(wrong(&quoted).nearest(near));
    }
    Ok(())
}

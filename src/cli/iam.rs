//! `iam`: the rights that a group needs in AWS.

use super::Exit;
use super::output::{Format, complain, emit};
use crate::aws::policy::{Part, policies};
use crate::config::Group;
use clap::ValueEnum;
use serde_json::json;

/// Prints an IAM policy for each identity that the group's config uses.
pub fn iam(group: &Group, part: Option<Part>, output: Format) -> anyhow::Result<Exit> {
    let parts = part.map_or_else(|| Part::value_variants().to_vec(), |part| vec![part]);
    let policies = policies(group, &parts);
    if policies.is_empty() {
        complain(format_args!("the group {} needs no such rights in AWS", group.name));
    }
    if output != Format::Table {
        let all: Vec<_> = policies.iter().map(|(role, policy)| json!({"role": role, "policy": policy})).collect();
        output.print(&all, |_| String::new())?;
        return Ok(Exit::Good);
    }
    let mut text = String::new();
    for (role, policy) in &policies {
        // One policy alone is JSON, for `aws iam create-policy`.
        if policies.len() > 1 {
            let whose = role.as_deref().unwrap_or("the environment's credentials");
            text.push_str(&format!("# for {whose}\n"));
        }
        text.push_str(&serde_json::to_string_pretty(policy)?);
        text.push('\n');
    }
    emit(&text)?;
    Ok(Exit::Good)
}

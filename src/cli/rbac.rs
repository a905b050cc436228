//! `rbac`: the Roles that a config needs.

use super::Exit;
use super::output::{Format, complain, emit};
use crate::config::Config;
use crate::kubernetes::rbac::{Account, Grant, WideGrant, grants, wide_grants};
use serde_json::{Value, to_value};

/// What is applied where one context leads.
struct Printed {
    context: Option<String>,
    role: Value,
    binding: Value,
}

/// Prints a Role and a RoleBinding for every namespace that the config names, for `kubectl apply -f -`; `wide` adds what
/// the look over all namespaces needs.
pub fn rbac(config: &Config, account: &Account, wide: bool, output: Format) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for Grant { context, role, binding, .. } in grants(config, account) {
        all.push(Printed { context, role: to_value(role)?, binding: to_value(binding)? });
    }
    for WideGrant { context, role, binding } in if wide { wide_grants(config, account) } else { Vec::new() } {
        all.push(Printed { context, role: to_value(role)?, binding: to_value(binding)? });
    }
    if all.is_empty() {
        complain("no cluster of this config is found through Kubernetes: it needs no rights there");
        return Ok(Exit::Good);
    }
    if output == Format::Json {
        let items =
            all.iter().map(|it| serde_json::json!({"context": it.context, "role": it.role, "binding": it.binding}));
        output.print(&items.collect::<Vec<_>>(), |_| String::new())?;
        return Ok(Exit::Good);
    }
    let mut text = String::new();
    for Printed { context, role, binding } in &all {
        let context = context.as_ref().map_or_else(String::new, |context| format!("# context {context}\n"));
        let (role, binding) = (serde_yaml::to_string(role)?, serde_yaml::to_string(binding)?);
        text.push_str(&format!("---\n{context}{role}---\n{context}{binding}"));
    }
    emit(&text)?;
    Ok(Exit::Good)
}

/// Reads `NAMESPACE:NAME`, as `kubectl create rolebinding --serviceaccount` takes it.
///
/// # Errors
/// It is not of that form.
pub fn account(text: &str) -> Result<Account, String> {
    match text.split_once(':') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Account { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("expected NAMESPACE:NAME".to_owned()),
    }
}

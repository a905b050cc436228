//! `rbac`: the Roles that a config needs.

use super::Exit;
use super::output::{Format, complain, emit};
use crate::config::Config;
use crate::kubernetes::rbac::{Account, grants};

/// Prints a Role and a RoleBinding for every namespace that the config names, for `kubectl apply -f -`.
pub fn rbac(config: &Config, account: &Account, output: Format) -> anyhow::Result<Exit> {
    let grants = grants(config, account);
    if grants.is_empty() {
        complain("no cluster of this config is found through Kubernetes: it needs no rights there");
        return Ok(Exit::Good);
    }
    if output == Format::Json {
        let items = grants
            .iter()
            .map(|grant| serde_json::json!({"context": grant.context, "role": grant.role, "binding": grant.binding}));
        output.print(&items.collect::<Vec<_>>(), |_| String::new())?;
        return Ok(Exit::Good);
    }
    let mut text = String::new();
    for grant in &grants {
        let context = grant.context.as_ref().map_or_else(String::new, |context| format!("# context {context}\n"));
        let (role, binding) = (serde_yaml::to_string(&grant.role)?, serde_yaml::to_string(&grant.binding)?);
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

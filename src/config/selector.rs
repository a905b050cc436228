//! Label selectors, as kubectl's `--selector` takes them (Kubernetes documentation, "Labels and Selectors").

use kube::core::{Expression, Selector};
use std::collections::BTreeSet;

/// Reads one, such as `app=checkout,tier!=cache,env in (a, b),!canary`.
///
/// # Errors
/// The requirement that is none.
pub fn selector(text: &str) -> Result<Selector, String> {
    requirements(text).into_iter().map(|part| requirement(part.trim()).ok_or_else(|| part.trim().to_owned())).collect()
}

/// Parted by the commas outside of parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c: char| {
        inside = c == '(' || (inside && c != ')');
        c == ',' && !inside
    })
    .collect()
}

fn requirement(text: &str) -> Option<Expression> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(name(key)?));
    }
    if let Some((head, list)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (key, operator) = head.trim().split_once(char::is_whitespace)?;
        let values: BTreeSet<String> = list.split(',').map(value).collect::<Option<_>>()?;
        return match operator.trim() {
            "in" => Some(Expression::In(name(key)?, values)),
            "notin" => Some(Expression::NotIn(name(key)?, values)),
            _ => None,
        };
    }
    if let Some((key, unequal)) = text.split_once("!=") {
        return Some(Expression::NotEqual(name(key)?, value(unequal)?));
    }
    match text.split_once("==").or_else(|| text.split_once('=')) {
        Some((key, equal)) => Some(Expression::Equal(name(key)?, value(equal)?)),
        None => Some(Expression::Exists(name(text)?)),
    }
}

fn name(text: &str) -> Option<String> {
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c);
    Some(text.trim()).filter(|key| !key.is_empty() && !key.contains(odd)).map(str::to_owned)
}

/// It may be empty.
fn value(text: &str) -> Option<String> {
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
    Some(text.trim()).filter(|value| !value.contains(odd)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::selector;
    use kube::core::SelectorExt;
    use std::collections::BTreeMap;

    fn matches(text: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        selector(text).unwrap().matches(&labels)
    }

    #[test]
    fn every_form_of_a_requirement_is_read() {
        let labels = [("app", "checkout"), ("tier", "web"), ("example.com/team", "")];
        for text in [
            "app=checkout",
            "app == checkout , tier!=cache",
            "app in (cart, checkout),tier notin (cache,db)",
            "example.com/team,!canary",
            "example.com/team=",
            "canary!=true",
            "canary notin (true)",
        ] {
            assert!(matches(text, &labels), "{text}");
        }
        for text in ["app=cart", "app!=checkout", "app in (cart)", "tier notin (web,db)", "!app", "canary"] {
            assert!(!matches(text, &labels), "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_named() {
        for (text, wrong) in [
            ("app in", "app in"),
            ("app=checkout,", ""),
            ("a=b,app: checkout", "app: checkout"),
            ("app=a b", "app=a b"),
            ("app in (a,b", "app in (a,b"),
            ("app with (a)", "app with (a)"),
            ("=b", "=b"),
            ("replicas>1", "replicas>1"),
        ] {
            assert_eq!(selector(text).unwrap_err(), wrong, "{text}");
        }
    }
}

//! Who leads where there are several replicas.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{Leadership, LeaseAt, Namespace, defaults, raw};
use super::{Check, Range};
use crate::leadership::Terms;
use std::path::PathBuf;

const LASTS: Range = Range::millis(defaults::LEASE_LASTS, 2_000, 300_000);
const RETRY: Range = Range::millis(defaults::LEASE_RETRY, 100, 60_000);
/// A renewal may be lost, and one more.
const RENEWALS: u32 = 3;

/// None when a part without which there is no leadership is faulty; the fault is recorded.
pub fn leadership(check: &mut Check<'_>, path: &KeyPath, raw: raw::Leadership) -> Option<Leadership> {
    let (lasts_path, retry_path) = (path.key("lasts"), path.key("retry"));
    let lasts = check.span(&lasts_path, raw.lasts.as_ref(), LASTS);
    let retry = check.span(&retry_path, raw.retry.as_ref(), RETRY);
    let lease = raw.kubernetes.map(|raw| lease(check, &path.key("kubernetes"), raw));
    let (lasts, retry) = (lasts?, retry?);
    if lasts.subsec_nanos() > 0 {
        // A Lease says it so (Kubernetes API reference: LeaseSpec, leaseDurationSeconds).
        check.fault(&lasts_path, Wrong::new("it is not whole seconds").expected("whole seconds, such as 6s"));
    } else if lasts < retry * RENEWALS {
        let wrong = Wrong::new(format!("{lasts:?} leave no room for {RENEWALS} renewals, one each {retry:?}"));
        check.fault(&lasts_path, wrong.expected(format!("at least {:?}, or a shorter retry", retry * RENEWALS)));
    }
    Some(Leadership { lease, terms: Terms { lasts, retry } })
}

fn lease(check: &mut Check<'_>, path: &KeyPath, raw: raw::LeaseAt) -> LeaseAt {
    let written = [("namespace", &raw.namespace), ("name", &raw.name), ("context", &raw.context)];
    for (key, _) in written.iter().filter(|(_, text)| text.as_deref() == Some("")) {
        check.fault(&path.key(key), Wrong::new(format!("the {key} is empty")).expected("a name, or no such key"));
    }
    if let Some(file) = &raw.kubeconfig {
        check.absolute(&path.key("kubeconfig"), file);
    }
    let name = raw.name.unwrap_or_else(|| defaults::LEASE_NAME.to_owned());
    let kubeconfig = raw.kubeconfig.map(PathBuf::from);
    LeaseAt { namespace: Namespace { kubeconfig, context: raw.context, eks: None, name: raw.namespace }, name }
}

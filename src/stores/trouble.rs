//! What stands against a window, one reason a kind of trouble, however many tables have it.

use crate::aws::{Fault, FaultKind};
use crate::domain::{Code, Reason};
use std::collections::BTreeMap;

/// How many names a sentence holds.
const NAMED: usize = 5;

/// Troubles of one store.
#[derive(Debug, Default)]
pub struct Troubles {
    /// By what is wrong: the sentence's end, and the names it is wrong with.
    unready: BTreeMap<String, Vec<String>>,
    /// By operation and AWS's code: the first one's sentence, and the names it happened to.
    faults: BTreeMap<(String, Option<String>), (Fault, Vec<String>)>,
}

impl Troubles {
    /// Something is wrong with `name`; `what` follows a noun: `without point-in-time recovery`.
    pub fn unready(&mut self, what: impl Into<String>, name: impl Into<String>) {
        self.unready.entry(what.into()).or_default().push(name.into());
    }

    /// `name` could not be asked.
    pub fn fault(&mut self, fault: Fault, name: impl Into<String>) {
        let operation = fault.sentence.split(':').next().unwrap_or_default().to_owned();
        let kind = self.faults.entry((operation, fault.code.clone())).or_insert_with(|| (fault, Vec::new()));
        kind.1.push(name.into());
    }

    /// A reason for each kind of trouble; `noun` is what is named, such as `table`.
    pub fn reasons(self, noun: &str) -> Vec<Reason> {
        let unready = self.unready.into_iter().map(|(what, names)| {
            let count = names.len();
            let plural = if count == 1 { "" } else { "s" };
            Reason::new(Code::StoreUnready, format!("{count} {noun}{plural} {what}: {}", few(names)))
        });
        let faults = self.faults.into_values().map(|(fault, names)| {
            let reason = unreachable(&fault);
            Reason::new(reason.code, format!("{} ({})", reason.sentence, few(names)))
        });
        unready.chain(faults).collect()
    }
}

/// The first few names.
pub fn few(mut names: Vec<String>) -> String {
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let named = names.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// A store that could not be asked.
pub fn unreachable(fault: &Fault) -> Reason {
    let hint = match (fault.kind, fault.code.as_deref()) {
        (
            FaultKind::Denied,
            Some("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized"),
        ) => "; `stillpoint iam GROUP` prints the policy it needs",
        (FaultKind::Denied, _) => "; look at the credentials, or the role",
        _ => "",
    };
    Reason::new(Code::StoreUnreachable, format!("{}{hint}", fault.sentence))
}

//! What stands on the Lease of open windows.

use crate::domain::Member;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What all annotations of an object may hold together is 256 KiB (Kubernetes: Annotations, "Syntax and character set").
const MOST_BYTES: usize = 240 * 1024;

/// A window that may have closed members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub window: String,
    pub group: String,
    /// How long a member may wait for its transactions to end: so long a pause may still land.
    pub drain_milliseconds: u64,
    pub members: Vec<Member>,
}

/// The open windows by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intents(pub BTreeMap<String, Intent>);

impl Intent {
    /// The drain limit.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_milliseconds)
    }
}

impl Intents {
    /// As it is written. Where many members do not fit, what Kubernetes knows of their pods is left out: their addresses
    /// are enough to open them.
    ///
    /// # Errors
    /// They do not fit even so: one sentence.
    pub fn written(&self) -> Result<String, String> {
        let text = self.text()?;
        if text.len() <= MOST_BYTES {
            return Ok(text);
        }
        let mut short = self.clone();
        for member in short.0.values_mut().flat_map(|intent| &mut intent.members) {
            member.pod = None;
        }
        let text = short.text()?;
        if text.len() <= MOST_BYTES {
            return Ok(text);
        }
        Err(format!(
            "the open windows' members take {} bytes on the Lease, which has room for {MOST_BYTES}",
            text.len()
        ))
    }

    fn text(&self) -> Result<String, String> {
        serde_json::to_string(&self.0.values().collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// Somebody else wrote it: one sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let intents: Vec<Intent> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self(intents.into_iter().map(|intent| (intent.window.clone(), intent)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Pod;

    fn intents(members: usize, pods: bool) -> Intents {
        let member = |number: usize| {
            let pod = pods.then(|| Pod {
                server: "https://10.0.0.1:6443/".into(),
                namespace: "shop".into(),
                uid: format!("0a1b2c3d-0000-4000-8000-{number:012}"),
                node: Some("node-a".into()),
                phase: "Running".into(),
                ready: true,
                leaving: None,
                restarts: BTreeMap::from([("scalardb-cluster".to_owned(), 0)]),
                owner: None,
            });
            let name = format!("orders-scalardb-cluster-node-7d4f9c5b8-{number:05}");
            Member { cluster: "orders".into(), name, address: format!("10.0.{number}.1:60053"), stage: 0, pod }
        };
        let members = (0..members).map(member).collect();
        let intent = Intent { window: "w".into(), group: "g".into(), drain_milliseconds: 30_000, members };
        Intents(BTreeMap::from([("w".to_owned(), intent)]))
    }

    #[test]
    fn what_is_written_is_read() {
        let written = intents(3, true);
        assert_eq!(Intents::read(&written.written().unwrap()), Ok(written));
        assert_eq!(Intents::read("[]"), Ok(Intents::default()));
        assert!(Intents::read("{}").is_err());
    }

    #[test]
    fn a_thousand_members_fit_without_their_pods_and_ten_thousand_are_refused() {
        let read = Intents::read(&intents(1_000, true).written().unwrap()).unwrap();
        assert_eq!(read, intents(1_000, false));
        assert!(intents(10_000, true).written().unwrap_err().contains("room for"));
    }
}

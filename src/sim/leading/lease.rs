//! The lease as its server keeps it: each write names the version that it builds on.

use crate::leadership::{ABSENT, Ask};
use std::collections::BTreeSet;
use std::time::Duration;

/// The windows that stand on it as open.
pub(super) type Listed = BTreeSet<usize>;

/// What stands there.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// Empty: nobody.
    pub holder: String,
    /// Changes with every renewal.
    pub renewed: u64,
    pub version: u64,
    pub lasts: Duration,
    pub listed: Listed,
}

impl Lease {
    pub fn record(&self) -> String {
        format!("{}/{}", self.holder, self.renewed)
    }
}

/// A write: it is carried out if the version still stands.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub version: Option<u64>,
    pub holder: String,
    pub lasts: Duration,
    pub listed: Listed,
}

/// The server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub lease: Option<Lease>,
    versions: u64,
    /// It does not answer until then.
    pub back: Duration,
}

impl Server {
    /// Whether it was written.
    pub fn put(&mut self, put: Put) -> bool {
        if put.version != self.lease.as_ref().map(|lease| lease.version) {
            return false;
        }
        self.versions += 1;
        let Put { holder, lasts, listed, .. } = put;
        self.lease = Some(Lease { holder, renewed: self.versions, version: self.versions, lasts, listed });
        true
    }

    /// A person writes over what is there; what stands on it goes.
    pub fn empty(&mut self, lasts: Duration) {
        let version = self.lease.as_ref().map(|lease| lease.version);
        self.put(Put { version, holder: String::new(), lasts, listed: Listed::new() });
    }
}

/// Whether a replica may write what it found, as a Lease of Kubernetes has it.
pub(super) fn may_take(ask: &Ask, me: &str, found: Option<&Lease>) -> bool {
    let record = found.map_or_else(|| ABSENT.to_owned(), Lease::record);
    ask.may_take(me, found.map(|lease| lease.holder.as_str()), &record)
}

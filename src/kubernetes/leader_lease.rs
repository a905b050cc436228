//! The Lease that says which replica leads, and what of open windows stands on it.

use super::Kubernetes;
use super::client::{Ground, Problem};
use crate::clock;
use crate::config::Namespace;
use crate::leadership::{ABSENT, Ask, Taken, Terms};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use std::time::Duration;

/// The annotation with the windows that may have closed members, as JSON.
pub const OPEN_WINDOWS: &str = "stillpoint.scalar-labs.com/open-windows";

/// Who may take the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Whoever finds it free.
    Lead,
    /// Whoever finds it free with open windows on it.
    Guard,
}

/// The Lease, and who this replica is.
pub struct LeaderLease {
    kubernetes: Kubernetes,
    namespace: Namespace,
    name: String,
    holder: String,
    terms: Terms,
    claim: Claim,
}

impl LeaderLease {
    #[must_use]
    pub const fn new(
        kubernetes: Kubernetes,
        namespace: Namespace,
        name: String,
        holder: String,
        terms: Terms,
        claim: Claim,
    ) -> Self {
        Self { kubernetes, namespace, name, holder, terms, claim }
    }

    /// Takes or renews the Lease. `posted` is what is to stand on it of open windows; none: what stands there. Answers
    /// with what stands there afterwards, where the Lease is this replica's.
    pub async fn ask(&self, ask: &Ask, posted: Option<&str>) -> (Taken, Option<String>) {
        Box::pin(self.asked(ask, posted)).await.unwrap_or_else(|why| (Taken::Unknown(why), None))
    }

    async fn asked(&self, ask: &Ask, posted: Option<&str>) -> Result<(Taken, Option<String>), String> {
        let ground = self.kubernetes.ground(&self.namespace).await?;
        let (api, params): (Api<Lease>, _) = (ground.api(), PostParams::default());
        let found = api.get_opt(&self.name).await.map_err(|error| self.told(&ground, &error))?;
        let record = found.as_ref().map_or_else(|| ABSENT.to_owned(), record);
        let stands = found.as_ref().and_then(open_windows).map(str::to_owned);
        if !self.may_take(ask, found.as_ref(), &record, stands.as_deref()) {
            let spec = found.and_then(|lease| lease.spec).unwrap_or_default();
            let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
            let holder =
                spec.holder_identity.filter(|holder| !holder.is_empty()).unwrap_or_else(|| "nobody".to_owned());
            return Ok((Taken::Theirs { holder, record, lasts: Duration::from_secs(lasts) }, None));
        }
        let stands = posted.map(str::to_owned).or(stands);
        let there = found.is_some();
        let lease = self.written(found.unwrap_or_default(), Some(&self.holder), stands.as_deref());
        // Its resource version is in it: somebody else's write in between is a conflict.
        let written =
            if there { api.replace(&self.name, &params, &lease).await } else { api.create(&params, &lease).await };
        written.map_err(|error| self.told(&ground, &error))?;
        Ok((Taken::Ours, stands))
    }

    /// Whether it may be taken; by a guard only while windows stand on it.
    fn may_take(&self, ask: &Ask, found: Option<&Lease>, record: &str, stands: Option<&str>) -> bool {
        let holder = found.map(|lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()));
        let holder = holder.map(Option::unwrap_or_default);
        let ours = holder == Some(&self.holder);
        let wanted = self.claim == Claim::Lead || stands.is_some_and(|text| !matches!(text, "" | "[]"));
        (ours || wanted) && ask.may_take(&self.holder, holder, record)
    }

    /// Lets it go, if it is this replica's. `posted` is as for [`LeaderLease::ask`].
    ///
    /// # Errors
    /// One sentence; it then runs out.
    pub async fn release(&self, posted: Option<&str>) -> Result<(), String> {
        let ground = self.kubernetes.ground(&self.namespace).await?;
        let api: Api<Lease> = ground.api();
        let Some(lease) = api.get_opt(&self.name).await.map_err(|error| self.told(&ground, &error))? else {
            return Ok(());
        };
        if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(&self.holder) {
            return Ok(());
        }
        let stands = posted.or(open_windows(&lease)).map(str::to_owned);
        let lease = self.written(lease, None, stands.as_deref());
        let written = api.replace(&self.name, &PostParams::default(), &lease).await;
        written.map(drop).map_err(|error| self.told(&ground, &error))
    }

    fn written(&self, mut lease: Lease, holder: Option<&str>, stands: Option<&str>) -> Lease {
        let now = clock::wall();
        let before = lease.spec.take().unwrap_or_default();
        let same = before.holder_identity.as_deref() == holder;
        let transitions = before.lease_transitions.unwrap_or_default() + i32::from(!same && holder.is_some());
        let metadata: &mut ObjectMeta = &mut lease.metadata;
        metadata.name = Some(self.name.clone());
        let all = metadata.annotations.get_or_insert_default();
        match stands.filter(|text| !matches!(*text, "" | "[]")) {
            Some(text) => drop(all.insert(OPEN_WINDOWS.to_owned(), text.to_owned())),
            None => drop(all.remove(OPEN_WINDOWS)),
        }
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            lease_duration_seconds: i32::try_from(self.terms.lasts.as_secs().max(1)).ok(),
            acquire_time: if same { before.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        });
        lease
    }

    fn told(&self, ground: &Ground, error: &kube::Error) -> String {
        let problem: Problem = ground.problem(error);
        format!("the Lease {} in {}: {}", self.name, ground.place(), self.kubernetes.told(problem))
    }
}

/// What changes with every renewal: whoever sees it unchanged for as long as it lasts may take it.
fn record(lease: &Lease) -> String {
    let spec = lease.spec.clone().unwrap_or_default();
    let renewed = spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default();
    format!("{}/{renewed}/{}", spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or_default())
}

fn open_windows(lease: &Lease) -> Option<&str> {
    lease.metadata.annotations.as_ref()?.get(OPEN_WINDOWS).map(String::as_str)
}

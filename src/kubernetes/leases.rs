//! A Lease for each cluster that a window closes: two Stillpoints, a laptop's and the daemon, keep apart by them.

use super::Change;
use super::client::{Ground, Kubernetes, Problem};
use crate::clock;
use crate::config::{self, Cluster, Group, Pods, Source};
use crate::domain::{Code, Reason};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long a Lease is good for without being renewed. Both sides compare it with their own wall clock.
const LASTS: Duration = Duration::from_secs(60);
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// After a failure it is tried again this soon.
const RETRY_EVERY: Duration = Duration::from_secs(3);
const REQUEST_DEADLINE: Duration = Duration::from_secs(3);
/// How many are taken at the same time.
const AT_ONCE: usize = 16;
/// How often a Lease is read anew when somebody else wrote it in between.
const TRIES: usize = 3;
/// The HTTP status of both: it is there already, and it was written in between.
const CONFLICT: u16 = 409;

/// The Leases of a window. Dropped, they are let go in the background.
pub struct Leases {
    /// Its end ends the keeper.
    stop: Option<oneshot::Sender<()>>,
    keeper: JoinHandle<()>,
}

impl Leases {
    /// Lets them go, and comes back when that is done; what an API server that is away still holds runs out by itself.
    pub async fn release(mut self) {
        drop(self.stop.take());
        // Its own requests have deadlines; whatever is left runs out.
        let _ = tokio::time::timeout(REQUEST_DEADLINE, &mut self.keeper).await;
    }
}

/// One cluster's Lease.
struct Claim {
    cluster: String,
    ground: Ground,
    name: String,
    holder: String,
}

/// Why a Lease is not ours.
enum Refusal {
    Held(String),
    Problem(Problem),
}

impl Kubernetes {
    /// Takes the Lease of each cluster that the group finds through Kubernetes, or none, and keeps them. One that is
    /// lost to somebody else is told to `changes`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `leased`: who holds one, and until when. `discovery`: the API server does not answer, or does not allow it.
    pub async fn lease(
        &self,
        group: &Group,
        holder: &str,
        changes: Option<mpsc::Sender<Change>>,
        deadline: Duration,
    ) -> Result<Leases, Reason> {
        let late = || Reason::new(Code::Discovery, format!("the Leases could not be taken within {deadline:?}"));
        let claims = self.claims(group, holder).await?;
        let problem = match tokio::time::timeout(deadline, take(&claims)).await {
            Ok(refused) => refused.map(|(claim, refusal)| self.against(claim, &refusal)),
            Err(_) => Some(late()),
        };
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keep(claims, changes, stopped));
        let leases = Leases { stop: Some(stop), keeper };
        match problem {
            Some(reason) => {
                leases.release().await;
                Err(reason)
            }
            None => Ok(leases),
        }
    }

    async fn claims(&self, group: &Group, holder: &str) -> Result<Vec<Claim>, Reason> {
        let mut claims = BTreeMap::new();
        for cluster in group.clusters.values() {
            let Source::Kubernetes(config::Kubernetes { namespace, pods, .. }) = &cluster.source else { continue };
            let ground = self.ground(namespace).await;
            let told = |sentence| Reason::new(Code::Discovery, format!("{}: {sentence}", cluster.name));
            let (ground, name) = (ground.map_err(told)?, lease_name(cluster, pods));
            let place = (ground.server.url.clone(), ground.namespace.clone(), name.clone());
            let claim = Claim { cluster: cluster.name.clone(), ground, name, holder: holder.to_owned() };
            claims.entry(place).or_insert(claim);
        }
        Ok(claims.into_values().collect())
    }

    fn against(&self, claim: &Claim, refusal: &Refusal) -> Reason {
        match refusal {
            Refusal::Held(by) => claim.lost(by),
            Refusal::Problem(problem) => {
                Reason::new(Code::Discovery, format!("{}: {}", claim.cluster, self.told(problem.clone())))
            }
        }
    }
}

/// Takes all of them; the first one that is refused ends it.
async fn take(claims: &[Claim]) -> Option<(&Claim, Refusal)> {
    for some in claims.chunks(AT_ONCE) {
        let taken = join_all(some.iter().map(|claim| claim.take())).await;
        if let Some(refused) = some.iter().zip(taken).find_map(|(claim, taken)| Some((claim, taken.err()?))) {
            return Some(refused);
        }
    }
    None
}

/// The same for everyone who means the same pods: the release's, or the selector's with its parts in order.
fn lease_name(cluster: &Cluster, pods: &Pods) -> String {
    let what = match pods {
        Pods::Release(release) => format!("{}-{release}", cluster.product.app_label().unwrap_or_default()),
        Pods::Selector { selector, .. } => {
            let text = selector.to_string();
            let mut parts: Vec<&str> = text.split(',').collect();
            parts.sort_unstable();
            let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
            parts.join(",").chars().map(plain).take(200).collect()
        }
    };
    format!("stillpoint-{}", what.trim_matches('-'))
}

/// Renews until it is told to stop, then lets go.
async fn keep(claims: Vec<Claim>, changes: Option<mpsc::Sender<Change>>, mut stopped: oneshot::Receiver<()>) {
    let begun = clock::instant();
    let mut kept: Vec<(Claim, Instant)> = claims.into_iter().map(|claim| (claim, begun)).collect();
    let mut pause = RENEW_EVERY;
    while tokio::time::timeout(pause, &mut stopped).await.is_err() {
        let taken = join_all(kept.iter().map(|(claim, _)| claim.take())).await;
        pause = if taken.iter().all(Result::is_ok) { RENEW_EVERY } else { RETRY_EVERY };
        let mut lost = None;
        for ((claim, renewed), taken) in kept.iter_mut().zip(taken) {
            match taken {
                Ok(()) => *renewed = clock::instant(),
                Err(Refusal::Held(by)) => lost = Some(claim.lost(&by)),
                Err(Refusal::Problem(problem)) if clock::instant() > *renewed + LASTS => {
                    lost = Some(claim.lapsed(&problem))
                }
                Err(Refusal::Problem(_)) => {}
            }
        }
        if let (Some(reason), Some(changes)) = (lost, &changes) {
            // A full queue holds changes already, each of which voids the window.
            let _ = changes.try_send(Change { uid: None, reason });
        }
    }
    for released in join_all(kept.iter().map(|(claim, _)| claim.release())).await {
        if let Err(Refusal::Problem(problem)) = released {
            tracing::info!("a Lease could not be let go, and runs out: {}", problem.sentence);
            break;
        }
    }
}

impl Claim {
    fn lost(&self, by: &str) -> Reason {
        let place = self.ground.place();
        Reason::new(Code::Leased, format!("{}: the Lease {} in {place} is held by {by}", self.cluster, self.name))
    }

    fn lapsed(&self, problem: &Problem) -> Reason {
        let sentence = format!("{}: the Lease {} has run out: {}", self.cluster, self.name, problem.sentence);
        Reason::new(Code::Leased, sentence)
    }

    fn api(&self) -> Api<Lease> {
        self.ground.api()
    }

    /// Takes or renews it.
    async fn take(&self) -> Result<(), Refusal> {
        self.in_time(self.written(Some(&self.holder))).await
    }

    /// Lets it go, if it is ours; it runs out by itself when that fails.
    async fn release(&self) -> Result<(), Refusal> {
        self.in_time(self.written(None)).await
    }

    async fn in_time(&self, written: impl Future<Output = Result<(), Refusal>>) -> Result<(), Refusal> {
        let silent = |_| Refusal::Problem(self.ground.silent(REQUEST_DEADLINE));
        tokio::time::timeout(REQUEST_DEADLINE, written).await.map_err(silent)?
    }

    async fn written(&self, holder: Option<&str>) -> Result<(), Refusal> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.write(holder).await {
                Err(Refusal::Problem(Problem { status: Some(CONFLICT), .. })) if tries < TRIES => {}
                written => return written,
            }
        }
    }

    async fn write(&self, holder: Option<&str>) -> Result<(), Refusal> {
        let (api, params, now) = (self.api(), PostParams::default(), clock::wall());
        let problem = |error: kube::Error| Refusal::Problem(self.ground.problem(&error));
        let Some(mut lease) = api.get_opt(&self.name).await.map_err(problem)? else {
            let Some(holder) = holder else { return Ok(()) };
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(spec(LeaseSpec::default(), Some(holder), now)) };
            return api.create(&params, &lease).await.map(drop).map_err(problem);
        };
        let before = lease.spec.take().unwrap_or_default();
        if let Some(by) = held_by_other(&before, &self.holder, now) {
            return Err(Refusal::Held(by));
        }
        lease.spec = Some(spec(before, holder, now));
        // Its resource version is in it: somebody else's write in between is a conflict.
        api.replace(&self.name, &params, &lease).await.map(drop).map_err(problem)
    }
}

/// Who else holds it now, and until when.
fn held_by_other(spec: &LeaseSpec, holder: &str, now: Timestamp) -> Option<String> {
    let other = spec.holder_identity.as_deref().filter(|other| !other.is_empty() && *other != holder)?;
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let until = spec.renew_time.as_ref()?.0.checked_add(lasts).ok()?;
    (until > now).then(|| format!("{other} until {until:.0}"))
}

fn spec(before: LeaseSpec, holder: Option<&str>, now: Timestamp) -> LeaseSpec {
    let same = before.holder_identity.as_deref() == holder;
    let transitions = before.lease_transitions.unwrap_or_default() + i32::from(!same && holder.is_some());
    LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
        acquire_time: if same { before.acquire_time } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

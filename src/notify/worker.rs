//! Tells one receiver, in order: what it refuses is tried again by itself, and when it takes nothing all waits.

use super::send::{self, Answer};
use super::sign::Keys;
use super::{CONTENT_TYPE, backoff};
use crate::catalog::{Catalog, CatalogError, Listener, Waiting};
use crate::clock::Clock;
use crate::config::{Secret, Url, Webhook};
use crate::observe::Metrics;
use crate::observe::notices::Sent;
use hyper::Method;
use hyper::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a webhook's event is tried to be told, and how many may wait for one webhook.
const WEBHOOK_LIMITS: (Duration, u32) = (Duration::from_secs(24 * 3600), 1000);
/// A heartbeat says that a window has just been consistent: an old one would not be true, and one is enough.
const HEARTBEAT_LIMITS: (Duration, u32) = (Duration::from_secs(3600), 1);
/// How long it waits when the catalog could not be read or written.
const CATALOG_AGAIN: Duration = Duration::from_secs(5);
/// How often it looks although nobody told of news: an append may land after whoever asked has gone.
const REFRESH: Duration = Duration::from_secs(30);

/// Who is told of what, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub listener: Listener,
    pub way: Way,
}

/// How one is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    Webhook(Webhook),
    Heartbeat { group: String, url: Url },
}

impl Target {
    fn limits(&self) -> (Duration, u32) {
        match self.way {
            Way::Webhook(_) => WEBHOOK_LIMITS,
            Way::Heartbeat { .. } => HEARTBEAT_LIMITS,
        }
    }

    pub fn known(&self, metrics: &Metrics) {
        match &self.way {
            Way::Webhook(webhook) => metrics.webhook_known(&webhook.name),
            Way::Heartbeat { group, .. } => metrics.heartbeat_known(group),
        }
    }

    pub fn forget(&self, metrics: &Metrics) {
        match &self.way {
            Way::Webhook(webhook) => metrics.webhook_gone(&webhook.name),
            Way::Heartbeat { group, .. } => metrics.heartbeat_gone(group),
        }
    }

    fn sent(&self, metrics: &Metrics, outcome: Sent, count: u64) {
        match &self.way {
            Way::Webhook(webhook) => metrics.notified(&webhook.name, outcome, count),
            Way::Heartbeat { group, .. } => metrics.heartbeat(group, outcome, count),
        }
    }
}

pub struct Worker {
    target: Target,
    clock: Clock,
    catalog: Catalog,
    metrics: Arc<Metrics>,
    rested: Arc<watch::Sender<u64>>,
    sender: send::Sender,
    /// Requests in a row that it took nothing of.
    failures: u32,
    /// By the monotonic clock: before this it is sent nothing.
    closed_until: Duration,
    /// What it refused: how often, and when it is tried again.
    refused: BTreeMap<String, (u32, Duration)>,
    /// What it took, but the catalog has not struck yet.
    taken: BTreeSet<String>,
}

impl Worker {
    pub fn new(
        target: Target,
        clock: Clock,
        catalog: Catalog,
        metrics: Arc<Metrics>,
        rested: Arc<watch::Sender<u64>>,
    ) -> Self {
        let sender = match &target.way {
            Way::Webhook(webhook) => send::Sender::new(webhook.url.clone(), webhook.ca_file.clone()),
            Way::Heartbeat { url, .. } => send::Sender::new(url.clone(), None),
        };
        let (refused, taken) = (BTreeMap::new(), BTreeSet::new());
        let (failures, closed_until) = (0, Duration::ZERO);
        Self { target, clock, catalog, metrics, rested, sender, failures, closed_until, refused, taken }
    }

    /// Tells for ever.
    pub async fn run(mut self) {
        let mut news = self.catalog.news();
        loop {
            let seen = *news.borrow_and_update();
            let wait = match self.round().await {
                Ok(wait) => wait,
                Err(CatalogError::Closed) => return,
                Err(error) => {
                    self.metrics.catalog_failed();
                    tracing::warn!("tell {} from the catalog: {error}", self.target.listener.name);
                    CATALOG_AGAIN
                }
            };
            self.rested.send_replace(seen);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                Ok(()) = news.changed() => {}
            }
        }
    }

    /// Sends what is due; answers with how long nothing is.
    async fn round(&mut self) -> Result<Duration, CatalogError> {
        let name = self.target.listener.name.clone();
        let (limit, most) = self.target.limits();
        let waiting = self.waiting(&name).await?;
        let before = self.clock.now().wall - limit;
        let is_old = waiting.first().is_some_and(|first| first.since < before);
        if is_old || waiting.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            let given_up = self.catalog.give_up(&name, before, most).await?;
            tracing::error!("{name} was not told {given_up} events: it did not take them in time, or too many wait");
            self.target.sent(&self.metrics, Sent::GivenUp, given_up);
            return Ok(Duration::ZERO);
        }
        let mut struck = BTreeSet::new();
        for event in &waiting {
            let now = self.clock.now().mono;
            if now < self.closed_until {
                return Ok((self.closed_until - now).min(REFRESH));
            }
            if self.refused.get(&event.id).is_some_and(|(_, again)| now < *again) {
                continue;
            }
            if let Some(body) = self.catalog.message(&name, &event.id).await?
                && !self.tell(&name, event, body).await?
            {
                continue;
            }
            struck.insert(&event.id);
            let left = waiting.iter().filter(|event| !struck.contains(&event.id));
            self.show(waiting.len() - struck.len(), left.map(|event| event.since).next());
        }
        self.waiting(&name).await?;
        let now = self.clock.now().mono;
        let again = self
            .refused
            .values()
            .map(|(_, again)| *again)
            .chain([self.closed_until].into_iter().filter(|it| now < *it));
        Ok(again.min().map_or(REFRESH, |again| again.max(self.closed_until).saturating_sub(now)).min(REFRESH))
    }

    async fn waiting(&mut self, name: &str) -> Result<Vec<Waiting>, CatalogError> {
        let waiting = self.catalog.waiting(name).await?;
        let there: BTreeSet<&str> = waiting.iter().map(|event| event.id.as_str()).collect();
        self.refused.retain(|id, _| there.contains(id.as_str()));
        self.taken.retain(|id| there.contains(id.as_str()));
        self.show(waiting.len(), waiting.first().map(|event| event.since));
        Ok(waiting)
    }

    fn show(&self, count: usize, oldest: Option<Timestamp>) {
        if let Way::Webhook(webhook) = &self.target.way {
            self.metrics.notifications_waiting(&webhook.name, count, oldest);
        }
    }

    /// Sends one event, unless it was taken before; whether it is done with.
    async fn tell(&mut self, name: &str, event: &Waiting, body: String) -> Result<bool, CatalogError> {
        if !self.taken.contains(&event.id) {
            let answer = self.send(&event.id, body).await;
            match answer {
                Answer::Taken => {
                    if self.failures > 0 {
                        tracing::info!("{name} takes events again");
                    }
                    self.failures = 0;
                    self.target.sent(&self.metrics, Sent::Delivered, 1);
                }
                Answer::Gone => {
                    tracing::error!("{name} answered 410: it wants no events; take it out of the config");
                    self.target.sent(&self.metrics, Sent::GivenUp, 1);
                }
                Answer::Refused(why) => {
                    let now = self.clock.now().mono;
                    let (times, again) = self.refused.entry(event.id.clone()).or_insert((0, now));
                    *times += 1;
                    *again = now + backoff::wait(*times, fastrand::f64());
                    tracing::warn!("{name} does not take {}: {why}", event.id);
                    self.target.sent(&self.metrics, Sent::Retried, 1);
                    return Ok(false);
                }
                Answer::Failed(why, after) => {
                    self.failures = self.failures.saturating_add(1);
                    let wait = backoff::wait(self.failures, fastrand::f64());
                    self.closed_until = self.clock.now().mono + after.unwrap_or(wait).max(wait / 2);
                    if self.failures == 1 {
                        tracing::warn!("{name} takes no events: {why}; they wait");
                    } else {
                        tracing::debug!("{name} still takes no events: {why}");
                    }
                    self.target.sent(&self.metrics, Sent::Retried, 1);
                    return Ok(false);
                }
            }
            self.taken.insert(event.id.clone());
        }
        self.catalog.told(name, &event.id).await?;
        Ok(true)
    }

    async fn send(&mut self, id: &str, body: String) -> Answer {
        let Way::Webhook(webhook) = &self.target.way else {
            return self.sender.send(Method::GET, HeaderMap::new(), String::new()).await;
        };
        let keys = match tokio::time::timeout(send::DEADLINE, keys(&webhook.secret)).await {
            Ok(Ok(keys)) => keys,
            Ok(Err(why)) => return Answer::Failed(why, None),
            Err(_) => return Answer::Failed("its secret cannot be read in time".to_owned(), None),
        };
        match headers(&keys, id, self.clock.now().wall.as_second(), &body) {
            Some(headers) => self.sender.send(Method::POST, headers, body).await,
            None => Answer::Failed(format!("{id} cannot stand in a header"), None),
        }
    }
}

/// Read each time: a secret may be replaced at any time.
async fn keys(secret: &Secret) -> Result<Keys, String> {
    let (place, text) = match secret {
        Secret::File(path) => {
            let place = path.display().to_string();
            (
                place.clone(),
                tokio::fs::read_to_string(path).await.map_err(|error| format!("{place}: {}", error.kind()))?,
            )
        }
        Secret::Variable(name) => {
            let place = format!("the variable {name}");
            (place.clone(), std::env::var(name).map_err(|_| format!("{place} is not set"))?)
        }
    };
    Keys::read(&text).map_err(|why| format!("{place}: {why}"))
}

fn headers(keys: &Keys, id: &str, second: i64, body: &str) -> Option<HeaderMap> {
    let mut signature = HeaderValue::from_str(&keys.sign(id, second, body)).ok()?;
    signature.set_sensitive(true);
    let headers = [
        (CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE)),
        (HeaderName::from_static("webhook-id"), HeaderValue::from_str(id).ok()?),
        (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(second)),
        (HeaderName::from_static("webhook-signature"), signature),
    ];
    Some(headers.into_iter().collect())
}

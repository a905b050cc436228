//! `points`: what the catalog knows of restore points, and what people ask of one.

use super::Exit;
use super::args::PointsAction;
use super::ask::{Next, ask};
use super::history::{Row, unknown};
use super::kube::KubeFlags;
use super::output::{Format, NOTHING, complain, instant, or_nothing, short, table, zone};
use crate::catalog::{Catalog, OpenError, Point, Reader};
use crate::config::Config;
use crate::daemon::control::{Request, Response};
use crate::tracking::Act;
use crate::tracking::copy::Copy;
use crate::tracking::track::{Track, until};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a command without a daemon looks whether what it began is at rest.
const REST_POLL: Duration = Duration::from_secs(1);

/// A restore point as scripts read it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    window: Row<'a>,
    /// The least that its stores have come to; none without stores.
    state: Option<&'static str>,
    /// The earliest over its stores; none where its backups stay, or it is not known, or lost or expired.
    restorable_until: Option<Timestamp>,
    stores: BTreeMap<&'a str, StoreShown<'a>>,
}

/// One store's progress with it.
#[derive(Serialize)]
struct StoreShown<'a> {
    state: &'static str,
    reason: Option<&'a str>,
    latest: Option<Timestamp>,
    checked: Option<Timestamp>,
    expected: Option<Timestamp>,
    restorable: Option<Timestamp>,
    materialized: Option<Timestamp>,
    expires: Option<Timestamp>,
    restorable_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartShown>,
}

/// One table, instance or cluster of it.
#[derive(Serialize)]
struct PartShown {
    name: String,
    bytes: Option<i64>,
    /// What a restore does not bring back, in AWS's own words.
    settings: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl<'a> From<&'a Track> for StoreShown<'a> {
    fn from(track: &'a Track) -> Self {
        Self {
            state: track.state.name(),
            reason: track.reason.as_deref(),
            latest: track.latest,
            checked: track.checked,
            expected: track.expected(),
            restorable: track.restorable,
            materialized: track.materialized,
            expires: track.expires,
            restorable_until: track.until(),
            notes: Vec::new(),
            parts: Vec::new(),
        }
    }
}

impl<'a> From<&'a Point> for Shown<'a> {
    fn from(point: &'a Point) -> Self {
        let stores = point.tracks.iter().map(|track| (track.store.as_str(), StoreShown::from(track))).collect();
        let restorable_until = until(&point.tracks);
        Self { window: Row::from(&point.window), state: state(point), restorable_until, stores }
    }
}

/// What holds the restore point back: a store that is lost or failed before one that still comes.
fn state(point: &Point) -> Option<&'static str> {
    use crate::tracking::track::State;
    let order = [
        State::Lost,
        State::Expired,
        State::Expiring,
        State::Failed,
        State::Waiting,
        State::Materializing,
        State::Restorable,
        State::Materialized,
    ];
    let rank = |track: &Track| order.iter().position(|state| *state == track.state);
    point.tracks.iter().min_by_key(|track| rank(track)).map(|track| track.state.name())
}

/// Restore points, newest first.
pub async fn points(config: &Arc<Config>, group: Option<&str>, limit: u32, output: Format) -> anyhow::Result<Exit> {
    let points = match Catalog::read(&config.daemon.catalog).await {
        Err(OpenError::NoCatalog(_) | OpenError::NoDirectory(_)) => Vec::new(),
        reader => reader?.points(group, limit).await?,
    };
    if let Some(exit) = unknown(config, group, points.is_empty()) {
        return Ok(exit);
    }
    output.print(&points.iter().map(Shown::from).collect::<Vec<_>>(), |_| {
        let lines = points.iter().map(|point| {
            let row = &point.window;
            let zone = zone(config.groups.get(&row.group));
            let quiet = row.pause_completed.zip(row.unpause_started);
            let quiet = quiet.map(|(start, end)| format!("{:.3}s", end.duration_since(start).as_secs_f64()));
            let at = row.restore_point.map(|at| instant(at, &zone));
            let evidence = row.evidence.map(|evidence| evidence.name());
            let stores = point.tracks.iter().map(|track| format!("{} {}", track.store, track.state.name()));
            let stores = stores.collect::<Vec<_>>().join(", ");
            let stores = if stores.is_empty() { NOTHING.to_owned() } else { stores };
            let until = or_nothing(until(&point.tracks).map(short));
            vec![
                row.group.clone(),
                or_nothing(at),
                stores,
                until,
                or_nothing(quiet),
                or_nothing(evidence),
                row.window.clone(),
            ]
        });
        table(&["GROUP", "RESTORE POINT", "STORES", "UNTIL (UTC)", "QUIET", "EVIDENCE", "WINDOW"], lines)
    })?;
    Ok(Exit::Good)
}

/// `show`, `materialize`, `expire`.
pub async fn act(config: &Arc<Config>, kube: &KubeFlags, action: PointsAction, output: Format) -> anyhow::Result<Exit> {
    let (PointsAction::Show { point: which }
    | PointsAction::Materialize { point: which }
    | PointsAction::Expire { point: which, .. }) = &action;
    let found = match Catalog::read(&config.daemon.catalog).await {
        Err(OpenError::NoCatalog(_) | OpenError::NoDirectory(_)) => None,
        reader => {
            let reader = reader?;
            let found = reader.point(which, None).await?;
            Some((reader, found))
        }
    };
    let Some((reader, mut found)) = found.filter(|(_, found)| !found.is_empty()) else {
        complain(format_args!("no restore point {which}; `stillpoint points` lists them, by window and by instant"));
        return Ok(Exit::Usage);
    };
    if found.len() > 1 {
        let windows: Vec<&str> = found.iter().map(|point| point.window.window.as_str()).collect();
        complain(format_args!("{which} is the restore point of several windows; name one: {}", windows.join(", ")));
        return Ok(Exit::Usage);
    }
    let point = found.remove(0);
    let act = match action {
        PointsAction::Show { .. } => return show(config, &reader, &point, output).await,
        PointsAction::Materialize { .. } => Act::Materialize,
        PointsAction::Expire { force, .. } => Act::Expire { force },
    };
    // This process may have to take the catalog.
    drop(reader);
    ask_of(config, kube, &point, act, output).await
}

async fn show(config: &Config, reader: &Reader, point: &Point, output: Format) -> anyhow::Result<Exit> {
    let window = &point.window.window;
    let mut shown = Shown::from(point);
    for (store, there) in &mut shown.stores {
        let capture = reader.capture_of(window, store).await?.unwrap_or_default();
        let copies = reader.copies(window, store).await?;
        let copies: BTreeMap<&str, &Copy> = copies.iter().map(|copy| (copy.source.as_str(), copy)).collect();
        there.notes = capture.notes;
        let part = |(name, part): (String, crate::stores::Part)| {
            let copy = copies.get(name.as_str());
            PartShown {
                bytes: copy.and_then(|copy| copy.bytes).or(part.bytes),
                step: copy.map(|copy| copy.step.name()),
                backup: copy.and_then(|copy| copy.arn.clone()),
                failure: copy.and_then(|copy| copy.failure.clone().or_else(|| copy.left.clone())),
                settings: part.settings,
                name,
            }
        };
        there.parts = capture.parts.into_iter().map(part).collect();
    }
    output.print(&shown, |shown| text(config, point, shown))?;
    Ok(Exit::Good)
}

fn text(config: &Config, point: &Point, shown: &Shown<'_>) -> String {
    let row = &point.window;
    let zone = zone(config.groups.get(&row.group));
    let at = or_nothing(row.restore_point.map(|at| instant(at, &zone)));
    let mut text = format!("restore point {at} of group {}, window {}\n", row.group, row.window);
    if let Some(until) = shown.restorable_until {
        text.push_str(&format!("in all its stores until {} UTC\n", short(until)));
    }
    for (name, store) in &shown.stores {
        text.push_str(&format!("\nstore {name}: {}\n", store.state));
        for (what, at) in [
            ("latest restorable time", store.latest),
            ("expected restorable", store.expected),
            ("restorable since", store.restorable),
            ("materialized", store.materialized),
            ("restorable until", store.restorable_until),
        ] {
            if let Some(at) = at {
                text.push_str(&format!("  {what}: {} UTC\n", short(at)));
            }
        }
        for line in store.reason.iter().copied().chain(store.notes.iter().map(String::as_str)) {
            text.push_str(&format!("  {line}\n"));
        }
        let rows = store.parts.iter().map(|part| {
            let why = part.failure.clone().or_else(|| part.backup.clone());
            vec![part.name.clone(), or_nothing(part.step), or_nothing(part.bytes), or_nothing(why)]
        });
        text.push_str(&table(&["  PART", "STEP", "BYTES", "BACKUP"], rows));
    }
    text
}

async fn ask_of(
    config: &Arc<Config>,
    kube: &KubeFlags,
    point: &Point,
    act: Act,
    output: Format,
) -> anyhow::Result<Exit> {
    let (group, window) = (point.window.group.clone(), point.window.window.clone());
    let mut asked = ask(config, kube, Request::Point { group, window: window.clone(), act }, output).await?;
    let exit = loop {
        match asked.next().await? {
            Next::Response(Response::Point { stores }) => {
                let refused = stores.values().flatten().count();
                output.print(&stores, |stores| {
                    let line = |(store, why): (&String, &Option<String>)| match why {
                        None => format!("{store}: begun\n"),
                        Some(why) => format!("{store}: {why}\n"),
                    };
                    stores.iter().map(line).collect()
                })?;
                if stores.len() > refused && !asked.at_rest(&window, REST_POLL).await? {
                    break Exit::Failed;
                }
                break if refused == 0 { Exit::Good } else { Exit::Refused };
            }
            Next::Response(Response::Failed { message }) => {
                complain(format_args!("{message}"));
                break Exit::Failed;
            }
            Next::Response(_) | Next::Signal => {}
            Next::Over => break Exit::Failed,
        }
    };
    Ok(asked.end(exit).await)
}

//! One environment: layers, types, validation.
//!
//! Each layer (a file or a variable) is parsed and checked on its own, so that a fault has its line; then the layers are
//! merged by the `config` crate, and the whole is validated into [`Config`], all faults at once. Nothing is contacted, and
//! no file but the config's own is read.

mod defaults;
mod error;
mod fingerprint;
mod layer;
mod model;
mod names;
mod path;
mod place;
mod raw;
mod schedule;
mod schema;
mod selector;
mod show;
mod span;
mod validate;
mod yaml;

pub use error::{Errors, Place, Problem, Wrong};
pub use model::{
    Aws, Cluster, Config, Connect, Coverage, Daemon, Dynamodb, Eks, Group, Keep, Kubernetes, Leadership, LeaseAt,
    Materialize, Namespace, Orphans, Pods, Preflight, Prices, Schedule, Secret, Source, Store, StoreKind, Tls, Url,
    Webhook, WindowSettings,
};
pub use place::{CatalogPlace, PostgresUrl};
pub use schema::json_schema;
pub use show::View;
pub use span::write as write_duration;

/// Reads a duration such as `10s` or `1m30s`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    span::parse(text).map_err(|wrong| wrong.what)
}

use std::path::PathBuf;
use std::time::Duration;

pub use crate::domain::PAUSE_MARGIN;

/// The shortest hold: the restore point needs a whole second inside it.
pub const SHORTEST_HOLD: Duration = Duration::from_secs(2);

/// Which files make up an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// `dir/default.yaml`, overlaid by `dir/<name>.yaml`.
    Env {
        /// The directory, `config` by default.
        dir: PathBuf,
        /// The environment.
        name: String,
    },
    /// Just these, overlaid from left to right.
    List(Vec<PathBuf>),
}

/// A valid environment, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the program works with.
    pub config: Config,
    /// The merged YAML, each value with its origin; its `Display` is what `config show` prints.
    pub view: View,
    /// The files and variables it was read from, lowest first, by the names the user gave.
    pub layers: Vec<String>,
    /// Tells whether two environments were read from the same texts; says nothing of what stands in them.
    pub fingerprint: String,
    read: Vec<layer::Layer>,
}

impl Loaded {
    /// Where the value of a key such as `daemon.http` was written; where the nearest mapping around it was, if nobody
    /// wrote it.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        let mut around = Some(key.split('.').fold(path::KeyPath::default(), |path, key| path.key(key)));
        while let Some(path) = around.filter(|path| !path.0.is_empty()) {
            if let Some(place) = self.read.iter().rev().find_map(|layer| layer.place(&path)) {
                return place;
            }
            around = path.parent();
        }
        Place::Default
    }
}

/// Reads `files`, overlays `variables` (`STILLPOINT__A__B`; others are ignored), and validates the result.
///
/// # Errors
/// Each faulty layer's first fault; if there is none, every fault of the merged environment.
pub fn load(files: &Files, variables: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Errors> {
    let layers = layer::read(files, variables).map_err(Errors)?;
    let merged = merge(&layers)?;
    let raw = merged.clone().try_deserialize::<raw::Root>().map_err(|error| internal(&error))?;
    let config = validate::validate(raw, &layers)?;
    let view = show::view(&merged, &layers, &config);
    let names = layers.iter().map(|layer| layer.name.clone()).collect();
    Ok(Loaded { config, view, layers: names, fingerprint: fingerprint::of(&layers), read: layers })
}

/// Tells whether the files are still what they were, without reading anything into them. One that cannot be read is
/// taken in as such.
#[must_use]
pub fn glance(files: &Files) -> String {
    match layer::paths(files) {
        Ok(paths) => fingerprint::glance(&paths),
        // Their names are wrong, and no change to any file makes them right.
        Err(_) => String::new(),
    }
}

fn merge(layers: &[layer::Layer]) -> Result<config::Value, Errors> {
    let empty = config::Config::builder();
    let builder = layers.iter().cloned().fold(empty, |builder, layer| builder.add_source(layer));
    builder.build().map(|built| built.cache).map_err(|error| internal(&error))
}

/// The layers passed their checks one by one, so the merged whole fits as well; should it not, the merger's words must do.
fn internal(error: &config::ConfigError) -> Errors {
    let place = Place::File { path: "merged layers".to_owned(), at: None };
    Errors(vec![Problem::new(place, "", error::Wrong::new(error.to_string()))])
}

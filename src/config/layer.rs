//! The layers of an environment: files and variables, each checked on its own, then merged by the `config` crate.

use super::error::{self, Place, Problem, Wrong};
use super::path::{KeyPath, Step};
use super::{Files, raw, yaml};
use std::path::{Path, PathBuf};

/// What stands in front of every variable that sets a value.
const PREFIX: &str = "STILLPOINT__";

/// One file or one variable.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file's path as it was given, or the variable's name.
    pub name: String,
    /// The file's text; none for a variable.
    pub text: Option<String>,
    pub tree: yaml::Value,
}

impl Layer {
    /// Where the value at `path` stands in this layer (a mapping: where its key stands); none if the layer does not hold it.
    pub fn place(&self, path: &KeyPath) -> Option<Place> {
        let value = at(&self.tree, path)?;
        Some(self.placed(|text| match value {
            yaml::Value::Mapping(_) => yaml::locate_key(text, path).or_else(|| yaml::locate(text, path)),
            _ => yaml::locate(text, path),
        }))
    }

    /// Where the key of `path` stands in this layer; none if the layer does not hold it.
    pub fn key_place(&self, path: &KeyPath) -> Option<Place> {
        at(&self.tree, path)?;
        Some(self.placed(|text| yaml::locate_key(text, path)))
    }

    fn placed(&self, locate: impl Fn(&str) -> Option<yaml::Location>) -> Place {
        match &self.text {
            Some(text) => Place::File { path: self.name.clone(), at: locate(text) },
            None => Place::Variable(self.name.clone()),
        }
    }
}

fn at<'a>(tree: &'a yaml::Value, path: &KeyPath) -> Option<&'a yaml::Value> {
    path.0.iter().try_fold(tree, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        to_config(&self.tree, &self.name).into_table()
    }
}

/// The same value for the `config` crate, which carries the layer's name with it.
fn to_config(value: &yaml::Value, origin: &String) -> config::Value {
    use config::ValueKind;
    use yaml::Value;
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(value) => ValueKind::Boolean(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => ValueKind::U64(value),
            (None, Some(value)) => ValueKind::I64(value),
            (None, None) => ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Sequence(list) => ValueKind::Array(list.iter().map(|value| to_config(value, origin)).collect()),
        Value::Mapping(map) => ValueKind::Table(
            map.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), to_config(value, origin)))).collect(),
        ),
        Value::Tagged(tagged) => return to_config(&tagged.value, origin),
    };
    config::Value::new(Some(origin), kind)
}

/// Reads every layer, files first; all faulty layers are told, each with its first fault.
///
/// # Errors
/// The faults.
pub fn read(files: &Files, variables: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Layer>, Vec<Problem>> {
    let mut layers = Vec::new();
    let mut problems = Vec::new();
    let paths = match paths(files) {
        Ok(paths) => paths,
        Err(problem) => return Err(vec![*problem]),
    };
    for path in paths {
        match read_file(&path, files) {
            Ok(layer) => layers.push(layer),
            Err(problem) => problems.push(*problem),
        }
    }
    let mut variables: Vec<_> = variables.into_iter().collect();
    variables.sort();
    for (name, value) in &variables {
        match read_variable(name, value) {
            Some(Ok(layer)) => layers.push(layer),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    if problems.is_empty() { Ok(layers) } else { Err(problems) }
}

/// The files of an environment, lowest layer first.
pub fn paths(files: &Files) -> Result<Vec<PathBuf>, Box<Problem>> {
    match files {
        Files::List(list) => Ok(list.clone()),
        Files::Env { dir, name } if name == "default" => Ok(vec![dir.join("default.yaml")]),
        Files::Env { dir, name } => {
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                let place = Place::File { path: dir.display().to_string(), at: None };
                let wrong = Wrong::new(format!("\"{name}\" cannot be the name of an environment"))
                    .expected("the name of a file in this directory, without .yaml");
                return Err(Box::new(Problem::new(place, "", wrong)));
            }
            Ok(vec![dir.join("default.yaml"), dir.join(format!("{name}.yaml"))])
        }
    }
}

fn read_file(path: &Path, files: &Files) -> Result<Layer, Box<Problem>> {
    let name = path.display().to_string();
    let whole = |wrong| Box::new(Problem::new(Place::File { path: name.clone(), at: None }, "", wrong));
    let bytes = std::fs::read(path).map_err(|error| whole(unreadable(path, &error, files)))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        whole(Wrong::new(format!("line {line} is not UTF-8")).expected("YAML text in UTF-8"))
    })?;
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if is_empty {
        return Err(whole(Wrong::new("the file is empty").expected("at least one of daemon, groups, notifications")));
    }
    let fault = |fault: yaml::Fault| {
        let at = fault.at.or_else(|| locate_fault(&text, &fault));
        Box::new(Problem::new(Place::File { path: name.clone(), at }, fault.key, fault.wrong))
    };
    let tree = yaml::parse(&text).map_err(fault)?;
    if tree.is_null() {
        return Err(whole(Wrong::new("the file is empty").expected("at least one of daemon, groups, notifications")));
    }
    yaml::check::<raw::Root>(&tree).map_err(fault)?;
    Ok(Layer { name: name.clone(), text: Some(text), tree })
}

/// The place of a type error: an unknown key itself, else the value.
fn locate_fault(text: &str, fault: &yaml::Fault) -> Option<yaml::Location> {
    let key = if fault.wrong.what.starts_with(error::UNKNOWN_KEY) { yaml::locate_key(text, &fault.key) } else { None };
    key.or_else(|| yaml::locate(text, &fault.key))
}

fn unreadable(path: &Path, error: &std::io::Error, files: &Files) -> Wrong {
    if error.kind() != std::io::ErrorKind::NotFound {
        // Rust's text ends with the number of the error, which tells a user nothing.
        let text = error.to_string();
        return Wrong::new(format!("cannot be read: {}", text.split(" (os error").next().unwrap_or(&text)));
    }
    let wanted = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let found = environments(path.parent().unwrap_or(Path::new(".")));
    let near = error::nearest(wanted, found.iter().map(String::as_str));
    match files {
        Files::Env { dir, .. } if found.is_empty() && wanted != "default" => Wrong::new("there is no such file")
            .expected(format!("an environment in {}, which holds none", dir.display())),
        Files::Env { .. } if wanted == "default" => Wrong::new("there is no such file")
            .expected("what all environments share, at least \"daemon: {}\", or --config and the files themselves"),
        Files::Env { dir, .. } => {
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            Wrong::new("there is no such file")
                .expected(format!("{} (the environments in {})", error::one_of(&found), dir.display()))
                .nearest(near)
        }
        Files::List(_) => {
            let near = near.map(|near| path.with_file_name(format!("{near}.yaml")).display().to_string());
            Wrong::new("there is no such file").expected("a YAML file").nearest(near)
        }
    }
}

/// The environments of a directory by name.
fn environments(dir: &Path) -> Vec<String> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "yaml" && name != "default").then_some(name)
        })
        .collect();
    names.sort();
    names
}

/// The layer that a variable is; none if the variable is not ours.
fn read_variable(name: &str, value: &str) -> Option<Result<Layer, Problem>> {
    let problem =
        |key: &dyn std::fmt::Display, wrong| Some(Err(Problem::new(Place::Variable(name.to_owned()), key, wrong)));
    let Some(rest) = name.strip_prefix(PREFIX) else {
        // One underscore too few would otherwise be a setting that silently does nothing.
        let rest = name.strip_prefix("STILLPOINT_").filter(|rest| rest.contains("__"))?;
        let wrong = Wrong::new("this variable sets nothing")
            .expected(format!("{PREFIX} in front"))
            .nearest(Some(format!("{PREFIX}{rest}")));
        return problem(&"", wrong);
    };
    let mut path = KeyPath::default();
    for segment in rest.to_lowercase().split("__") {
        if segment.is_empty() {
            let wrong = Wrong::new("this variable's name has an empty part")
                .expected(format!("{PREFIX}A__B, such as {PREFIX}DAEMON__HTTP"));
            return problem(&"", wrong);
        }
        // Variables cannot hold the dashes that names have, and names cannot hold underscores.
        path = if is_name(&path) { path.key(&segment.replace('_', "-")) } else { path.key(segment) };
    }
    if value.trim().is_empty() {
        return problem(&path, Wrong::new("this variable is empty").expected("a value, or null"));
    }
    let text = nest(&path, yaml::Value::String(value.to_owned()));
    let first = match yaml::parse(value) {
        Ok(parsed) => {
            let tree = nest(&path, parsed);
            match yaml::check::<raw::Root>(&tree) {
                Ok(_) => return Some(Ok(Layer { name: name.to_owned(), text: None, tree })),
                Err(fault) => fault,
            }
        }
        Err(fault) => fault,
    };
    // What YAML takes for a number or a list may be meant as the text that it is.
    match yaml::check::<raw::Root>(&text) {
        Ok(_) => Some(Ok(Layer { name: name.to_owned(), text: None, tree: text })),
        Err(second) => {
            let fault = if first.key.0.is_empty() { second } else { first };
            let wrong = as_variable(fault.wrong, &fault.key);
            problem(&fault.key, wrong)
        }
    }
}

/// Whether the next part of `path` is a name that a person chose.
fn is_name(path: &KeyPath) -> bool {
    let keys: Vec<&str> = path.0.iter().map(|step| if let Step::Key(key) = step { key.as_str() } else { "" }).collect();
    matches!(keys[..], ["groups"] | ["groups", _, "clusters" | "stores"] | ["notifications", "webhooks"])
}

fn nest(path: &KeyPath, leaf: yaml::Value) -> yaml::Value {
    path.0.iter().rev().fold(leaf, |inner, step| match step {
        Step::Key(key) => yaml::mapping(key, inner),
        Step::Index(_) => inner,
    })
}

/// Offers the nearest key as the variable to set.
fn as_variable(mut wrong: Wrong, key: &KeyPath) -> Wrong {
    if wrong.what.starts_with(error::UNKNOWN_KEY)
        && let Some(nearest) = &wrong.nearest
    {
        let parent = key.parent().unwrap_or_default();
        let full = nearest.split('.').fold(parent, |path, part| path.key(part));
        let name = full.to_string().to_uppercase().replace('.', "__").replace('-', "_");
        wrong.nearest = Some(format!("{PREFIX}{name}"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_variables_get_their_dashes_back_and_keys_keep_underscores() {
        let layer = read_variable("STILLPOINT__GROUPS__MY_SHOP__WINDOW__MAX_PAUSE", "90s").unwrap().unwrap();
        let path = KeyPath::root("groups").key("my-shop").key("window").key("max_pause");
        assert_eq!(at(&layer.tree, &path).and_then(yaml::Value::as_str), Some("90s"));
    }

    #[test]
    fn other_programs_variables_are_left_alone() {
        assert!(read_variable("STILLPOINT_ENV", "x").is_none());
        assert!(read_variable("HOME", "/root").is_none());
    }
}

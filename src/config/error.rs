//! What is wrong with a config, as one clear message each.

use serde::Serialize;
use std::fmt;

/// What is wrong with one value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The fault, quoting the value.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The valid value nearest to the wrong one.
    pub nearest: Option<String>,
}

impl Wrong {
    /// A fault without a remedy yet.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), expected: None, nearest: None }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds the nearest valid value, if there is one.
    #[must_use]
    pub fn nearest(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest;
        self
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A file, by the path the user gave, with line and column (from 1) where they are known.
    File {
        /// The path as it was given.
        path: String,
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
    },
    /// An environment variable.
    Variable(String),
    /// Nobody wrote it: it is built in.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at: Some((line, column)) } => write!(f, "{path}:{line}:{column}"),
            Self::File { path, at: None } => f.write_str(path),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One fault of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where the value was written.
    pub place: Place,
    /// The key path, such as `groups.payments.window.hold`; empty for a whole file.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The nearest valid name or value.
    pub nearest: Option<String>,
}

impl Problem {
    /// `wrong`, found at `key` in `place`.
    pub fn new(place: Place, key: impl fmt::Display, wrong: Wrong) -> Self {
        Self { place, key: key.to_string(), wrong: wrong.what, expected: wrong.expected, nearest: wrong.nearest }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.wrong)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean \"{nearest}\"?")?;
        }
        Ok(())
    }
}

/// Every fault that was found; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Errors(pub Vec<Problem>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// The candidate that a person most likely meant by `written`, if any is near enough.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (similarity(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.55)
        // The first of equals wins, so that the answer does not depend on floating point noise.
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, candidate)| candidate.to_owned())
}

fn similarity(written: &str, candidate: &str) -> f64 {
    let distance = strsim::normalized_damerau_levenshtein(written, candidate);
    // A name cut short ("scalardl" for "scalardl-ledger") is near, however long the rest is.
    if written.len() >= 3 && candidate.starts_with(written) { distance.max(0.6) } else { distance }
}

/// What is expected where serde does not say which names there are.
const A_NAME: &str = "one of the names it may have";

/// How the message about a key that is not known begins.
pub const UNKNOWN_KEY: &str = "unknown key";

/// Keys that people put one level too high, and where they belong.
const BELONGS: &[(&str, &[&str])] = &[
    ("window", &["hold", "drain", "max_pause"]),
    ("schedule", &["cron", "time_zone", "lead", "starting_deadline", "refused_retry", "attempts", "retry_delay"]),
    ("tls", &["ca_file", "server_name", "cert_file", "key_file"]),
    ("kubernetes", &["eks", "context", "kubeconfig", "namespace", "release", "selector"]),
    ("keep", &["last", "daily", "weekly", "monthly"]),
    ("dynamodb", &["tables", "prefix", "coordinator", "metadata", "materialize", "indexes", "orphans", "prices"]),
    ("tables", &["include", "exclude"]),
    ("prices", &["restore", "backup"]),
];

/// Puts serde's words about the value of `key` into those of a person who writes YAML.
pub fn from_serde(key: &str, message: &str) -> Wrong {
    let wrong = translated(message);
    let names: &[&str] = match key {
        "product" => &["scalardb-cluster", "scalardb-server", "scalardl-ledger", "scalardl-auditor", "custom"],
        "coverage" | "preflight" => &["refuse", "warn"],
        "orphans" => &["report", "delete"],
        "materialize" => &["always", "daily", "weekly", "never"],
        _ => return wrong,
    };
    if wrong.expected.as_deref() == Some(A_NAME) { wrong.expected(one_of(names)) } else { wrong }
}

fn translated(message: &str) -> Wrong {
    if let Some((written, rest)) = quoted_after(message, "unknown field ") {
        let valid = backticked(rest);
        let home = BELONGS.iter().find(|(home, keys)| valid.contains(home) && keys.contains(&written));
        let near = match home {
            Some((home, _)) => Some(format!("{home}.{written}")),
            None => nearest(written, valid.iter().copied()),
        };
        return Wrong::new(format!("{UNKNOWN_KEY} \"{written}\"")).expected(one_of(&valid)).nearest(near);
    }
    if let Some((written, rest)) = quoted_after(message, "unknown variant ") {
        let valid = backticked(rest);
        let near = nearest(written, valid.iter().copied());
        return Wrong::new(format!("\"{written}\" is not known here")).expected(one_of(&valid)).nearest(near);
    }
    let body = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match body.and_then(|body| body.rsplit_once(", expected ")) {
        Some((found, "a string")) if found.contains('`') => {
            Wrong::new(format!("{} stands here", found_words(found))).expected("text: put it in quotes")
        }
        Some((found, expected)) => {
            Wrong::new(format!("{} stands here", found_words(found))).expected(expected_words(expected))
        }
        None => Wrong::new(message),
    }
}

fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.split_once('`')
}

fn backticked(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

/// `a`, `one of a, b, c`.
pub fn one_of(valid: &[&str]) -> String {
    match valid {
        [only] => (*only).to_owned(),
        many => format!("one of {}", many.join(", ")),
    }
}

fn found_words(found: &str) -> String {
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "unit value" | "Option value" => "nothing (null)".to_owned(),
        _ => {
            if let Some(text) = found.strip_prefix("string ") {
                return format!("the text {text}");
            }
            let bare = found.replace('`', "");
            match bare.split_once(' ') {
                Some(("integer", value)) => format!("the number {value}"),
                Some(("floating", rest)) => format!("the number {}", rest.trim_start_matches("point ")),
                Some(("boolean", value)) => format!("the boolean {value}"),
                _ => bare,
            }
        }
    }
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping (names, each with its settings indented below it)",
        "u16" => "a port, 1 to 65535",
        "u32" => "a whole number, 0 or more",
        "f64" => "a number, 0 or more",
        "a boolean" => "true or false",
        "a Value::Tagged enum" => A_NAME,
        other => other,
    }
}

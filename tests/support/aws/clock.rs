//! The stand-in's own idea of the time, and how far each resource can be restored.

use jiff::{SignedDuration, Timestamp};
use wildmatch::WildMatch;

/// Fast enough for tests, slow enough that a point taken now is not restorable yet.
const DEFAULT_LAG: SignedDuration = SignedDuration::from_secs(2);

pub struct Clock {
    skew: SignedDuration,
    lag: SignedDuration,
    frozen: Option<Timestamp>,
    /// By the name of a table, an instance or a cluster; the last one that matches counts.
    fixed: Vec<Fixed>,
}

struct Fixed {
    name: WildMatch,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
}

impl Clock {
    pub fn new() -> Self {
        Self { skew: SignedDuration::ZERO, lag: DEFAULT_LAG, frozen: None, fixed: Vec::new() }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::now() + self.skew
    }

    pub fn set_skew(&mut self, skew: SignedDuration) {
        self.skew = skew;
    }

    pub fn set_lag(&mut self, lag: SignedDuration) {
        self.lag = lag;
    }

    pub fn freeze(&mut self) {
        self.frozen = Some(self.now() - self.lag);
    }

    pub fn unfreeze(&mut self) {
        self.frozen = None;
    }

    pub fn fix_earliest(&mut self, name: &str, at: Timestamp) {
        self.fixed.push(Fixed { name: WildMatch::new(name), earliest: Some(at), latest: None });
    }

    pub fn fix_latest(&mut self, name: &str, at: Timestamp) {
        self.fixed.push(Fixed { name: WildMatch::new(name), earliest: None, latest: Some(at) });
    }

    pub fn release(&mut self) {
        self.fixed.clear();
    }

    /// The earliest and latest restorable times of something whose history began at `since` and goes back `days`.
    pub fn restorable(&self, name: &str, since: Timestamp, days: i64) -> (Timestamp, Timestamp) {
        let fixed = || self.fixed.iter().rev().filter(|fixed| fixed.name.matches(name));
        let earliest = since.max(self.now() - SignedDuration::from_hours(24 * days));
        let earliest = fixed().find_map(|fixed| fixed.earliest).unwrap_or(earliest);
        let latest = self.frozen.unwrap_or_else(|| self.now() - self.lag);
        let latest = fixed().find_map(|fixed| fixed.latest).unwrap_or(latest);
        // history that has just begun can be restored to its beginning only
        (earliest, latest.max(earliest))
    }
}

/// The form of the `Date` header; it has whole seconds only.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Seconds since 1970 as DynamoDB's JSON writes them.
pub fn json_seconds(at: Timestamp) -> serde_json::Value {
    let milliseconds = at.as_millisecond();
    let text = format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    serde_json::from_str(&text).expect("it is a number")
}

//! The only module that knows `serde_yaml`: text to values, and where in the text a value stands.

use super::error::{self, Wrong};
use super::path::{KeyPath, Step};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

pub use serde_yaml::Value;

/// Line and column, from 1.
pub type Location = (usize, usize);

/// A fault of a text, with its key path and place as far as they are known.
#[derive(Debug)]
pub struct Fault {
    pub key: KeyPath,
    pub at: Option<Location>,
    pub wrong: Wrong,
}

/// Parses one YAML document; duplicate keys are faults.
///
/// # Errors
/// The text's first fault.
pub fn parse(text: &str) -> Result<Value, Fault> {
    let deserializer = serde_yaml::Deserializer::from_str(text);
    serde_path_to_error::deserialize::<_, Tree>(deserializer).map(|tree| tree.0).map_err(|error| {
        let at = error.inner().location().map(|at| (at.line(), at.column()));
        let message = error.inner().to_string();
        let (key, wrong) = if let Some(name) = duplicate(&message) {
            let wrong = Wrong::new(format!("the key \"{name}\" is written twice")).expected("each key once");
            (KeyPath::from(error.path()), wrong)
        } else if message.contains(TAGGED) {
            let wrong = Wrong::new("a tag (!…) stands here").expected("a plain value");
            (KeyPath::from(error.path()), wrong)
        } else if message.contains("more than one document") {
            let wrong = Wrong::new("a second YAML document begins here").expected("one document a file");
            let line = text.lines().skip(1).position(|line| line.starts_with("---"));
            return Fault { key: KeyPath::default(), at: line.map(|line| (line + 2, 1)), wrong };
        } else {
            (KeyPath::default(), syntax(&message, text, at))
        };
        Fault { key, at, wrong }
    })
}

/// Reads `value` as a `T`, without any leniency about types.
///
/// # Errors
/// The first key that does not fit, in the words of a person who writes YAML; its place is for [`locate`] to find.
pub fn check<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value.clone()).map_err(|error| {
        let path = KeyPath::from(error.path());
        let key = if let Some(Step::Key(key)) = path.0.last() { key.as_str() } else { "" };
        let wrong = error::from_serde(key, &error.inner().to_string());
        Fault { key: path, at: None, wrong }
    })
}

/// Where the value at `path` stands in `text`: for a mapping its key, for anything else the value itself.
/// None when the text has no such path.
pub fn locate(text: &str, path: &KeyPath) -> Option<Location> {
    let seek = Seek { steps: &path.0 };
    let error = seek.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// `{key: inner}`.
pub fn mapping(key: &str, inner: Value) -> Value {
    let mut map = serde_yaml::Mapping::new();
    map.insert(key.into(), inner);
    Value::Mapping(map)
}

/// One scalar, quoted where YAML needs it.
pub fn scalar(text: &str) -> String {
    let written = serde_yaml::to_string(text).unwrap_or_else(|_| format!("{text:?}"));
    let written = written.trim_end();
    // A text of several lines would be written as a block, which cannot carry a comment behind it.
    if written.contains('\n') { format!("{text:?}") } else { written.to_owned() }
}

const DUPLICATE: &str = "duplicate key ";
const TAGGED: &str = "a tagged value";

fn duplicate(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(DUPLICATE)?;
    let (_, rest) = rest.split_once('`')?;
    Some(rest.split_once('`')?.0)
}

/// Libyaml's message without the place, which stands in front already, and with a hint for the usual traps.
fn syntax(message: &str, text: &str, at: Option<Location>) -> Wrong {
    let message = match (message.split_once(" at line "), at) {
        (Some((front, back)), Some(_)) => {
            let rest = back.split_once(',').map(|(_, context)| format!(",{context}")).unwrap_or_default();
            format!("{front}{rest}")
        }
        _ => message.to_owned(),
    };
    let line = at.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1))).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let wrong = Wrong::new(format!("this is not YAML: {message}"));
    if indent.contains('\t') {
        return wrong.expected("indentation by spaces, not by tabs");
    }
    let value = line.split_once(": ").map(|(_, value)| value.trim_start()).unwrap_or_default();
    if value.starts_with(['*', '@', '&', '%', '`']) {
        return wrong.expected(format!("quotes around a value that begins with {}", &value[..1]));
    }
    wrong
}

/// A whole document as it is, but without duplicate keys.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value, without a tag")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom(TAGGED))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::Sequence(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = serde_yaml::Mapping::new();
        while let Some(key) = access.next_key_seed(NewKey { seen: &map })? {
            let Tree(value) = access.next_value()?;
            map.insert(key.into(), value);
        }
        Ok(Value::Mapping(map))
    }
}

/// A key that the mapping does not have yet; the error is raised at the second one.
struct NewKey<'a> {
    seen: &'a serde_yaml::Mapping,
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.seen.contains_key(key) { Err(E::custom(format!("{DUPLICATE}`{key}`"))) } else { Ok(key.to_owned()) }
    }
}

/// Walks `steps` and raises an error at their end, because only errors carry a place.
#[derive(Clone, Copy)]
struct Seek<'a> {
    steps: &'a [Step],
}

const FOUND: &str = "found";

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn leaf<E: serde::de::Error>(self) -> Result<(), E> {
        if self.steps.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.leaf()
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.leaf()
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.leaf()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.steps.split_first() else { return Err(A::Error::custom(FOUND)) };
        let Step::Index(wanted) = first else { return Ok(()) };
        for _ in 0..*wanted {
            if access.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        access.next_element_seed(Seek { steps: rest })?;
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.steps.split_first() else { return Err(A::Error::custom(FOUND)) };
        let Step::Key(wanted) = first else { return Ok(()) };
        while let Some(key) = access.next_key::<String>()? {
            if key == *wanted {
                access.next_value_seed(Seek { steps: rest })?;
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Where the key at the end of `path` stands in `text`; none when the text has no such key.
pub fn locate_key(text: &str, path: &KeyPath) -> Option<Location> {
    let (last, front) = path.0.split_last()?;
    let Step::Key(name) = last else { return None };
    let error = SeekKey { steps: front, name }.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// Like [`Seek`], but raises its error at a key.
#[derive(Clone, Copy)]
struct SeekKey<'a> {
    steps: &'a [Step],
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SeekKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let next = self.steps.split_first();
        loop {
            let name = next.is_none().then_some(self.name);
            let Some(key) = access.next_key_seed(StopAt(name))? else { return Ok(()) };
            match next {
                Some((Step::Key(wanted), rest)) if key == *wanted => {
                    access.next_value_seed(SeekKey { steps: rest, name: self.name })?;
                }
                _ => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
    }
}

/// Reads a key, and raises an error if it is the one that is sought.
struct StopAt<'a>(Option<&'a str>);

impl<'de> DeserializeSeed<'de> for StopAt<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for StopAt<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0 == Some(key) { Err(E::custom(FOUND)) } else { Ok(key.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "daemon: {http: none}\ngroups:\n  payments:\n    clusters:\n      ledger:\n        addresses:\n          - a:1\n          - b:2\n";

    fn payments() -> KeyPath {
        KeyPath::root("groups").key("payments")
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        assert_eq!(locate(TEXT, &KeyPath::root("daemon").key("http")), Some((1, 16)));
        let addresses = payments().key("clusters").key("ledger").key("addresses");
        assert_eq!(locate(TEXT, &addresses.index(1)), Some((8, 13)));
        assert_eq!(locate(TEXT, &addresses.index(2)), None);
    }

    #[test]
    fn a_key_is_found_by_its_path() {
        assert_eq!(locate_key(TEXT, &payments()), Some((3, 3)));
        assert_eq!(locate_key(TEXT, &KeyPath::root("daemon").key("http")), Some((1, 10)));
        assert_eq!(locate_key(TEXT, &payments().key("stores")), None);
    }
}

//! Settings as JSON in AWS's own names: the SDKs' types cannot be written by themselves.

use serde_json::{Map, Value};

/// An object of those fields that are there.
pub fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// A list, where it is not empty.
pub fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| Value::Array(items.iter().map(one).collect()))
}

/// A text, where it is there.
pub fn text(text: Option<&str>) -> Option<Value> {
    text.map(Value::from)
}

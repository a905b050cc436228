//! The JSON Schema of a layer, for editors and pipelines.

use super::raw;

/// The schema that `config/schema.json` holds, with a newline at its end.
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<raw::Root>();
    // A schema is plain JSON, so this cannot fail; `{}` accepts everything and would show at once in the drift test.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

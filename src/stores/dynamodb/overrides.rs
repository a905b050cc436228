//! What a table's copy gets of its settings, read back from what was captured.

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex, OnDemandThroughput, Projection,
    ProjectionType, ProvisionedThroughput,
};
use serde_json::Value;

/// For RestoreTableToPointInTime.
#[derive(Debug, Clone, PartialEq)]
pub struct Overrides {
    pub billing_mode: BillingMode,
    pub throughput: Option<ProvisionedThroughput>,
    pub on_demand: Option<OnDemandThroughput>,
    pub global_indexes: Vec<GlobalSecondaryIndex>,
    pub local_indexes: Vec<LocalSecondaryIndex>,
}

impl Overrides {
    /// Of the settings that `settings::table` wrote; without `indexes` the copy has none.
    ///
    /// # Errors
    /// They are not such settings.
    pub fn of(settings: &Value, indexes: bool) -> Result<Self, String> {
        let list = |name: &str| settings[name].as_array().filter(|_| indexes).map_or(&[][..], Vec::as_slice);
        Ok(Self {
            billing_mode: BillingMode::from(text(settings, "BillingMode")?),
            throughput: throughput(settings)?,
            on_demand: on_demand(settings),
            global_indexes: list("GlobalSecondaryIndexes").iter().map(global_index).collect::<Result<_, _>>()?,
            local_indexes: list("LocalSecondaryIndexes").iter().map(local_index).collect::<Result<_, _>>()?,
        })
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name].as_str().ok_or_else(|| format!("the captured settings have no {name}"))
}

fn throughput(value: &Value) -> Result<Option<ProvisionedThroughput>, String> {
    let value = &value["ProvisionedThroughput"];
    if value.is_null() {
        return Ok(None);
    }
    let units = |name: &str| value[name].as_i64();
    let built = ProvisionedThroughput::builder()
        .set_read_capacity_units(units("ReadCapacityUnits"))
        .set_write_capacity_units(units("WriteCapacityUnits"))
        .build();
    built.map(Some).map_err(|error| error.to_string())
}

fn on_demand(value: &Value) -> Option<OnDemandThroughput> {
    let value = value["OnDemandThroughput"].as_object()?;
    let units = |name: &str| value.get(name).and_then(Value::as_i64);
    Some(
        OnDemandThroughput::builder()
            .set_max_read_request_units(units("MaxReadRequestUnits"))
            .set_max_write_request_units(units("MaxWriteRequestUnits"))
            .build(),
    )
}

fn keys(index: &Value) -> Result<Vec<KeySchemaElement>, String> {
    let keys = index["KeySchema"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |key: &Value| {
        let (name, kind) = (text(key, "AttributeName")?, KeyType::from(text(key, "KeyType")?));
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(|error| error.to_string())
    };
    keys.iter().map(one).collect()
}

fn projection(index: &Value) -> Result<Projection, String> {
    let projection = &index["Projection"];
    let names = projection["NonKeyAttributes"].as_array();
    let names = names.map(|names| names.iter().filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect());
    let kind = ProjectionType::from(text(projection, "ProjectionType")?);
    Ok(Projection::builder().projection_type(kind).set_non_key_attributes(names).build())
}

fn global_index(index: &Value) -> Result<GlobalSecondaryIndex, String> {
    let built = GlobalSecondaryIndex::builder()
        .index_name(text(index, "IndexName")?)
        .set_key_schema(Some(keys(index)?))
        .projection(projection(index)?)
        .set_provisioned_throughput(throughput(index)?)
        .set_on_demand_throughput(on_demand(index))
        .build();
    built.map_err(|error| error.to_string())
}

fn local_index(index: &Value) -> Result<LocalSecondaryIndex, String> {
    let built = LocalSecondaryIndex::builder()
        .index_name(text(index, "IndexName")?)
        .set_key_schema(Some(keys(index)?))
        .projection(projection(index)?)
        .build();
    built.map_err(|error| error.to_string())
}

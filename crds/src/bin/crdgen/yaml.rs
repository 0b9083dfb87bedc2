//! The definitions as YAML files.

use anyhow::Context as _;
use serde_json::{Number, Value};

const HEADER: &str = "# Generated from the types in crds/src: cargo run -p dise-crds --bin crdgen yaml\n";

/// Name and content of each file.
///
/// # Errors
/// A definition that YAML cannot hold, or one without a name.
pub(crate) fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for crd in dise_crds::crds() {
        let mut value = serde_json::to_value(&crd)?;
        write_whole_numbers(&mut value);
        let name = crd.metadata.name.context("a definition has no name")?;
        files.push((format!("{name}.yaml"), format!("{HEADER}{}", serde_yaml::to_string(&value)?)));
    }
    Ok(files)
}

/// Bounds are floats in the Kubernetes API, but people write `maximum: 50`, not `50.0`.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(members) => members.values_mut().for_each(write_whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let text = number.to_string();
            if let Some(whole) = text.strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok()) {
                *number = Number::from(whole);
            }
        }
        _ => {}
    }
}

//! The API reference.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};

const HEADER: &str = "\
<!-- Generated from the types in crds/src: cargo run -p dise-crds --bin crdgen reference -->

# API reference

Group `dise.dev`, version `v1alpha1`. All kinds are in the category `dise`: `kubectl get dise`. The same text is
in `kubectl explain`.

Qualities, money and latencies are decimal strings, so that no digit is lost: a quality is a share from `\"0\"` to
`\"1\"`, money is in US dollars, latencies are in milliseconds. Sizes are counted in characters. *Any JSON* takes
every value, `null` included; everywhere else `null` is the same as absent.
";

/// The reference of all kinds in Markdown.
pub(crate) fn markdown(crds: &[CustomResourceDefinition]) -> String {
    let mut text = HEADER.to_owned();
    for crd in crds {
        for version in &crd.spec.versions {
            kind(&mut text, crd, version);
        }
    }
    text
}

fn kind(text: &mut String, crd: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) {
    let names = &crd.spec.names;
    let short = names.short_names.iter().flatten().cloned().collect::<Vec<_>>().join("`, `");
    line(text, &format!("\n## {}\n", names.kind));
    let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
        return;
    };
    line(text, &schema.description.clone().unwrap_or_default());
    line(
        text,
        &format!(
            "\n`apiVersion: {}/{}`, `kind: {}`; `kubectl get {}`, short `{short}`; scope {}.",
            crd.spec.group, version.name, names.kind, names.plural, crd.spec.scope
        ),
    );
    columns(text, version);
    let properties = schema.properties.as_ref();
    for part in ["spec", "status"] {
        if let Some(part_schema) = properties.and_then(|properties| properties.get(part)) {
            line(text, &format!("\n### {} {part}\n", names.kind));
            line(text, &part_schema.description.clone().unwrap_or_default());
            line(text, "\n| field | type | description |\n|---|---|---|");
            fields(text, part_schema, "");
        }
    }
    let mut found = Vec::new();
    rules(&mut found, schema, "");
    if !found.is_empty() {
        line(text, &format!("\n### {} rules\n", names.kind));
        line(text, "The API server rejects an object that breaks one of these, with this message.\n");
        line(text, "| at | message | rule |\n|---|---|---|");
        line(text, &found.join("\n"));
    }
}

fn columns(text: &mut String, version: &CustomResourceDefinitionVersion) {
    let scale = version.subresources.as_ref().and_then(|subresources| subresources.scale.as_ref());
    if let Some(scale) = scale {
        line(
            text,
            &format!(
                "`kubectl scale` and autoscalers set `{}`.",
                scale.spec_replicas_path.trim_start_matches('.')
            ),
        );
    }
    let selectable: Vec<_> = version.selectable_fields.iter().flatten().collect();
    for field in selectable {
        let path = field.json_path.trim_start_matches('.');
        line(text, &format!("`--field-selector {path}=<value>` selects by `{path}`."));
    }
    line(text, "\n| column | value | meaning |\n|---|---|---|");
    for column in version.additional_printer_columns.iter().flatten() {
        let wide = if column.priority.unwrap_or_default() > 0 { " (only with `-o wide`)" } else { "" };
        let description = column.description.as_deref().unwrap_or_default();
        line(
            text,
            &format!(
                "| {}{wide} | `{}` | {} |",
                column.name.to_uppercase(),
                column.json_path,
                cell(description)
            ),
        );
    }
}

fn fields(text: &mut String, schema: &JSONSchemaProps, prefix: &str) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{prefix}{name}");
        let must = required.contains(name).then(|| "**required**".to_owned());
        let parts: Vec<_> = [type_of(field)].into_iter().chain(must).chain(constraints(field)).collect();
        let description = field.description.as_deref().unwrap_or_default();
        line(text, &format!("| `{path}` | {} | {} |", parts.join(", "), cell(description)));
        fields(text, field, &format!("{path}."));
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
            fields(text, items, &format!("{path}[]."));
        }
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    let name = match (schema.type_.as_deref(), schema.format.as_deref()) {
        (None, _) => "any JSON".to_owned(),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some("array"), _) => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => format!("list of {}", type_of(items)),
            _ => "list".to_owned(),
        },
        (Some("object"), _) => match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => format!("map of {}", type_of(values)),
            _ if schema.x_kubernetes_preserve_unknown_fields == Some(true) => "object, free".to_owned(),
            _ => "object".to_owned(),
        },
        (Some(other), _) => other.to_owned(),
    };
    let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    let unique = match schema.x_kubernetes_list_type.as_deref() {
        Some("map") => format!(", unique by `{}`", keys.join("`, `")),
        Some("set") => ", unique".to_owned(),
        _ => String::new(),
    };
    name + &unique
}

/// What a value must fulfil.
fn constraints(schema: &JSONSchemaProps) -> Vec<String> {
    let whole = |value: i64| value.to_string();
    let ranges = [
        (schema.minimum.map(|value| value.to_string()), schema.maximum.map(|value| value.to_string()), ""),
        (schema.min_length.map(whole), schema.max_length.map(whole), " characters"),
        (schema.min_items.map(whole), schema.max_items.map(whole), " items"),
        (schema.min_properties.map(whole), schema.max_properties.map(whole), " entries"),
    ];
    let mut parts: Vec<_> =
        ranges.into_iter().filter_map(|(low, high, unit)| range(low, high, unit)).collect();
    if let Some(values) = &schema.enum_ {
        let values: Vec<_> = values.iter().map(|JSON(value)| value.as_str().unwrap_or_default()).collect();
        parts.push(format!("one of `{}`", values.join("`, `")));
    }
    parts.extend(schema.pattern.iter().map(|pattern| format!("`{}`", cell(pattern))));
    parts.extend(schema.default.iter().map(|JSON(default)| format!("default `{default}`")));
    parts
}

fn range(low: Option<String>, high: Option<String>, unit: &str) -> Option<String> {
    match (low, high) {
        (None, None) => None,
        (Some(low), None) => Some(format!("≥ {low}{unit}")),
        (None, Some(high)) => Some(format!("≤ {high}{unit}")),
        (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
    }
}

fn rules(found: &mut Vec<String>, schema: &JSONSchemaProps, path: &str) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let at = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
        let at = at.trim_start_matches('.');
        let message = rule.message.as_deref().unwrap_or_default();
        found.push(format!("| `{at}` | {} | `{}` |", cell(message), cell(&rule.rule)));
    }
    for (name, field) in schema.properties.iter().flatten() {
        rules(found, field, &format!("{path}.{name}"));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        rules(found, items, &format!("{path}[]"));
    }
}

/// A table's cell: `|` would end it.
fn cell(text: &str) -> String {
    text.replace('|', r"\|").replace("\n\n", "<br>").replace('\n', " ")
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

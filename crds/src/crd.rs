//! The definitions of the kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{Artifact, Tool, Workflow, WorkflowRun};

/// The definitions of all kinds, as they shall be installed.
///
/// They differ from what `kube` derives in two ways: an absent value and `null` are the same unless a field takes
/// any JSON, so that the API server drops `null`s instead of counting them as set, and descriptions are plain
/// paragraphs.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![Workflow::crd(), WorkflowRun::crd(), Artifact::crd(), Tool::crd()];
    let schemas = crds
        .iter_mut()
        .flat_map(|crd| &mut crd.spec.versions)
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        tidy(schema);
    }
    crds
}

fn tidy(schema: &mut JSONSchemaProps) {
    if schema.type_.is_some() {
        schema.nullable = None;
    }
    if let Some(description) = &mut schema.description {
        *description = unwrap_lines(description);
    }
    if let Some(properties) = &mut schema.properties {
        properties.values_mut().for_each(tidy);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// Joins the lines of each paragraph, which were broken for the source code.
fn unwrap_lines(text: &str) -> String {
    let paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

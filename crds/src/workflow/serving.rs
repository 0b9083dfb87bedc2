//! Where a workflow is served.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Where a workflow is served.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.replicas)")
        .message("only mode Dedicated has replicas; set mode: Dedicated or remove replicas")
        .field_path(".replicas").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.resources)")
        .message("only mode Dedicated has resources; set mode: Dedicated or remove resources")
        .field_path(".resources").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.nodeSelector)")
        .message("only mode Dedicated has a nodeSelector; set mode: Dedicated or remove nodeSelector")
        .field_path(".nodeSelector").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.runtimeClassName)")
        .message("only mode Dedicated has a runtimeClassName; set mode: Dedicated or remove runtimeClassName")
        .field_path(".runtimeClassName").reason(Reason::FieldValueForbidden)
)]
pub struct Serving {
    /// `Shared`: the namespace's one executor Deployment serves the workflow together with the others.
    /// `Dedicated`: the workflow gets an executor Deployment of its own. Default: Shared.
    #[serde(default)]
    pub mode: ServingMode,
    /// Number of executor pods, 0 to 100; only with mode Dedicated. Default: 1. Set it if a
    /// `HorizontalPodAutoscaler` shall scale the workflow, since the scale subresource needs a value to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// CPU and memory of an executor pod; only with mode Dedicated. Default: what the operator is configured
    /// with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Up to 16 labels that a node must have to run an executor pod; only with mode Dedicated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Name of the `RuntimeClass` of the executor pods; only with mode Dedicated. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub runtime_class_name: Option<String>,
}

/// Whose executor pods serve a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ServingMode {
    /// Those of the namespace.
    #[default]
    Shared,
    /// Those of the workflow alone.
    Dedicated,
}

/// CPU and memory of a pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.requests.cpu) || !has(self.limits) || !has(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
        .message("requests.cpu must not exceed limits.cpu; lower the request or raise the limit")
        .field_path(".requests"),
    validation = Rule::new("!has(self.requests) || !has(self.requests.memory) || !has(self.limits) || !has(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
        .message("requests.memory must not exceed limits.memory; lower the request or raise the limit")
        .field_path(".requests")
)]
pub struct Resources {
    /// What the scheduler reserves for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What a pod may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Cores, for example `"2"`, `"0.5"` or `"500m"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cpu")]
    pub cpu: Option<String>,
    /// Bytes with an optional suffix, for example `"512Mi"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::memory")]
    pub memory: Option<String>,
}

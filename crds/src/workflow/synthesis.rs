//! How a workflow's code is generated, and what that may cost.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How code is generated for steps that have none: similar code is looked up, a model writes candidates, each is
/// proven with the step's examples and checks, and what fails is repaired.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Synthesis {
    /// Name of the Tool whose model writes the code, of type `LocalLlm` or `CloudLlm`. Default: the first `LocalLlm`
    /// of the namespace by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub tool: Option<String>,
    /// Candidates that are asked for at first, 1 to 16. Default: 3.
    #[serde(default = "default_candidates")]
    #[schemars(range(min = 1, max = 16))]
    pub candidates: i32,
    /// How often failing candidates are repaired, 0 to 10. Default: 2.
    #[serde(default = "default_repair_rounds")]
    #[schemars(range(min = 0, max = 10))]
    pub repair_rounds: i32,
    /// Temperatures of the calls, from the first candidate to the last and over again: 1 to 16 decimal strings from
    /// `"0"` to `"2"`. Default: `["0","0.4","0.8"]`.
    #[serde(default = "default_temperatures")]
    #[schemars(schema_with = "schema::temperatures")]
    pub temperatures: Vec<String>,
    /// Test cases that the model is asked to invent once code has passed, 0 to 32. They are kept as further tests
    /// where most of the functions that passed agree with them, and cannot overrule an example. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 32))]
    pub generated_tests: i32,
    /// Similar functions that are tried before anything is generated, 0 to 32. Default: 5.
    #[serde(default = "default_recall")]
    #[schemars(range(min = 0, max = 32))]
    pub recall: i32,
}

/// What generating a workflow's code may cost, in US dollars. A call that could exceed a budget is not made; a model
/// without prices is never held up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// On the code of one step: a decimal string. Default: 1.
    #[serde(default = "default_max_usd_per_search")]
    #[schemars(schema_with = "schema::usd")]
    pub max_usd_per_search: String,
    /// On all steps together in one day (UTC): a decimal string. Default: 5.
    #[serde(default = "default_max_usd_per_day")]
    #[schemars(schema_with = "schema::usd")]
    pub max_usd_per_day: String,
}

impl Default for Synthesis {
    fn default() -> Self {
        Self {
            tool: None,
            candidates: default_candidates(),
            repair_rounds: default_repair_rounds(),
            temperatures: default_temperatures(),
            generated_tests: 0,
            recall: default_recall(),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { max_usd_per_search: default_max_usd_per_search(), max_usd_per_day: default_max_usd_per_day() }
    }
}

const fn default_candidates() -> i32 {
    3
}

const fn default_repair_rounds() -> i32 {
    2
}

const fn default_recall() -> i32 {
    5
}

fn default_temperatures() -> Vec<String> {
    ["0", "0.4", "0.8"].map(str::to_owned).to_vec()
}

fn default_max_usd_per_search() -> String {
    "1".to_owned()
}

fn default_max_usd_per_day() -> String {
    "5".to_owned()
}

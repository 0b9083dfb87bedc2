//! From objects to the words of the domain and back.

use dise_core::{
    function::{self, Function, Limits},
    profile::Profile,
    verification::{self, Check, VerificationReport},
    wire::StepResult,
    workflow::{Code, Definition, OptionDefinition, StepDefinition},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    Constraints, Example, FunctionCode, Language, MeasuredProfile, OutputCheck, RunStep, Step, StepOption,
    ToolSpec, ToolType, Verification, Workflow,
    decimal::{millis, millis_of_micros},
};

/// The option of a step that declares none.
const DEFAULT_OPTION: &str = "code";

impl From<&Workflow> for Definition {
    fn from(workflow: &Workflow) -> Self {
        let spec = &workflow.spec;
        Self {
            namespace: workflow.metadata.namespace.clone().unwrap_or_default(),
            name: workflow.metadata.name.clone().unwrap_or_default(),
            description: spec.description.clone(),
            input: spec.input.clone(),
            steps: spec.steps.iter().map(StepDefinition::from).collect(),
            result: spec.result.clone(),
        }
    }
}

impl From<&Step> for StepDefinition {
    fn from(step: &Step) -> Self {
        let mut options: Vec<_> = step.options.iter().map(OptionDefinition::from).collect();
        if options.is_empty() {
            options.push(OptionDefinition {
                name: DEFAULT_OPTION.to_owned(),
                code: Code::Missing(function::Language::Python),
            });
        }
        Self {
            name: step.name.clone(),
            description: step.description.clone(),
            input: step.input.clone(),
            output: step.output.clone(),
            examples: step.examples.iter().map(verification::Example::from).collect(),
            checks: step.checks.iter().map(Check::from).collect(),
            options,
            after: step.after.clone(),
            limits: step.limits(),
        }
    }
}

impl From<&StepOption> for OptionDefinition {
    fn from(option: &StepOption) -> Self {
        let code = match (&option.tool, &option.function) {
            (Some(tool), _) => Code::Tool(tool.clone()),
            (None, Some(FunctionCode { language, source: Some(source) })) => {
                Code::Authored(Function { language: (*language).into(), source: source.clone() })
            }
            (None, Some(FunctionCode { language, source: None })) => Code::Missing((*language).into()),
            (None, None) => Code::Missing(function::Language::Python),
        };
        Self { name: option.name.clone(), code }
    }
}

impl Step {
    /// What one call of the step's code may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        Limits {
            timeout_seconds: positive(self.timeout_seconds).unwrap_or(limits.timeout_seconds),
            memory_mib: positive(self.memory_mib).unwrap_or(limits.memory_mib),
            ..limits
        }
    }
}

impl Constraints {
    /// What one call may use when the caller allows `limits`: the lower of both.
    #[must_use]
    pub fn tighten(&self, limits: Limits) -> Limits {
        let lower = |own: Option<i32>, limit: u32| own.and_then(positive).map_or(limit, |own| own.min(limit));
        Limits {
            timeout_seconds: lower(self.timeout_seconds, limits.timeout_seconds),
            memory_mib: lower(self.memory_mib, limits.memory_mib),
            ..limits
        }
    }
}

impl ToolSpec {
    /// The code of the tool; absent when it is a model.
    #[must_use]
    pub fn function(&self) -> Option<Function> {
        let (language, script) = match self.type_ {
            ToolType::PythonFunction => (function::Language::Python, self.python_function.as_ref()?),
            ToolType::BashScript => (function::Language::Bash, self.bash_script.as_ref()?),
            ToolType::LocalLlm | ToolType::CloudLlm | ToolType::EmbeddingModel => return None,
        };
        Some(Function { language, source: script.source.clone() })
    }

    /// What one call may use when nothing but the tool itself limits it.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        let own = |own: Option<i32>, limit: u32| own.and_then(positive).unwrap_or(limit);
        self.constraints.as_ref().map_or(limits, |constraints| Limits {
            timeout_seconds: own(constraints.timeout_seconds, limits.timeout_seconds),
            memory_mib: own(constraints.memory_mib, limits.memory_mib),
            ..limits
        })
    }
}

impl From<Language> for function::Language {
    fn from(language: Language) -> Self {
        match language {
            Language::Python => Self::Python,
            Language::Bash => Self::Bash,
        }
    }
}

impl From<function::Language> for Language {
    fn from(language: function::Language) -> Self {
        match language {
            function::Language::Python => Self::Python,
            function::Language::Bash => Self::Bash,
        }
    }
}

impl From<&Example> for verification::Example {
    fn from(example: &Example) -> Self {
        Self { input: example.input.clone(), output: example.output.clone() }
    }
}

impl From<&OutputCheck> for Check {
    fn from(check: &OutputCheck) -> Self {
        Self { name: check.name.clone(), expression: check.expression.clone() }
    }
}

impl From<&Profile> for MeasuredProfile {
    fn from(profile: &Profile) -> Self {
        Self {
            quality: profile.quality.map(|quality| quality.to_string()),
            quality_lower_bound: profile.quality_lower_bound.map(|quality| quality.to_string()),
            p50_latency_ms: millis_of_micros(profile.p50_latency_us),
            p95_latency_ms: millis_of_micros(profile.p95_latency_us),
            cost_usd: profile.cost_usd.to_string(),
            peak_memory_kib: profile.peak_memory_kib.map(saturate),
            samples: saturate(profile.samples),
            measured_at: Time(profile.measured_at),
        }
    }
}

impl From<&VerificationReport> for Verification {
    fn from(report: &VerificationReport) -> Self {
        Self {
            passed: report.passed.into(),
            failed: report.failed.into(),
            coverage_percent: report
                .coverage_percent
                .map(|percent| percent.round_dp(2).normalize().to_string()),
            at: Time(report.at),
            runner: report.runner.chars().take(128).collect(),
        }
    }
}

impl Verification {
    /// Cases passed of all cases, for example `12/12`.
    #[must_use]
    pub fn tests(&self) -> String {
        format!("{}/{}", self.passed, self.passed.saturating_add(self.failed))
    }
}

impl From<&StepResult> for RunStep {
    fn from(step: &StepResult) -> Self {
        Self {
            name: step.name.clone(),
            option: step.option.clone(),
            artifact: step.artifact.clone(),
            latency_ms: millis(step.latency_ms),
            cost_usd: step.cost_usd.to_string(),
        }
    }
}

fn positive(value: i32) -> Option<u32> {
    u32::try_from(value).ok().filter(|value| *value > 0)
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

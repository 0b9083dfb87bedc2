//! A compiled workflow: what has to be proven, and the plan once it is.

use std::fmt;

use serde_json::Value;

use crate::{
    digest::Digest,
    function::{Function, Language, Limits},
    plan::{PLAN_FORMAT, Plan, PlanOption, PlanStep},
    profile::Profile,
    synthesis::Task,
    verification::{Check, Example, VerificationRequest},
};

use super::text::list;

/// A workflow whose definition has no faults. Some of its code may still be missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) steps: Vec<CompiledStep>,
    pub(crate) result: Value,
}

/// A step whose definition has no faults.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledStep {
    /// Unique in the workflow.
    pub name: String,
    /// What it does, in its author's words.
    pub description: String,
    /// The steps that must end first, by name, sorted.
    pub depends_on: Vec<String>,
    /// Template of its input.
    pub input: Value,
    /// JSON Schema of its output.
    pub output: Value,
    /// Cases that its code must pass.
    pub examples: Vec<Example>,
    /// Predicates over `input` and `output`.
    pub checks: Vec<Check>,
    /// What one call may use: what the step allows, lowered by every tool that it uses. One for all options, so
    /// that each is proven under the limits that it will serve under.
    pub limits: Limits,
    /// Ways to get it done, the preferred first. Never empty.
    pub options: Vec<CompiledOption>,
}

/// A way to get a step done.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledOption {
    /// Unique in the step.
    pub name: String,
    /// Its code, or what has to happen before there is any.
    pub code: Result<Function, MissingCode>,
}

/// Why an option has no code. Neither is a mistake in the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingCode {
    /// Nobody wrote it yet, in this language.
    Unwritten(Language),
    /// There is no Tool of this name.
    ToolNotFound(String),
    /// The Tool of this name has not passed its own examples.
    ToolNotReady(String),
    /// The Tool of this name is a model.
    ToolHoldsNoCode(String),
}

/// An option that cannot be proven yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The step.
    pub step: String,
    /// Its option.
    pub option: String,
    /// What is missing.
    pub code: MissingCode,
}

/// An option whose code has to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwritten<'c> {
    /// The step.
    pub step: &'c str,
    /// Its option.
    pub option: &'c str,
    /// What the code has to do.
    pub task: Task,
}

/// A piece of work for the verifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'c> {
    /// The step.
    pub step: &'c str,
    /// Its option.
    pub option: &'c str,
    /// What is asked of its code.
    pub request: VerificationRequest,
}

/// An option that passed its verification.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The step.
    pub step: String,
    /// Its option.
    pub option: String,
    /// The language of the function.
    pub language: Language,
    /// The digest of the function.
    pub function: Digest,
    /// The Artifact that proves it.
    pub artifact: String,
    /// Which generation of the step's code it is, counted from 1.
    pub generation: i64,
    /// What verification measured.
    pub profile: Option<Profile>,
}

/// Why there is no plan yet: these steps have no proven option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no option is proven of {}", list(.steps.iter().map(String::as_str)))]
pub struct Unproven {
    /// The names of the steps, never empty.
    pub steps: Vec<String>,
}

impl Missing {
    /// The reason as the CamelCase word of a condition.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.code {
            MissingCode::Unwritten(_) => "CodeMissing",
            MissingCode::ToolNotFound(_) => "ToolNotFound",
            MissingCode::ToolNotReady(_) => "ToolNotReady",
            MissingCode::ToolHoldsNoCode(_) => "ToolHoldsNoCode",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, option {}: ", self.step, self.option)?;
        match &self.code {
            MissingCode::Unwritten(_) => f.write_str(
                "it has no code, and no model is there to write it: create a Tool of type LocalLlm, name one in \
                 `synthesis.tool`, or give the step a `function.source` or a `tool` that holds code",
            ),
            MissingCode::ToolNotFound(tool) => write!(f, "there is no Tool `{tool}` that holds code"),
            MissingCode::ToolNotReady(tool) => {
                write!(f, "Tool `{tool}` has not passed its own examples; see its condition Ready")
            }
            MissingCode::ToolHoldsNoCode(tool) => {
                write!(f, "Tool `{tool}` is a model and holds no code; name it in `synthesis.tool` to have code written")
            }
        }
    }
}

impl Compiled {
    /// The steps; each depends only on earlier ones.
    #[must_use]
    pub fn steps(&self) -> &[CompiledStep] {
        &self.steps
    }

    /// The options whose code is missing.
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        self.options().filter_map(|(step, option)| match &option.code {
            Ok(_) => None,
            Err(code) => {
                Some(Missing { step: step.name.clone(), option: option.name.clone(), code: code.clone() })
            }
        })
    }

    /// The options that nobody wrote code for, and what their code has to do.
    pub fn unwritten(&self) -> impl Iterator<Item = Unwritten<'_>> {
        self.options().filter_map(|(step, option)| {
            let Err(MissingCode::Unwritten(language)) = option.code else { return None };
            let task = Task {
                description: step.description.clone(),
                language,
                output: step.output.clone(),
                examples: step.examples.clone(),
                checks: step.checks.clone(),
                limits: step.limits,
            };
            Some(Unwritten { step: &step.name, option: &option.name, task })
        })
    }

    /// Gives an option the code that was written for it.
    pub fn write(&mut self, step: &str, option: &str, function: Function) {
        let steps = self.steps.iter_mut().filter(|candidate| candidate.name == step);
        let mut options = steps.flat_map(|step| &mut step.options);
        if let Some(option) = options.find(|candidate| candidate.name == option) {
            option.code = Ok(function);
        }
    }

    /// What has to be proven: one request for every option that has code.
    pub fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        self.options().filter_map(|(step, option)| {
            let function = option.code.as_ref().ok()?;
            let request = VerificationRequest {
                function: function.clone(),
                output: step.output.clone(),
                examples: step.examples.clone(),
                checks: step.checks.clone(),
                limits: step.limits,
            };
            Some(Request { step: &step.name, option: &option.name, request })
        })
    }

    /// The plan that serves the proven options. It depends on what is in `proven`, not on its order; of several proofs
    /// for one option the newest generation counts, and a proof of other code than the author's does not count.
    ///
    /// # Errors
    /// Some step has no proven option.
    pub fn plan(&self, proven: &[Proven]) -> Result<Plan, Unproven> {
        let steps: Vec<PlanStep> = self.steps.iter().map(|step| step.plan(proven)).collect();
        let unproven = steps.iter().filter(|step| step.options.is_empty()).map(|step| step.name.clone());
        let unproven: Vec<String> = unproven.collect();
        if !unproven.is_empty() {
            return Err(Unproven { steps: unproven });
        }
        Ok(Plan {
            format: PLAN_FORMAT,
            namespace: self.namespace.clone(),
            workflow: self.name.clone(),
            description: self.description.clone(),
            input: self.input.clone(),
            steps,
            result: self.result.clone(),
        })
    }

    fn options(&self) -> impl Iterator<Item = (&CompiledStep, &CompiledOption)> {
        self.steps.iter().flat_map(|step| step.options.iter().map(move |option| (step, option)))
    }
}

impl CompiledStep {
    /// The step with those of its options that are proven.
    fn plan(&self, proven: &[Proven]) -> PlanStep {
        PlanStep {
            name: self.name.clone(),
            depends_on: self.depends_on.clone(),
            input: self.input.clone(),
            output: self.output.clone(),
            checks: self.checks.clone(),
            limits: self.limits,
            options: self.options.iter().filter_map(|option| option.plan(&self.name, proven)).collect(),
        }
    }
}

impl CompiledOption {
    fn plan(&self, step: &str, proven: &[Proven]) -> Option<PlanOption> {
        let digest = self.code.as_ref().ok().map(Function::digest);
        let proof = proven
            .iter()
            .filter(|proof| proof.step == step && proof.option == self.name)
            .filter(|proof| digest.is_none_or(|digest| digest == proof.function))
            .max_by_key(|proof| (proof.generation, proof.function, proof.artifact.as_str()))?;
        Some(PlanOption {
            name: self.name.clone(),
            language: proof.language,
            function: proof.function,
            artifact: proof.artifact.clone(),
            generation: proof.generation,
            profile: proof.profile.clone(),
        })
    }
}

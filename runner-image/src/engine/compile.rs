//! From plans to programs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use dise_core::{
    digest::Digest,
    function::Function,
    plan::{PLAN_FORMAT, Plan, PlanOption, PlanStep},
    verification::Check,
    workflow::{Predicate, Schema, Template, TemplateError},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    function::{Lease, Leases},
    program::{Program, Step},
};
use crate::{
    interner::Interner,
    metrics::{Metrics, StepLabels},
    usage::{Usage, WorkflowCounters},
    workers::{Callable, Workers},
};

/// Compiles plans. Equal schemas and equal functions are kept once, whatever number of plans has them.
#[derive(Debug)]
pub struct Compiler {
    workers: Arc<Workers>,
    metrics: Arc<Metrics>,
    usage: Arc<Usage>,
    schemas: Interner<Digest, Schema>,
    callables: Interner<Digest, Callable>,
    leases: Arc<Leases>,
}

/// Why a plan cannot be executed by this runner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(String);

/// The functions of a plan by digest.
pub type Functions = HashMap<Digest, Arc<Callable>>;

/// What every format of a plan has.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

impl Compiler {
    /// A compiler of programs that run on `workers` and count into `metrics` and `usage`.
    #[must_use]
    pub fn new(workers: Arc<Workers>, metrics: Arc<Metrics>, usage: Arc<Usage>) -> Self {
        Self {
            workers,
            metrics,
            usage,
            schemas: Interner::default(),
            callables: Interner::default(),
            leases: Arc::default(),
        }
    }

    /// Reads the plan of `workflow` from its blob.
    ///
    /// # Errors
    /// Another format than this runner knows, something that is no plan, or the plan of another workflow.
    pub fn parse(workflow: &str, document: &[u8]) -> Result<Plan, CompileError> {
        let fail = |error: serde_json::Error| CompileError(format!("the plan cannot be read: {error}"));
        let Header { format } = serde_json::from_slice(document).map_err(fail)?;
        if format != PLAN_FORMAT {
            return Err(CompileError(format!(
                "the plan has format {format} and this runner knows format {PLAN_FORMAT}: use a runner image of \
                 the operator's version"
            )));
        }
        let plan: Plan = serde_json::from_slice(document).map_err(fail)?;
        if plan.workflow != workflow {
            return Err(CompileError(format!("the plan is of the workflow `{}`", plan.workflow)));
        }
        Ok(plan)
    }

    /// The digests of the functions that a program of `plan` calls.
    #[must_use]
    pub fn wanted(plan: &Plan) -> BTreeSet<Digest> {
        plan.steps.iter().filter_map(|step| step.options.first()).map(|option| option.function).collect()
    }

    /// The function of this digest if some program uses it already.
    #[must_use]
    pub fn known(&self, digest: &Digest) -> Option<Arc<Callable>> {
        self.callables.get(digest)
    }

    /// The function in the blob of this digest, which holds the language on its first line and then the source.
    ///
    /// # Errors
    /// A blob of another shape.
    pub fn function(&self, digest: Digest, blob: &[u8]) -> Result<Arc<Callable>, CompileError> {
        let fail = |fault: &str| CompileError(format!("the blob of the function {digest} is {fault}"));
        let text = std::str::from_utf8(blob).map_err(|_| fail("not UTF-8"))?;
        let (language, source) = text.split_once('\n').ok_or_else(|| fail("without a language"))?;
        let language = serde_json::from_value(Value::String(language.to_owned()))
            .map_err(|_| fail("in a language that this runner does not know"))?;
        self.callables
            .try_intern(digest, || Ok(Callable::new(Function { language, source: source.to_owned() })))
    }

    /// Compiles the plan of this digest, whose blob is `document` and whose functions are `functions`.
    ///
    /// # Errors
    /// A part that does not compile, with the step that it belongs to.
    pub fn compile(
        &self,
        plan: &Plan,
        digest: Digest,
        document: Bytes,
        functions: &Functions,
    ) -> Result<Program, CompileError> {
        let workflow: Arc<str> = plan.workflow.as_str().into();
        let counters = self.usage.workflow(&workflow);
        let (waits_for, mut unblocks) = edges(plan)?;
        let mut steps = Vec::with_capacity(plan.steps.len());
        for (index, step) in plan.steps.iter().enumerate() {
            let site = Site { compiler: self, workflow: &workflow, counters: &counters, step, functions };
            let compiled = site.compile(waits_for[index], std::mem::take(&mut unblocks[index]));
            steps.push(compiled.map_err(|fault| CompileError(format!("step `{}`: {fault}", step.name)))?);
        }
        let input = self
            .schema(&plan.input)
            .map_err(|fault| CompileError(format!("the schema of the input: {fault}")))?;
        let result = Template::parse(&plan.result)
            .map_err(|faults| CompileError(format!("the result: {}", join(&faults))))?;
        Ok(Program {
            digest,
            input,
            steps: steps.into(),
            result,
            budget: budget(plan),
            document,
            workers: Arc::clone(&self.workers),
            series: self.metrics.workflow(&workflow),
            counters,
            workflow,
        })
    }

    fn schema(&self, schema: &Value) -> Result<Arc<Schema>, String> {
        let digest = Digest::of_json(schema).map_err(|error| error.to_string())?;
        self.schemas
            .try_intern(digest, || Schema::compile(schema).map(Arc::new))
            .map_err(|error| error.to_string())
    }
}

/// A step in the middle of its compilation.
struct Site<'a> {
    compiler: &'a Compiler,
    workflow: &'a Arc<str>,
    counters: &'a WorkflowCounters,
    step: &'a PlanStep,
    functions: &'a Functions,
}

impl Site<'_> {
    fn compile(&self, waits_for: usize, unblocks: Vec<usize>) -> Result<Step, String> {
        let Self { compiler, workflow, counters, step, functions } = *self;
        let option = step.options.first().ok_or("it has no options")?;
        let callable = functions
            .get(&option.function)
            .ok_or_else(|| format!("the function {} is missing", option.function))?;
        if callable.function().language != option.language {
            return Err(format!("its function is not in {}", option.language));
        }
        Ok(Step {
            name: step.name.clone(),
            waits_for,
            unblocks: unblocks.into(),
            input: Template::parse(&step.input).map_err(|faults| format!("the input: {}", join(&faults)))?,
            output: compiler
                .schema(&step.output)
                .map_err(|fault| format!("the schema of the output: {fault}"))?,
            checks: step.checks.iter().map(check).collect::<Result<_, _>>()?,
            limits: step.limits,
            option: option.name.clone(),
            artifact: option.artifact.clone(),
            function: Lease::take(&compiler.leases, &compiler.workers, workflow, callable),
            series: compiler.metrics.step(self.labels(option)),
            uses: counters.artifact(&option.artifact),
        })
    }

    fn labels(&self, option: &PlanOption) -> StepLabels {
        StepLabels {
            workflow: self.workflow.to_string(),
            step: self.step.name.clone(),
            option: option.name.clone(),
            generation: option.generation,
        }
    }
}

fn check(check: &Check) -> Result<Predicate, String> {
    Predicate::parse(&check.expression).map_err(|error| format!("the check `{}`: {error}", check.name))
}

fn join(faults: &[TemplateError]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What the steps may take one after the other, which no order of them exceeds.
fn budget(plan: &Plan) -> Duration {
    plan.steps.iter().map(|step| Duration::from_secs(step.limits.timeout_seconds.into())).sum()
}

/// How many steps each step waits for, and which steps wait for it.
fn edges(plan: &Plan) -> Result<(Vec<usize>, Vec<Vec<usize>>), CompileError> {
    let mut index: HashMap<&str, usize> = HashMap::new();
    let mut waits_for = Vec::with_capacity(plan.steps.len());
    let mut unblocks = vec![Vec::new(); plan.steps.len()];
    for (position, step) in plan.steps.iter().enumerate() {
        let fail = |fault: String| CompileError(format!("step `{}`: {fault}", step.name));
        let earlier: BTreeSet<&String> = step.depends_on.iter().collect();
        waits_for.push(earlier.len());
        for name in earlier {
            let first = *index
                .get(name.as_str())
                .ok_or_else(|| fail(format!("it depends on `{name}`, which is no earlier step")))?;
            unblocks[first].push(position);
        }
        if index.insert(&step.name, position).is_some() {
            return Err(fail("another step has this name".to_owned()));
        }
    }
    Ok((waits_for, unblocks))
}

#[cfg(test)]
mod tests {
    use dise_core::function::Limits;
    use serde_json::json;

    use super::*;

    fn plan(steps: &[(&str, &[&str])]) -> Plan {
        let steps = steps.iter().map(|(name, depends_on)| PlanStep {
            name: (*name).into(),
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
            input: json!({}),
            output: json!({}),
            checks: Vec::new(),
            limits: Limits::default(),
            options: Vec::new(),
        });
        Plan {
            format: PLAN_FORMAT,
            namespace: "shop".into(),
            workflow: "flow".into(),
            description: String::new(),
            input: json!({}),
            steps: steps.collect(),
            result: json!(null),
        }
    }

    #[test]
    fn refuses_a_document_that_is_not_the_plan_of_the_workflow() {
        let own = serde_json::to_vec(&plan(&[])).unwrap();
        assert!(Compiler::parse("flow", &own).is_ok());
        for (workflow, document, word) in [
            ("other", &own[..], "`flow`"),
            ("flow", br#"{"format": 2, "shape": "unknown"}"#, "format 2"),
            ("flow", br#"{"format": 1}"#, "cannot be read"),
            ("flow", b"<html>", "cannot be read"),
        ] {
            let message = Compiler::parse(workflow, document).unwrap_err().to_string();
            assert!(message.contains(word), "{word}: {message}");
        }
    }

    #[test]
    fn a_diamond_waits_for_both_of_its_sides() {
        let diamond = plan(&[("a", &[]), ("b", &["a"]), ("c", &["a", "a"]), ("d", &["b", "c"])]);
        let (waits_for, unblocks) = edges(&diamond).unwrap();
        assert_eq!(waits_for, [0, 1, 1, 2]);
        assert_eq!(unblocks, [vec![1, 2], vec![3], vec![3], vec![]]);
    }

    #[test]
    fn refuses_dependencies_that_cannot_be_met() {
        for (steps, word) in [
            (plan(&[("a", &["b"]), ("b", &[])]), "`b`, which is no earlier step"),
            (plan(&[("a", &["a"])]), "`a`, which is no earlier step"),
            (plan(&[("a", &[]), ("a", &[])]), "another step"),
        ] {
            let message = edges(&steps).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}

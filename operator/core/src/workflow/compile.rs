//! Compilation: from a definition to something that can run, or to everything that is wrong with it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::function::{Function, Limits};

use super::{
    compiled::{Compiled, CompiledStep},
    definition::{Definition, StepDefinition},
    expression::path::{Path, Root},
    fault::{Fault, FaultReason},
    graph::{self, Order},
    schema::Schema,
    step::StepCheck,
    template::Template,
    text::list,
    types::{self, Known, Type},
};

/// How many steps of a cycle a message names.
const NAMED_STEPS: usize = 12;

/// A Tool that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolState {
    /// Its code passed its own examples.
    Ready(ToolCode),
    /// Its code did not, or not yet.
    NotReady,
    /// It is a model and holds no code.
    Model,
}

/// What a Tool brings to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCode {
    /// The code.
    pub function: Function,
    /// What the tool allows one call to use; a step that uses it allows no more.
    pub limits: Limits,
}

/// Compiles a workflow. `tools` are the Tools that exist, by name.
///
/// What a definition leaves out: a step without input gets the workflow's input, a step without output schema may
/// return anything, a step without options has one, `code`, that nobody wrote yet, and a workflow without result
/// yields the output of its last step.
///
/// # Errors
/// Every fault of the definition, in the order in which an author would read over it.
pub fn compile(definition: &Definition, tools: &BTreeMap<String, ToolState>) -> Result<Compiled, Vec<Fault>> {
    let mut faults = Vec::new();
    if definition.steps.is_empty() {
        faults.push(Fault::new(
            FaultReason::InvalidSpec,
            None,
            "steps",
            "a workflow needs at least one step",
        ));
    }
    let input = definition.input.clone().unwrap_or(Value::Bool(true));
    let input_type = match compile_schema(None, "input", &input, &mut faults) {
        Some(_) => types::of_schema(&input),
        None => Type::Dyn,
    };
    let outputs = output_types(&definition.steps);
    let check = StepCheck { input: &input_type, outputs: &outputs, tools };
    let mut steps = Vec::with_capacity(definition.steps.len());
    for (position, step) in definition.steps.iter().enumerate() {
        let earlier = definition.steps[..position].iter().map(|step| step.name.as_str());
        steps.push(check.run(step, earlier, &mut faults));
    }
    let result =
        compile_result(definition, &Known { input: &input_type, output: None, steps: &outputs }, &mut faults);
    let order = order(&steps, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut steps: Vec<Option<CompiledStep>> = steps.into_iter().map(Some).collect();
    Ok(Compiled {
        namespace: definition.namespace.clone(),
        name: definition.name.clone(),
        description: definition.description.clone(),
        input,
        steps: order.into_iter().filter_map(|step| steps[step].take()).collect(),
        result,
    })
}

/// The schema, or the fault that it is none.
pub(super) fn compile_schema(
    step: Option<&str>,
    field: &str,
    schema: &Value,
    faults: &mut Vec<Fault>,
) -> Option<Schema> {
    match Schema::compile(schema) {
        Ok(compiled) => Some(compiled),
        Err(error) => {
            faults.push(Fault::new(FaultReason::InvalidSchema, step, field, error.to_string()));
            None
        }
    }
}

/// What is known about the outputs of steps. Of a schema that is none, nothing: the mistake in it is reported, and
/// whoever reads the step's output is not to blame.
fn output_types(steps: &[StepDefinition]) -> BTreeMap<&str, Type> {
    let output_type = |step: &StepDefinition| match &step.output {
        Some(schema) if Schema::compile(schema).is_ok() => types::of_schema(schema),
        _ => Type::Dyn,
    };
    steps.iter().map(|step| (step.name.as_str(), output_type(step))).collect()
}

fn compile_result(definition: &Definition, known: &Known<'_>, faults: &mut Vec<Fault>) -> Value {
    let last = definition
        .steps
        .last()
        .map(|step| Path { root: Root::Step(step.name.clone()), segments: Vec::new() });
    let result = match (&definition.result, last) {
        (Some(result), _) => result.clone(),
        (None, Some(last)) => Value::String(format!("${{{last}}}")),
        (None, None) => return Value::Null,
    };
    if let Some(template) = compile_template(None, "result", &result, faults) {
        type_check(None, "result", &template, known, faults);
    }
    result
}

/// The template, or the faults of its expressions.
pub(super) fn compile_template(
    step: Option<&str>,
    field: &str,
    template: &Value,
    faults: &mut Vec<Fault>,
) -> Option<Template> {
    match Template::parse(template) {
        Ok(template) => Some(template),
        Err(errors) => {
            faults.extend(errors.into_iter().map(|error| {
                Fault::new(
                    FaultReason::InvalidExpression,
                    step,
                    format!("{field}{}", error.place),
                    error.message,
                )
            }));
            None
        }
    }
}

/// The type of what a template yields, and the faults of expressions that cannot have a value.
pub(super) fn type_check(
    step: Option<&str>,
    field: &str,
    template: &Template,
    known: &Known<'_>,
    faults: &mut Vec<Fault>,
) -> Type {
    let mut complaints = Vec::new();
    let inferred = types::type_of_template(template.root(), known, field, &mut complaints);
    faults.extend(
        complaints
            .into_iter()
            .map(|(place, message)| Fault::new(FaultReason::InvalidExpression, step, place, message)),
    );
    inferred
}

/// The order in which the steps can run, or faults that name those that wait for each other.
fn order(steps: &[CompiledStep], faults: &mut Vec<Fault>) -> Vec<usize> {
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let position = |name: &String| names.iter().position(|known| known == name);
    let dependencies: Vec<Vec<usize>> =
        steps.iter().map(|step| step.depends_on.iter().filter_map(position).collect()).collect();
    match graph::order(&dependencies) {
        Order::Runs(order) => order,
        Order::Stuck(cycles) => {
            let stuck = cycles.iter().map(|cycle| cycle.iter().map(|&step| names[step]).collect::<Vec<_>>());
            faults.extend(stuck.map(|cycle| {
                Fault::new(FaultReason::DependencyCycle, None, "steps", describe_cycle(&cycle))
            }));
            Vec::new()
        }
    }
}

fn describe_cycle(cycle: &[&str]) -> String {
    match cycle {
        [step] => format!("`{step}` waits for itself; remove the reference to its own output"),
        steps if steps.len() > NAMED_STEPS => {
            format!("{} wait for each other in a circle", list(steps.iter().copied()))
        }
        steps => {
            let circle = steps.iter().chain(steps.first()).map(|step| format!("`{step}`"));
            let circle: Vec<String> = circle.collect();
            format!("{}: remove one of the references", circle.join(" waits for "))
        }
    }
}

#[cfg(test)]
mod tests;

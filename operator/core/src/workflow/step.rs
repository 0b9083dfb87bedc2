//! Compilation of one step.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    function::{Language, Limits},
    verification::{Check, Example},
};

use super::{
    compile::{ToolState, compile_schema, compile_template, type_check},
    compiled::{CompiledOption, CompiledStep, MissingCode},
    definition::{Code, OptionDefinition, StepDefinition},
    fault::{Fault, FaultReason},
    predicate::Predicate,
    schema::Schema,
    text::{did_you_mean, list, shorten},
    types::{Known, Type, of_schema, type_of_predicate},
};

/// The option of a step that declares none.
const DEFAULT_OPTION: &str = "code";

/// The longest name, that of a DNS label.
const NAME_CHARS: usize = 63;

/// How much of a name or an expression a message repeats.
const ECHOED_CHARS: usize = 80;

/// What the steps of a workflow are checked against.
pub(super) struct StepCheck<'c> {
    /// The type of the workflow's input.
    pub(super) input: &'c Type,
    /// The types of the outputs of all steps.
    pub(super) outputs: &'c BTreeMap<&'c str, Type>,
    /// The tools that exist.
    pub(super) tools: &'c BTreeMap<String, ToolState>,
}

impl StepCheck<'_> {
    /// Compiles `step`, which comes after the steps named `earlier`. It is as good as it gets where there are faults.
    pub(super) fn run<'d>(
        &self,
        step: &'d StepDefinition,
        earlier: impl Iterator<Item = &'d str>,
        faults: &mut Vec<Fault>,
    ) -> CompiledStep {
        let name = step.name.as_str();
        check_name(None, "steps", name, earlier, faults);
        let input = step.input.clone().unwrap_or_else(|| json!("${input}"));
        let template = compile_template(Some(name), "input", &input, faults);
        let known = Known { input: self.input, output: None, steps: self.outputs };
        let input_type = template
            .as_ref()
            .map_or(Type::Dyn, |template| type_check(Some(name), "input", template, &known, faults));
        let output = step.output.clone().unwrap_or(Value::Bool(true));
        let schema = compile_schema(Some(name), "output", &output, faults);
        let output_type = if schema.is_some() { of_schema(&output) } else { Type::Dyn };
        let predicates = check_checks(step, &input_type, &output_type, faults);
        check_examples(step, schema.as_ref(), &predicates, faults);
        let mut awaited: BTreeSet<&str> =
            template.iter().flat_map(|template| template.references()).collect();
        awaited.extend(self.check_after(step, faults));
        CompiledStep {
            name: step.name.clone(),
            description: step.description.clone(),
            depends_on: awaited.into_iter().map(str::to_owned).collect(),
            input,
            output,
            examples: step.examples.clone(),
            checks: step.checks.clone(),
            limits: self.limits(step),
            options: self.options(step, faults),
        }
    }

    /// The names in `after` that are steps.
    fn check_after<'d>(&self, step: &'d StepDefinition, faults: &mut Vec<Fault>) -> Vec<&'d str> {
        let known = || self.outputs.keys().copied();
        let (steps, unknown): (Vec<&str>, Vec<&str>) =
            step.after.iter().map(String::as_str).partition(|name| self.outputs.contains_key(name));
        for name in unknown {
            let shown = shorten(name, ECHOED_CHARS);
            let message = match did_you_mean(name, known()).as_str() {
                "" => format!("`{shown}` is not a step; the steps are {}", list(known())),
                suggestion => format!("`{shown}` is not a step{suggestion}"),
            };
            faults.push(Fault::new(FaultReason::InvalidSpec, Some(&step.name), "after", message));
        }
        steps
    }

    fn options(&self, step: &StepDefinition, faults: &mut Vec<Fault>) -> Vec<CompiledOption> {
        if step.options.is_empty() {
            return vec![CompiledOption {
                name: DEFAULT_OPTION.to_owned(),
                code: Err(MissingCode::Unwritten(Language::Python)),
            }];
        }
        for (position, option) in step.options.iter().enumerate() {
            let earlier = step.options[..position].iter().map(|option| option.name.as_str());
            check_name(Some(&step.name), "options", &option.name, earlier, faults);
        }
        let compile = |option: &OptionDefinition| CompiledOption {
            name: option.name.clone(),
            code: match &option.code {
                Code::Authored(function) => Ok(function.clone()),
                Code::Missing(language) => Err(MissingCode::Unwritten(*language)),
                Code::Tool(tool) => match self.tools.get(tool) {
                    Some(ToolState::Ready(tool)) => Ok(tool.function.clone()),
                    Some(ToolState::NotReady) => Err(MissingCode::ToolNotReady(tool.clone())),
                    Some(ToolState::Model) => Err(MissingCode::ToolHoldsNoCode(tool.clone())),
                    None => Err(MissingCode::ToolNotFound(tool.clone())),
                },
            },
        };
        step.options.iter().map(compile).collect()
    }

    /// What the step allows, lowered by every tool that it uses.
    fn limits(&self, step: &StepDefinition) -> Limits {
        let tools = step.options.iter().filter_map(|option| match &option.code {
            Code::Tool(tool) => match self.tools.get(tool)? {
                ToolState::Ready(tool) => Some(tool.limits),
                ToolState::NotReady | ToolState::Model => None,
            },
            Code::Authored(_) | Code::Missing(_) => None,
        });
        tools.fold(step.limits, |a, b| Limits {
            timeout_seconds: a.timeout_seconds.min(b.timeout_seconds),
            memory_mib: a.memory_mib.min(b.memory_mib),
            output_bytes: a.output_bytes.min(b.output_bytes),
            printed_bytes: a.printed_bytes.min(b.printed_bytes),
        })
    }
}

/// Names are DNS labels that start with a letter: they become parts of object names, label values and, for a step
/// without dashes, `steps.<name>`.
fn check_name<'d>(
    step: Option<&str>,
    field: &str,
    name: &str,
    mut earlier: impl Iterator<Item = &'d str>,
    faults: &mut Vec<Fault>,
) {
    let shown = shorten(name, ECHOED_CHARS);
    let mut fail = |message| faults.push(Fault::new(FaultReason::InvalidSpec, step, field, message));
    if name.len() > NAME_CHARS {
        fail(format!(
            "the name `{shown}` has {} characters; the limit is {NAME_CHARS}",
            name.chars().count()
        ));
    } else if !is_name(name) {
        let suggestion = normalize(name);
        let example = if is_name(&suggestion) { suggestion.as_str() } else { "clean-up" };
        fail(format!(
            "`{shown}` is not a name; names consist of lower-case letters, digits and dashes and start with a letter, \
             as in `{example}`"
        ));
    }
    if earlier.any(|other| other == name) {
        fail(format!("the name `{shown}` is taken; give each its own"));
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The name that was probably meant.
fn normalize(name: &str) -> String {
    let mut normal = String::new();
    let mut lower = false;
    for character in name.chars() {
        // `cleanUp` has a boundary in it, `URL` has none.
        if character.is_ascii_uppercase() && lower {
            normal.push('-');
        }
        lower = character.is_ascii_lowercase();
        normal.push(if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' });
    }
    normal.trim_matches('-').to_owned()
}

/// The checks that can be evaluated.
fn check_checks<'d>(
    step: &'d StepDefinition,
    input: &Type,
    output: &Type,
    faults: &mut Vec<Fault>,
) -> Vec<(&'d Check, Predicate)> {
    let mut predicates = Vec::new();
    for (position, check) in step.checks.iter().enumerate() {
        let earlier = step.checks[..position].iter().map(|check| check.name.as_str());
        check_name(Some(&step.name), "checks", &check.name, earlier, faults);
        let complaints = match Predicate::parse(&check.expression) {
            Ok(predicate) => {
                let known = Known { input, output: Some(output), steps: &BTreeMap::new() };
                let complaints = type_of_predicate(predicate.expression(), &known);
                if complaints.is_empty() {
                    predicates.push((check, predicate));
                }
                complaints
            }
            Err(error) => vec![error.to_string()],
        };
        let field = format!("checks.{}", check.name);
        faults.extend(
            complaints
                .into_iter()
                .map(|message| Fault::new(FaultReason::InvalidExpression, Some(&step.name), &field, message)),
        );
    }
    predicates
}

/// An example that its own step contradicts cannot be passed by any code.
fn check_examples(
    step: &StepDefinition,
    schema: Option<&Schema>,
    predicates: &[(&Check, Predicate)],
    faults: &mut Vec<Fault>,
) {
    for (position, example) in step.examples.iter().enumerate() {
        let mut fail = |field: String, message: String| {
            faults.push(Fault::new(FaultReason::InvalidExample, Some(&step.name), field, message));
        };
        if let Some(violation) = schema.and_then(|schema| schema.check(&example.output).err()) {
            fail(
                format!("examples[{position}].output"),
                format!("does not fit the output schema: {violation}"),
            );
            continue;
        }
        for (check, predicate) in predicates {
            if let Some(message) = contradiction(check, predicate, example) {
                fail(format!("examples[{position}]"), message);
            }
        }
    }
}

fn contradiction(check: &Check, predicate: &Predicate, example: &Example) -> Option<String> {
    match predicate.holds(&example.input, &example.output) {
        Ok(true) => None,
        Ok(false) => {
            let expression = shorten(&check.expression, ECHOED_CHARS);
            Some(format!("the check {} does not hold for it: `{expression}`", check.name))
        }
        Err(error) => Some(format!("the check {} cannot be evaluated for it: {error}", check.name)),
    }
}

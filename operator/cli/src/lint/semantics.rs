//! What the operator would say: the same compilation, with the Tools of the files.

use std::collections::BTreeMap;

use dise_core::{
    function::Limits,
    workflow::{Definition, Fault, Missing, MissingCode, Schema, ToolCode, ToolState, compile},
};
use dise_crds::{Tool, Workflow, WorkflowRun};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Finding, Id, Object, Severity, path::Pointer};

/// Checks every object by itself and against those that it refers to.
pub(super) fn check(objects: &[Object<'_>], findings: &mut Vec<Finding>) {
    let files = Files::of(objects);
    for object in objects {
        match object.id.kind.as_str() {
            "Workflow" => workflow(object, &files, findings),
            "Tool" => tool(object, findings),
            "WorkflowRun" => run(object, &files, findings),
            _ => {}
        }
    }
}

/// What objects may refer to.
struct Files<'o> {
    objects: BTreeMap<&'o Id, &'o Object<'o>>,
}

impl<'o> Files<'o> {
    fn of(objects: &'o [Object<'o>]) -> Self {
        Self { objects: objects.iter().map(|object| (&object.id, object)).collect() }
    }

    /// An object of the same namespace.
    fn beside(&self, object: &Object<'_>, kind: &str, name: &str) -> Option<&'o Object<'o>> {
        let namespace = object.id.namespace.clone();
        self.objects.get(&Id { kind: kind.to_owned(), namespace, name: name.to_owned() }).copied()
    }
}

/// The typed object, if the API server would take it.
fn typed<K: DeserializeOwned>(object: &Object<'_>, findings: &mut Vec<Finding>) -> Option<K> {
    match serde_json::from_value(object.stored.clone()?) {
        Ok(typed) => Some(typed),
        Err(fault) => {
            let message = fault.to_string();
            findings.push(object.finding(Severity::Error, &Pointer::root(), "InvalidValue", message));
            None
        }
    }
}

fn workflow(object: &Object<'_>, files: &Files<'_>, findings: &mut Vec<Finding>) {
    let Some(workflow) = typed::<Workflow>(object, findings) else { return };
    let spec = Pointer::root().member("spec");
    for (index, step) in workflow.spec.steps.iter().enumerate() {
        if step.examples.is_empty() {
            let place = spec.member("steps").index(index);
            let message =
                format!("step {}: it has no examples, so nothing shows that its code is right", step.name);
            findings.push(object.finding(Severity::Warning, &place, "NoExamples", message));
        }
    }
    findings.extend(model(&workflow, object, files));
    let tools = tools(&workflow, object, files);
    match compile(&Definition::from(&workflow), &tools) {
        Ok(compiled) => {
            findings.extend(compiled.missing().filter_map(|missing| absent(&workflow, object, &missing)));
        }
        Err(faults) => findings.extend(faults.iter().map(|fault| {
            object.finding(
                Severity::Error,
                &place(&workflow, fault),
                fault.reason.as_str(),
                fault.to_string(),
            )
        })),
    }
}

/// What is to be said about code that is not in the files. What nobody wrote is generated, which is no fault, and what
/// is wrong with a Tool is said where it is declared.
fn absent(workflow: &Workflow, object: &Object<'_>, missing: &Missing) -> Option<Finding> {
    let place = option(workflow, &missing.step, &missing.option).member("tool");
    match &missing.code {
        MissingCode::ToolNotFound(tool) => {
            let message = format!("step {}: {}", missing.step, elsewhere("Tool", tool));
            Some(object.finding(Severity::Warning, &place, missing.reason(), message))
        }
        MissingCode::ToolHoldsNoCode(_) => {
            Some(object.finding(Severity::Error, &place, missing.reason(), missing.to_string()))
        }
        MissingCode::ToolNotReady(_) | MissingCode::Unwritten(_) => None,
    }
}

fn elsewhere(kind: &str, name: &str) -> String {
    format!("{kind} {name} is not in these files; it has to be in the cluster")
}

/// What is to be said about the model that shall write code.
fn model(workflow: &Workflow, object: &Object<'_>, files: &Files<'_>) -> Option<Finding> {
    let name = workflow.spec.synthesis.tool.as_ref()?;
    let place = Pointer::root().member("spec").member("synthesis").member("tool");
    let Some(tool) = files.beside(object, "Tool", name) else {
        return Some(object.finding(Severity::Warning, &place, "ToolNotFound", elsewhere("Tool", name)));
    };
    let tool: Tool = serde_json::from_value(tool.stored.clone()?).ok()?;
    let message = format!("Tool {name} writes no code; name one of type LocalLlm or CloudLlm");
    (!tool.spec.writes_code()).then(|| object.finding(Severity::Error, &place, "ToolNotFound", message))
}

/// The Tools of the files, as if they had passed their examples.
fn tools(workflow: &Workflow, object: &Object<'_>, files: &Files<'_>) -> BTreeMap<String, ToolState> {
    let options = workflow.spec.steps.iter().flat_map(|step| &step.options);
    let named = options.filter_map(|option| option.tool.as_ref());
    named.filter_map(|name| Some((name.clone(), state(files.beside(object, "Tool", name)?)))).collect()
}

fn state(tool: &Object<'_>) -> ToolState {
    let tool: Option<Tool> = tool.stored.clone().and_then(|stored| serde_json::from_value(stored).ok());
    let Some(spec) = tool.map(|tool| tool.spec) else { return ToolState::NotReady };
    let limits = spec.constraints.as_ref();
    let limits = limits.map_or(Limits::NONE, |constraints| constraints.tighten(Limits::NONE));
    spec.function().map_or(ToolState::Model, |function| ToolState::Ready(ToolCode { function, limits }))
}

/// Where a fault is. Only as much of its field is followed as can be found.
fn place(workflow: &Workflow, fault: &Fault) -> Pointer {
    let spec = Pointer::root().member("spec");
    let Some(step) = &fault.step else { return join(&spec, &fault.field) };
    let found = workflow.spec.steps.iter().position(|declared| declared.name == *step);
    let Some(index) = found else { return spec.member("steps") };
    let base = spec.member("steps").index(index);
    match fault.field.strip_prefix("checks.") {
        Some(name) => {
            let checks = &workflow.spec.steps[index].checks;
            let check = checks.iter().position(|check| check.name == name);
            check.map_or_else(
                || base.member("checks"),
                |check| base.member("checks").index(check).member("expression"),
            )
        }
        None => join(&base, &fault.field),
    }
}

fn join(base: &Pointer, dotted: &str) -> Pointer {
    Pointer::parse(&format!("{}{}", base.as_str(), Pointer::of_dotted(dotted).as_str()))
}

fn option(workflow: &Workflow, step: &str, option: &str) -> Pointer {
    let steps = Pointer::root().member("spec").member("steps");
    let Some(index) = workflow.spec.steps.iter().position(|declared| declared.name == step) else {
        return steps;
    };
    let position = workflow.spec.steps[index].options.iter().position(|declared| declared.name == option);
    let step = steps.index(index);
    position.map_or_else(|| step.clone(), |position| step.member("options").index(position))
}

fn tool(object: &Object<'_>, findings: &mut Vec<Finding>) {
    let Some(tool) = typed::<Tool>(object, findings) else { return };
    let Some(output) = &tool.spec.output else { return };
    let spec = Pointer::root().member("spec");
    let schema = match Schema::compile(output) {
        Ok(schema) => schema,
        Err(fault) => {
            let message = format!("spec.output: {fault}");
            findings.push(object.finding(Severity::Error, &spec.member("output"), "InvalidSchema", message));
            return;
        }
    };
    for (index, example) in tool.spec.examples.iter().enumerate() {
        if let Err(violation) = schema.check(&example.output) {
            let place = spec.member("examples").index(index).member("output");
            let message = format!("{}: it does not fit spec.output: {violation}", place.dotted());
            let place = Pointer::parse(&format!("{}{}", place.as_str(), violation.pointer));
            findings.push(object.finding(Severity::Error, &place, "InvalidExample", message));
        }
    }
}

fn run(object: &Object<'_>, files: &Files<'_>, findings: &mut Vec<Finding>) {
    let Some(run) = typed::<WorkflowRun>(object, findings) else { return };
    let spec = Pointer::root().member("spec");
    let Some(workflow) = files.beside(object, "Workflow", &run.spec.workflow) else {
        let message = elsewhere("Workflow", &run.spec.workflow);
        findings.push(object.finding(
            Severity::Warning,
            &spec.member("workflow"),
            "WorkflowNotFound",
            message,
        ));
        return;
    };
    let schema = workflow.stored.as_ref().and_then(|stored| stored.pointer("/spec/input"));
    // A schema that is none is a fault of the Workflow.
    let Some(Ok(schema)) = schema.map(Schema::compile) else { return };
    let input = run.spec.input.clone().unwrap_or(Value::Null);
    if let Err(violation) = schema.check(&input) {
        let place = Pointer::parse(&format!("{}{}", spec.member("input").as_str(), violation.pointer));
        let message = format!(
            "{}: it does not fit the input of Workflow {}: {}",
            place.dotted(),
            run.spec.workflow,
            violation.message
        );
        findings.push(object.finding(Severity::Error, &place, "InvalidInput", message));
    }
}

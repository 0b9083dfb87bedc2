//! What to do next about a workflow.

use dise_crds::{Workflow, conditions};
use kube::ResourceExt as _;

/// The next thing to do, in a sentence. It depends on the reason of `Ready`, whose message says what is the matter.
pub(super) fn next(workflow: &Workflow) -> String {
    let (name, namespace) = (workflow.name_any(), workflow.namespace().unwrap_or_default());
    let status = workflow.status.clone().unwrap_or_default();
    let Some(ready) = conditions::find_condition(&status.conditions, conditions::READY) else {
        return "the operator has not looked at it yet. Is it running? kubectl get pods -A -l app.kubernetes.io/component=operator,app.kubernetes.io/part-of=dise".to_owned();
    };
    if status.observed_generation < workflow.metadata.generation {
        return "wait: the operator has not looked at the latest change yet".to_owned();
    }
    match ready.reason.as_str() {
        "Serving" => {
            format!("nothing. Try it: kubectl dise run {name} -n {namespace} --input '…'")
        }
        "Verifying" => "wait: a Job runs the examples".to_owned(),
        "Generating" => {
            format!("wait: a model writes code. kubectl -n {namespace} get jobs -l dise.dev/role=synthesize")
        }
        "RollingOut" => {
            format!("wait; if it stays: kubectl -n {namespace} describe pods -l dise.dev/role=executor")
        }
        "PlanRefused" => "compare the versions of the operator's and the runner's image".to_owned(),
        "VerificationFailed" => {
            "fix the code or the example that the message shows, and apply it again".to_owned()
        }
        "NoCandidatePassed" => format!(
            "make the description or the examples of the step clearer and apply it again, or try once more: kubectl dise retry {name} -n {namespace}"
        ),
        "OutOfBudget" => "raise spec.budget, or wait if the message says when it goes on".to_owned(),
        "CodeMissing" => "write the code, or create a Tool of type LocalLlm that writes it".to_owned(),
        "ToolNotFound" => "apply the Tool that the message names; the rest follows by itself".to_owned(),
        "ToolNotReady" => format!("look at the Tool: kubectl -n {namespace} describe dtool"),
        "StoreUnavailable" => "bring the object store back; what was served goes on being served".to_owned(),
        "ServiceNameTaken" => {
            format!("rename the Workflow, or: kubectl -n {namespace} delete service {name}")
        }
        "QualityBelowGoal" => {
            "find the check that fails; fix the code, or lower spec.quality.min. It serves meanwhile"
                .to_owned()
        }
        "InvalidSpec" | "InvalidSchema" | "InvalidExpression" | "InvalidExample" | "DependencyCycle" => {
            "fix what the message names. kubectl dise lint FILE says the same without the cluster".to_owned()
        }
        _ if conditions::is_true(&status.conditions, conditions::STALLED) => {
            "do what the message says".to_owned()
        }
        _ => "wait".to_owned(),
    }
}

//! From proven code to executors that serve it: plan, Service, Deployment, uptake.

use dise_core::{
    digest::canonical_json,
    plan::Plan,
    profile::{StepProfile, WorkflowProfile},
    workflow::{Compiled, Proven, Template},
};
use dise_crds::{ServingMode, Workflow};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{Api, ResourceExt as _};

use super::{
    artifacts::Named,
    decide::{Active, Planned, Rollout},
};
use crate::{
    controllers::{
        Context, Error, apply,
        executor::{
            self,
            build::{dedicated, dedicated_name, service},
        },
        probe::Uptake,
    },
    labels,
};

/// Stores the plan and applies what serves it.
pub(super) async fn roll_out(
    workflow: &Workflow,
    context: &Context,
    compiled: &Compiled,
    named: &[Named],
) -> Result<Planned, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let proven: Vec<Proven> = named.iter().map(proven).collect();
    // Every step was just found to have a proven option.
    let plan = compiled.plan(&proven).map_err(|fault| Error::Plan(fault.to_string()))?;
    // Written at every full pass, so that a bucket that was lost fills again.
    for option in named {
        context.store.put_blob(&namespace, option.passed.function.content().into()).await?;
    }
    let digest = context.store.put_blob(&namespace, canonical_json(&plan)?.into()).await?;
    let declared = workflow.spec.serving.mode;
    let now = workflow.status.as_ref().and_then(|status| status.serving_mode).unwrap_or(declared);
    let mut planned = Planned {
        plan: digest,
        active: active(&plan, named),
        profile: profile(&plan),
        rollout: Rollout::Announced,
        replicas: None,
        serving_mode: now,
        changes_mode: false,
    };
    let behind = match behind(workflow, context, &namespace).await? {
        Behind::Nobody => declared,
        Behind::Executor(mode) => mode,
        Behind::Somebody => {
            planned.rollout = Rollout::ServiceTaken;
            return Ok(planned);
        }
    };
    if declared == ServingMode::Dedicated {
        planned.replicas = Some(apply_dedicated(workflow, context, &namespace).await?);
    }
    if workflow.spec.serving.replicas == Some(0) {
        planned.rollout = Rollout::ScaledToZero;
    } else {
        planned = ask(workflow, context, planned).await?;
    }
    // The former executor keeps the Service until the new one serves, and the plan until no node asks it any more.
    let taken_over =
        matches!(&planned.rollout, Rollout::ScaledToZero | Rollout::Told { uptake: Uptake::Complete, .. });
    let target = if taken_over { declared } else { behind };
    apply::apply(&context.client, &namespace, &service(workflow, &executor_label(workflow, target))).await?;
    let uid = workflow.uid().unwrap_or_default();
    if now != declared && behind == declared && context.recent.is_drained(&uid) {
        planned.serving_mode = declared;
    }
    planned.changes_mode = planned.serving_mode != declared;
    if planned.serving_mode == ServingMode::Shared && declared == ServingMode::Shared {
        delete_dedicated(workflow, context, &namespace).await?;
    }
    Ok(planned)
}

/// Asks the executors how far they have come with a plan that was applied.
pub(super) async fn ask(
    workflow: &Workflow,
    context: &Context,
    mut planned: Planned,
) -> Result<Planned, Error> {
    // Executors learn of a plan from the status. Before it is written there is nothing to ask them.
    let told = workflow.status.as_ref().and_then(|status| status.plan_hash.as_ref());
    let waits = !matches!(planned.rollout, Rollout::ServiceTaken | Rollout::ScaledToZero);
    if waits && told == Some(&planned.plan.to_string()) {
        let namespace = workflow.namespace().unwrap_or_default();
        let serving = context
            .probe
            .serving(context, &namespace, &executor_label(workflow, workflow.spec.serving.mode))
            .await?;
        planned.rollout = Rollout::Told {
            uptake: serving.uptake(&workflow.name_any(), planned.plan),
            trouble: serving.trouble.clone(),
        };
    }
    Ok(planned)
}

/// The label of the executor that serves a workflow in this mode.
fn executor_label(workflow: &Workflow, mode: ServingMode) -> String {
    match mode {
        ServingMode::Shared => labels::SHARED.to_owned(),
        ServingMode::Dedicated => workflow.name_any(),
    }
}

/// What the workflow is expected to do; unknown while a step of it was never measured.
fn profile(plan: &Plan) -> Option<WorkflowProfile> {
    let steps: Option<Vec<StepProfile<'_>>> = plan
        .steps
        .iter()
        .map(|step| {
            let profile = step.options.first()?.profile.as_ref()?;
            Some(StepProfile { name: &step.name, depends_on: &step.depends_on, profile })
        })
        .collect();
    let result = Template::parse(&plan.result).ok()?;
    Some(WorkflowProfile::compose(&steps?, &result.references()))
}

fn proven(named: &Named) -> Proven {
    Proven {
        step: named.passed.step.clone(),
        option: named.passed.option.clone(),
        language: named.passed.function.language,
        function: named.passed.function.digest(),
        artifact: named.artifact.clone(),
        generation: named.generation,
        profile: named.passed.report.profile.clone(),
    }
}

/// The option that the plan uses for each step: the preferred one.
fn active(plan: &Plan, named: &[Named]) -> Vec<Active> {
    let options = plan.steps.iter().filter_map(|step| Some((step, step.options.first()?)));
    options
        .map(|(step, option)| {
            let report = named
                .iter()
                .find(|named| named.artifact == option.artifact)
                .map(|named| &named.passed.report);
            let tests = report.map(|report| format!("{}/{}", report.passed, report.passed + report.failed));
            Active {
                step: step.name.clone(),
                option: option.name.clone(),
                artifact: option.artifact.clone(),
                generation: option.generation,
                tests: tests.unwrap_or_default(),
            }
        })
        .collect()
}

/// What is behind the Service of a workflow's name.
enum Behind {
    /// There is no such Service.
    Nobody,
    /// An executor of this mode.
    Executor(ServingMode),
    /// The Service is not the workflow's.
    Somebody,
}

async fn behind(workflow: &Workflow, context: &Context, namespace: &str) -> Result<Behind, Error> {
    let services: Api<Service> = Api::namespaced(context.client.clone(), namespace);
    let Some(found) = services.get_opt(&workflow.name_any()).await? else { return Ok(Behind::Nobody) };
    if !is_owned(workflow, &found) {
        return Ok(Behind::Somebody);
    }
    let selector = found.spec.and_then(|spec| spec.selector).unwrap_or_default();
    Ok(Behind::Executor(match selector.get(labels::EXECUTOR).map(String::as_str) {
        Some(labels::SHARED) => ServingMode::Shared,
        Some(_) => ServingMode::Dedicated,
        None => workflow.spec.serving.mode,
    }))
}

fn is_owned(workflow: &Workflow, object: &impl kube::ResourceExt) -> bool {
    let uid = workflow.uid();
    object.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref())
}

/// Applies the workflow's own executor; returns how many replicas it has.
async fn apply_dedicated(workflow: &Workflow, context: &Context, namespace: &str) -> Result<i32, Error> {
    executor::ensure_account(context, namespace).await?;
    let wanted = dedicated(&context.settings, &context.bundle(), workflow);
    let applied = apply::apply(&context.client, namespace, &wanted).await?;
    Ok(applied.status.and_then(|status| status.replicas).unwrap_or_default())
}

/// Deletes the executor that the workflow had for itself before it became shared.
async fn delete_dedicated(workflow: &Workflow, context: &Context, namespace: &str) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
    let name = dedicated_name(&workflow.name_any());
    let former = deployments.get_metadata_opt(&name).await?;
    if former.is_some_and(|former| is_owned(workflow, &former)) {
        apply::delete::<Deployment>(&context.client, namespace, &name).await?;
    }
    Ok(())
}

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
    let mut planned = Planned {
        plan: digest,
        active: active(&plan, named),
        profile: profile(&plan),
        rollout: Rollout::Announced,
        replicas: None,
    };
    if is_taken(workflow, context, &namespace).await? {
        planned.rollout = Rollout::ServiceTaken;
        return Ok(planned);
    }
    apply::apply(&context.client, &namespace, &service(workflow, &executor_label(workflow))).await?;
    serve_alone_or_not(workflow, context, &namespace, &mut planned).await?;
    if workflow.spec.serving.replicas == Some(0) {
        planned.rollout = Rollout::ScaledToZero;
        return Ok(planned);
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
        let serving = context.probe.serving(context, &namespace, &executor_label(workflow)).await?;
        planned.rollout = Rollout::Told {
            uptake: serving.uptake(&workflow.name_any(), planned.plan),
            trouble: serving.trouble.clone(),
        };
    }
    Ok(planned)
}

/// The label of the executor that serves a workflow.
fn executor_label(workflow: &Workflow) -> String {
    match workflow.spec.serving.mode {
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

/// Whether a Service of the workflow's name belongs to somebody else.
async fn is_taken(workflow: &Workflow, context: &Context, namespace: &str) -> Result<bool, Error> {
    let services: Api<Service> = Api::namespaced(context.client.clone(), namespace);
    let found = services.get_metadata_opt(&workflow.name_any()).await?;
    let uid = workflow.uid();
    Ok(found
        .is_some_and(|found| !found.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref())))
}

/// Applies the workflow's own executor, or deletes the one that it had before it became shared.
async fn serve_alone_or_not(
    workflow: &Workflow,
    context: &Context,
    namespace: &str,
    planned: &mut Planned,
) -> Result<(), Error> {
    let name = dedicated_name(&workflow.name_any());
    if workflow.spec.serving.mode == ServingMode::Dedicated {
        executor::ensure_account(context, namespace).await?;
        let wanted = dedicated(&context.settings, &context.bundle(), workflow);
        let applied = apply::apply(&context.client, namespace, &wanted).await?;
        planned.replicas = Some(applied.status.and_then(|status| status.replicas).unwrap_or_default());
        return Ok(());
    }
    let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
    let uid = workflow.uid();
    let former = deployments.get_metadata_opt(&name).await?;
    if former
        .is_some_and(|former| former.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()))
    {
        apply::delete::<Deployment>(&context.client, namespace, &name).await?;
    }
    Ok(())
}

//! `lineage`

use anyhow::{Result, bail};
use dise_crds::{Artifact, Workflow};

use super::show;
use crate::{
    cli::LineageArgs,
    cluster::{Cluster, of_workflow},
    exit::{Outcome, say},
    view::{Lineage, Paint, render_lineage},
    words::did_you_mean,
};

pub(super) async fn lineage(cluster: &Cluster, args: &LineageArgs) -> Result<Outcome> {
    let name = &args.workflow.0;
    let workflow: Workflow = cluster.get(name).await?;
    let artifacts: Vec<Artifact> = cluster.list(&of_workflow(name)).await?;
    let lineage = Lineage::new(name, &artifacts, args.step.as_deref());
    if let Some(step) = &args.step
        && lineage.is_empty()
    {
        let steps = workflow.spec.steps.iter().map(|step| step.name.as_str());
        if !steps.clone().any(|known| known == step) {
            let hint = did_you_mean(step, steps.clone());
            bail!(
                "Workflow {name} has no step {step}{hint}; it has {}",
                steps.collect::<Vec<_>>().join(", ")
            );
        }
    }
    if lineage.is_empty() {
        say("nothing was proven yet, so there are no Artifacts; `kubectl dise status` says why");
    }
    let text = || if lineage.is_empty() { String::new() } else { render_lineage(&lineage, Paint::detect()) };
    show(args.output, &lineage, text)?;
    Ok(Outcome::Well)
}

//! Code that nobody wrote: what is known about it, and the search for it.

use std::{collections::BTreeSet, sync::Arc};

use dise_core::{
    digest::Digest,
    money::Usd,
    synthesis::{self, ModelTool, Origin, Outcome, SynthesisReport, SynthesisRequest, Task},
    workflow::Compiled,
};
use dise_crds::{Tool, Workflow, conditions};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams};

use crate::{
    controllers::{Context, Error, reports::store_request},
    labels, prompts,
};

/// An option that came without code.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Search {
    pub(super) step: String,
    pub(super) option: String,
    pub(super) state: State,
}

/// How the code of an option stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It was found.
    Found(Arc<SynthesisReport>),
    /// It is being searched for; how that stands, in a sentence.
    Searching(String),
    /// It was not found.
    Failed(Arc<SynthesisReport>),
    /// There is nobody to write it; a reason and a message.
    NoModel(NoModel),
}

/// Why no model can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoModel {
    /// The namespace has none, and none is named.
    None,
    /// The Tool that is named does not exist or is no model.
    Unknown(String),
    /// The model does not answer.
    NotReady(String),
}

impl State {
    /// The search that this is about, if one has ended.
    pub(super) fn report(&self) -> Option<&Arc<SynthesisReport>> {
        match self {
            Self::Found(report) | Self::Failed(report) => Some(report),
            Self::Searching(_) | Self::NoModel(_) => None,
        }
    }
}

impl Search {
    /// What was not spent because the code was in the memory.
    pub(super) fn saved(&self) -> Option<Usd> {
        match &self.state.report()?.outcome {
            Outcome::Found(solution) => match &solution.origin {
                Origin::Recalled { saved_usd, .. } => *saved_usd,
                Origin::Generated { .. } => None,
            },
            _ => None,
        }
    }
}

/// Looks at every option that came without code, gives `compiled` the code that was found, and has the rest searched
/// for.
pub(super) async fn look(
    workflow: &Workflow,
    context: &Context,
    compiled: &mut Compiled,
) -> Result<Vec<Search>, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let unwritten = compiled
        .unwritten()
        .map(|unwritten| (unwritten.step.to_owned(), unwritten.option.to_owned(), unwritten.task));
    let unwritten: Vec<(String, String, Task)> = unwritten.collect();
    let mut wanted = BTreeSet::new();
    let mut searches = Vec::with_capacity(unwritten.len());
    let mut model = None;
    for (step, option, task) in unwritten {
        let solved = context.solutions.get(&context.store, &namespace, task.digest()?).await?;
        let state = if let Some(report) = solved {
            State::Found(report)
        } else {
            if model.is_none() {
                model = Some(choose_model(workflow, context).await?);
            }
            match &model {
                Some(Ok(model)) => search(workflow, context, task, model, &mut wanted).await?,
                Some(Err(fault)) => State::NoModel(fault.clone()),
                None => State::NoModel(NoModel::None),
            }
        };
        if let State::Found(report) = &state
            && let Outcome::Found(solution) = &report.outcome
        {
            compiled.write(&step, &option, solution.function.clone());
        }
        searches.push(Search { step, option, state });
    }
    context.syntheses.retain(&namespace, &super::owner(workflow), &wanted);
    Ok(searches)
}

/// The report on the search for a task's code, or the search itself.
async fn search(
    workflow: &Workflow,
    context: &Context,
    task: Task,
    model: &ModelTool,
    wanted: &mut BTreeSet<Digest>,
) -> Result<State, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let request = SynthesisRequest {
        task,
        model: model.clone(),
        prompts: prompts::digests(),
        search: synthesis::Search::from(&workflow.spec.synthesis),
        budget: (&workflow.spec.budget).into(),
        retry: labels::annotation(&workflow.metadata, labels::RETRY).unwrap_or_default().to_owned(),
    };
    let digest = request.digest()?;
    let report = context.searches.get(&context.store, &namespace, digest).await?;
    if let Some(report) = report {
        if !report.has_lapsed(Timestamp::now()) {
            return Ok(match report.outcome {
                Outcome::Found(_) => State::Found(report),
                _ => State::Failed(report),
            });
        }
        // Whatever another replica has received meanwhile is in the store.
        context.searches.forget(&namespace, digest);
    }
    wanted.insert(digest);
    prompts::store(&context.store, &namespace).await?;
    store_request(&context.store, &namespace, &request).await?;
    let owner = super::owner(workflow);
    Ok(State::Searching(context.syntheses.submit(&namespace, digest, &owner, model.api_key.as_ref())))
}

/// The model that a workflow names, or the first local one of its namespace. Which one is chosen does not depend on
/// whether it answers now: another choice would be another search, and paid for anew.
async fn choose_model(workflow: &Workflow, context: &Context) -> Result<Result<ModelTool, NoModel>, Error> {
    let api: Api<Tool> = Api::namespaced(context.client.clone(), &workflow.namespace().unwrap_or_default());
    let named = workflow.spec.synthesis.tool.as_ref();
    let tool = match named {
        Some(name) => api.get_opt(name).await?.filter(|tool| tool.spec.writes_code()),
        None => first_local(api.list(&ListParams::default()).await?.items),
    };
    Ok(match (tool, named) {
        (Some(tool), _) => usable(&tool),
        (None, Some(name)) => Err(NoModel::Unknown(name.clone())),
        (None, None) => Err(NoModel::None),
    })
}

fn first_local(tools: Vec<Tool>) -> Option<Tool> {
    let local = |tool: &Tool| tool.spec.type_ == dise_crds::ToolType::LocalLlm;
    tools.into_iter().filter(local).min_by_key(kube::ResourceExt::name_any)
}

fn usable(tool: &Tool) -> Result<ModelTool, NoModel> {
    let name = tool.name_any();
    let conditions = tool.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let model = tool.spec.model(&name).ok_or_else(|| NoModel::Unknown(name.clone()))?;
    if conditions::is_true(conditions, conditions::READY) { Ok(model) } else { Err(NoModel::NotReady(name)) }
}

#[cfg(test)]
mod tests {
    use dise_crds::{Llm, LlmApi, ToolSpec, ToolStatus, ToolType};

    use super::*;

    fn tool(name: &str, type_: ToolType) -> Tool {
        let llm = Llm {
            api: LlmApi::OpenAI,
            endpoint: "http://model/v1".into(),
            model: "m".into(),
            api_key_secret: None,
            pricing: None,
            context_tokens: 4096,
            max_tokens: 512,
        };
        Tool::new(name, ToolSpec { type_, llm: Some(llm), ..ToolSpec::default() })
    }

    #[test]
    fn takes_the_first_local_model_by_name() {
        let tools =
            vec![tool("b", ToolType::LocalLlm), tool("a", ToolType::CloudLlm), tool("c", ToolType::LocalLlm)];
        assert_eq!(first_local(tools).unwrap().name_any(), "b");
        assert!(first_local(vec![tool("a", ToolType::CloudLlm)]).is_none());
    }

    #[test]
    fn asks_no_model_that_does_not_answer() {
        let mut tool = tool("m", ToolType::LocalLlm);
        assert_eq!(usable(&tool), Err(NoModel::NotReady("m".into())));
        let ready = conditions::condition(conditions::READY, true, "R", "", None, Timestamp::UNIX_EPOCH);
        tool.status = Some(ToolStatus { conditions: vec![ready], ..ToolStatus::default() });
        assert_eq!(usable(&tool).unwrap().tool, "m");
    }
}

//! How well the search tells right code from wrong: the solutions of `HumanEval` and mutants of them as the answers of a model.
//!
//! ```sh
//! tests/fixtures/human_eval/prepare.py --out tasks.jsonl
//! cargo run --release -p dise-runner --example human_eval -- tasks.jsonl
//! ```
//!
//! Prints how many solutions are accepted (all must be), how many mutants are rejected, and every mutant that is not,
//! with why. Ends with 1 if a solution is rejected.

use std::{collections::BTreeMap, fmt, fs, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use dise_core::{
    digest::Digest,
    function::{Language, Limits},
    money::Usd,
    synthesis::{
        ModelApi, ModelTool, Outcome, Prompts, Search, SearchBudget, SynthesisRequest, Task, ToolLimits,
    },
    verification::Example,
    wire::{CallClaim, CallGrant, CallOutcome, Recollection},
};
use dise_models::{Answer, ChatModel, ChatRequest, Finish, ModelError, Usage, UsageSource};
use dise_runner::{
    sync::client::OperatorError,
    synth::{Desk, search},
    workers::{Settings, Workers},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

const PROMPTS: [&str; 4] = [
    include_str!("../../operator/prompts/system.md"),
    include_str!("../../operator/prompts/generate.md"),
    include_str!("../../operator/prompts/repair.md"),
    include_str!("../../operator/prompts/tests.md"),
];

/// Seconds that a call may take: mutants that never end are waited for in every example.
const TIMEOUT_SECONDS: u32 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    task_id: String,
    description: String,
    output: Value,
    examples: Vec<Example>,
    source: String,
    mutants: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mutant {
    kind: String,
    source: String,
    site: String,
    distinguishing: Option<Value>,
    equivalent: Option<String>,
    reason: Option<String>,
}

/// A model that knows one answer.
struct Parrot(String);

#[async_trait]
impl ChatModel for Parrot {
    async fn chat(&self, _: &ChatRequest) -> Result<Answer, ModelError> {
        Ok(Answer {
            text: format!("````python\n{}\n````\n", self.0.trim_end()),
            json: None,
            finish: Finish::Stop,
            usage: Usage { input_tokens: 0, output_tokens: 0, source: UsageSource::Reported },
            cost: Usd::ZERO,
            latency: Duration::ZERO,
            requests: 1,
            concessions: Vec::new(),
        })
    }

    fn upper_bound(&self, _: &ChatRequest) -> Usd {
        Usd::ZERO
    }

    fn identity(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

/// A desk that grants everything and remembers nothing.
struct Open;

#[async_trait]
impl Desk for Open {
    async fn blob(&self, digest: &Digest) -> Result<Bytes, OperatorError> {
        let prompt = PROMPTS.into_iter().find(|prompt| Digest::of(prompt.as_bytes()) == *digest);
        prompt.map(|prompt| Bytes::from_static(prompt.as_bytes())).ok_or(OperatorError::NotCached(*digest))
    }

    async fn recall(&self) -> Result<Recollection, OperatorError> {
        Ok(Recollection::default())
    }

    async fn claim(&self, _: &Digest, _: &CallClaim) -> Result<CallGrant, OperatorError> {
        Ok(CallGrant::Granted)
    }

    async fn settle(&self, _: &Digest, _: &CallOutcome) -> Result<(), OperatorError> {
        Ok(())
    }

    async fn progress(&self, _: &str) -> Result<(), OperatorError> {
        Ok(())
    }
}

impl Problem {
    fn request(&self) -> SynthesisRequest {
        let [system, generate, repair, tests] = PROMPTS.map(|prompt| Digest::of(prompt.as_bytes()));
        SynthesisRequest {
            task: Task {
                description: self.description.clone(),
                language: Language::Python,
                output: self.output.clone(),
                examples: self.examples.clone(),
                checks: Vec::new(),
                limits: Limits { timeout_seconds: TIMEOUT_SECONDS, ..Limits::default() },
            },
            model: ModelTool {
                tool: "parrot".to_owned(),
                api: ModelApi::OpenAI,
                endpoint: "http://localhost/v1".to_owned(),
                model: "parrot".to_owned(),
                api_key: None,
                pricing: None,
                context_tokens: 32_768,
                max_tokens: 4096,
                timeout_seconds: 1,
                limits: ToolLimits::default(),
            },
            prompts: Prompts { system, generate, repair, tests },
            search: Search {
                candidates: 1,
                repair_rounds: 0,
                temperatures: Vec::new(),
                generated_tests: 0,
                recall: 0,
            },
            budget: SearchBudget::default(),
            retry: String::new(),
        }
    }

    /// The verdict on one answer: nothing when it is accepted, else why not.
    async fn judge(&self, workers: &Workers, source: &str) -> anyhow::Result<Option<&'static str>> {
        let model = Parrot(source.to_owned());
        let report =
            search(&Open, &model, workers, &self.request()).await.with_context(|| self.task_id.clone())?;
        Ok(match report.outcome {
            Outcome::Found(_) => None,
            _ => report.candidates.first().map(|candidate| candidate.verdict.reason()),
        })
    }
}

/// What became of the answers to one problem.
struct Judged<'p> {
    problem: &'p Problem,
    solution: Option<&'static str>,
    mutants: Vec<(&'p Mutant, Option<&'static str>)>,
}

async fn judge<'p>(problem: &'p Problem, workers: &Workers) -> anyhow::Result<Judged<'p>> {
    let solution = problem.judge(workers, &problem.source).await?;
    let mut mutants = Vec::new();
    for mutant in &problem.mutants {
        mutants.push((mutant, problem.judge(workers, &mutant.source).await?));
    }
    eprintln!("{}", problem.task_id);
    Ok(Judged { problem, solution, mutants })
}

/// What became of the mutants of a kind.
#[derive(Default)]
struct Tally {
    count: usize,
    rejected: BTreeMap<&'static str, usize>,
    right: usize,
}

impl Tally {
    fn add(&mut self, mutant: &Mutant, verdict: Option<&'static str>) {
        self.count += 1;
        match verdict {
            Some(verdict) => *self.rejected.entry(verdict).or_default() += 1,
            None => self.right += usize::from(mutant.equivalent.is_some()),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, rejected, right } = self;
        let of = |verdict| rejected.get(verdict).copied().unwrap_or_default();
        let (failed, memorised, fault) = (of("Failed"), of("Memorised"), of("Fault"));
        let all: usize = rejected.values().sum();
        let (percent, tenth) = (all * 100 / count, all * 1000 / count % 10);
        write!(f, "{count} | {all} | {percent}.{tenth} % | {failed} | {memorised} | {fault} | {right}")
    }
}

/// Prints what became of all answers; returns whether every solution is accepted.
fn print(judged: &[Judged<'_>]) -> bool {
    let rejected: Vec<&Judged<'_>> = judged.iter().filter(|one| one.solution.is_some()).collect();
    println!("{} of {} solutions are accepted", judged.len() - rejected.len(), judged.len());
    for Judged { problem, solution, .. } in &rejected {
        println!("- {} is rejected: {}", problem.task_id, solution.unwrap_or_default());
    }
    let mut kinds: BTreeMap<&str, Tally> = BTreeMap::new();
    for (mutant, verdict) in judged.iter().flat_map(|one| &one.mutants) {
        for kind in [mutant.kind.as_str(), "all"] {
            kinds.entry(kind).or_default().add(mutant, *verdict);
        }
    }
    println!(
        "\n| mutants | count | rejected | share | failed | memorised | cannot be run | accepted, presumed right |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (kind, tally) in &kinds {
        println!("| {kind} | {tally} |");
    }
    println!("\nAccepted mutants:\n");
    for Judged { problem, mutants, .. } in judged {
        for (mutant, _) in mutants.iter().filter(|(_, verdict)| verdict.is_none()) {
            println!("- {} {}: {}: {}", problem.task_id, mutant.kind, mutant.site, explanation(mutant));
        }
    }
    rejected.is_empty()
}

/// Why a mutant passes all examples.
fn explanation(mutant: &Mutant) -> String {
    match (&mutant.distinguishing, &mutant.equivalent) {
        (Some(input), _) => format!("no example tells it apart, this input would: {input}"),
        (None, Some(presumed)) => {
            format!("equivalent, {presumed}: {}", mutant.reason.as_deref().unwrap_or("no reason is known"))
        }
        (None, None) => "it fails an example outside of the jail".to_owned(),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let path = std::env::args().nth(1).context("usage: human_eval tasks.jsonl")?;
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let problems: Vec<Problem> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().with_context(|| path.clone())?;
    let workers: Arc<Workers> = Workers::new(Settings::default())?;
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let judged: Vec<Judged<'_>> = stream::iter(&problems)
        .map(|problem| judge(problem, &workers))
        .buffered(at_once)
        .try_collect()
        .await?;
    workers.shutdown().await;
    Ok(if print(&judged) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

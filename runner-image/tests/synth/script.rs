//! Tasks, and a bench that knows what their candidates do without running them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use dise_core::{
    digest::Digest,
    function::{Function, Language, Limits},
    synthesis::{
        Candidate, ModelApi, ModelTool, Prompts, Search, SearchBudget, SynthesisReport, SynthesisRequest,
        Task, ToolLimits,
    },
    verification::{CaseFailure, Example, VerificationReport, VerificationRequest},
};
use dise_runner::{synth::Bench, verify::VerifyError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::desk::FakeDesk;

const SYSTEM: &str = include_str!("../../../operator/prompts/system.md");
const GENERATE: &str = include_str!("../../../operator/prompts/generate.md");
const REPAIR: &str = include_str!("../../../operator/prompts/repair.md");
const TESTS: &str = include_str!("../../../operator/prompts/tests.md");
pub(crate) const PROMPTS: [&str; 4] = [SYSTEM, GENERATE, REPAIR, TESTS];

pub(crate) fn examples(cases: &[(Value, Value)]) -> Vec<Example> {
    cases.iter().map(|(input, output)| Example { input: input.clone(), output: output.clone() }).collect()
}

/// To reverse a text: four examples, of which one is held out.
pub(crate) fn reverse() -> SynthesisRequest {
    let words = ["hello", "kubernetes", "", "a b"];
    let cases = words.map(|word| (json!({"text": word}), json!({"text": reversed(word)})));
    request("Reverse the text.", examples(&cases))
}

pub(crate) fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

pub(crate) fn request(description: &str, examples: Vec<Example>) -> SynthesisRequest {
    let digest = |text: &str| Digest::of(text.as_bytes());
    SynthesisRequest {
        task: Task {
            description: description.to_owned(),
            language: Language::Python,
            output: json!({}),
            examples,
            checks: Vec::new(),
            limits: Limits { timeout_seconds: 2, ..Limits::default() },
        },
        model: ModelTool {
            tool: "scripted".into(),
            api: ModelApi::OpenAI,
            endpoint: "http://nowhere/v1".into(),
            model: "scripted".into(),
            api_key: None,
            pricing: None,
            context_tokens: 8192,
            max_tokens: 1024,
            timeout_seconds: 10,
            limits: ToolLimits::default(),
        },
        prompts: Prompts {
            system: digest(SYSTEM),
            generate: digest(GENERATE),
            repair: digest(REPAIR),
            tests: digest(TESTS),
        },
        search: Search {
            candidates: 1,
            repair_rounds: 0,
            temperatures: vec!["0.2".parse().unwrap(), "0.8".parse().unwrap()],
            generated_tests: 0,
            recall: 5,
        },
        budget: SearchBudget::default(),
        retry: String::new(),
    }
}

/// The words for what became of the candidates, in order.
pub(crate) fn verdicts(report: &SynthesisReport) -> Vec<&'static str> {
    report.candidates.iter().map(|Candidate { verdict, .. }| verdict.reason()).collect()
}

/// What a machine says of a failure is never the same twice.
static MOMENT: AtomicU32 = AtomicU32::new(0);

/// Takes the number in the first line of a source, `# fails 2`, for the number of examples that it fails, the last ones.
#[derive(Default)]
pub(crate) struct FakeBench<'d> {
    pub(crate) proofs: AtomicU32,
    pub(crate) takes: Duration,
    pub(crate) desk: Option<&'d FakeDesk>,
}

#[async_trait]
impl Bench for FakeBench<'_> {
    async fn prove(&self, request: &VerificationRequest) -> Result<VerificationReport, VerifyError> {
        if let Some(desk) = self.desk {
            desk.point().await;
        }
        tokio::time::sleep(self.takes).await;
        self.proofs.fetch_add(1, Ordering::SeqCst);
        let moment = MOMENT.fetch_add(1, Ordering::SeqCst);
        let total = u32::try_from(request.examples.len()).unwrap();
        let first = request.function.source.lines().next().unwrap_or_default();
        let failed: u32 = first.strip_prefix("# fails ").map_or(0, |number| number.parse().unwrap());
        let failures =
            (total - failed..total).map(|example| CaseFailure { example, message: format!("at {moment}") });
        Ok(VerificationReport {
            passed: total - failed,
            failed,
            failures: failures.collect(),
            ..VerificationReport::new(
                request.digest().unwrap(),
                request.function.digest(),
                "1",
                Timestamp::UNIX_EPOCH,
            )
        })
    }

    async fn run(
        &self,
        _: &Function,
        _: &Limits,
        inputs: &[Value],
    ) -> Result<Vec<Option<Value>>, VerifyError> {
        Ok(inputs.iter().map(|input| Some(input.clone())).collect())
    }
}

/// A source for the [`FakeBench`].
pub(crate) fn fails(cases: u32, name: &str) -> String {
    format!("# fails {cases}\ndef run(input):\n    return {name:?}\n")
}

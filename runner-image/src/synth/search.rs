//! Carries out what the other modules decide.

use dise_core::{
    digest::Digest,
    function::Function,
    synthesis::{
        Candidate, Origin, Outcome, Solution, SynthesisReport, SynthesisRequest, Task, Verdict, variations,
    },
    verification::VerificationReport,
    wire::{CallAnswer, Recalled},
};
use dise_models::{ChatModel, ChatRequest, Message};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Desk, SearchError,
    bench::Bench,
    calls::{Line, Question, Refusal, Reply},
    choose::{Passed, choose},
    code,
    course::{Ask, Course, Tried, Wish, temperature},
    exhibit::Exhibit,
    flaw::broken,
    generated::{Poll, Rules, poll, proposals, schema},
    judge::Trial,
    notation::cut,
    progress::{relay, standing},
    prompt::{Templates, Writer, answer_tokens},
};

/// Inputs that nobody wrote on which a function that passed is tried.
const VARIATIONS: usize = 8;
/// Characters that an Artifact can hold.
const MOST_SOURCE_CHARS: usize = 65_536;
/// Characters of an answer without code that are told.
const EXCERPT_CHARS: usize = 200;

/// Searches for code that solves a task, and says meanwhile how the search stands. That nothing was found is a report
/// too.
///
/// # Errors
/// See [`SearchError`].
pub async fn search(
    desk: &dyn Desk,
    model: &dyn ChatModel,
    bench: &dyn Bench,
    request: &SynthesisRequest,
) -> Result<SynthesisReport, SearchError> {
    let (say, heard) = watch::channel(String::new());
    let seeker = Seeker { desk, model, bench, request, line: Line::new(desk, model), say };
    tokio::select! {
        report = seeker.search() => report,
        never = relay(desk, heard) => match never {},
    }
}

struct Seeker<'s> {
    desk: &'s dyn Desk,
    model: &'s dyn ChatModel,
    bench: &'s dyn Bench,
    request: &'s SynthesisRequest,
    line: Line<'s>,
    say: watch::Sender<String>,
}

/// What the memory had to offer.
enum Memory {
    /// The answer.
    Solution(Box<Solution>),
    /// A function that passes some of the examples, if any does.
    Similar(Option<Recalled>),
}

impl Seeker<'_> {
    async fn search(mut self) -> Result<SynthesisReport, SearchError> {
        let request = self.request;
        let malformed = |error: serde_json::Error| SearchError::Request(error.to_string());
        let (outcome, candidates) = match self.recall().await? {
            Memory::Solution(solution) => (Outcome::Found(solution), Vec::new()),
            Memory::Similar(similar) => self.generate(similar.as_ref()).await?,
        };
        Ok(SynthesisReport {
            request: request.digest().map_err(malformed)?,
            task: request.task.digest().map_err(malformed)?,
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            at: Timestamp::now(),
            outcome,
            spend: self.line.spend().clone(),
            candidates,
        })
    }

    /// Tries what the memory holds. Without examples nothing could tell whether it solves the task.
    async fn recall(&self) -> Result<Memory, SearchError> {
        let Task { language, examples, .. } = &self.request.task;
        let most = self.request.search.recall as usize;
        if most == 0 || examples.is_empty() {
            return Ok(Memory::Similar(None));
        }
        self.say("looking for code that solves this already".to_owned());
        let functions = self.desk.recall().await?.functions;
        let mut similar: Option<(u32, Recalled)> = None;
        let spoken = functions.into_iter().filter(|recalled| recalled.function.language == *language);
        for recalled in spoken.take(most) {
            let proof = self.prove(&recalled.function).await?;
            if proof.is_proof() {
                let Recalled { artifact, function, cost_usd: saved_usd, .. } = recalled;
                return Ok(Memory::Solution(Box::new(Solution {
                    function,
                    proof,
                    origin: Origin::Recalled { artifact, saved_usd },
                    alternatives: Vec::new(),
                    generated_tests: Vec::new(),
                    held_out: 0,
                })));
            }
            if proof.passed > similar.as_ref().map_or(0, |(passed, _)| *passed) {
                similar = Some((proof.passed, recalled));
            }
        }
        Ok(Memory::Similar(similar.map(|(_, recalled)| recalled)))
    }

    async fn generate(
        &mut self,
        similar: Option<&Recalled>,
    ) -> Result<(Outcome, Vec<Candidate>), SearchError> {
        let SynthesisRequest { task, model, search, .. } = self.request;
        let mut exhibit = Exhibit::new(&task.examples);
        let writer = Writer::new(self.templates().await?, task, model, &exhibit.open())?;
        exhibit.show(writer.shown());
        let mut course = Course::new(search, exhibit);
        let mut refusal = None;
        while let Some(ask) = course.next() {
            let tried: Vec<&Candidate> = course.tried().iter().map(|tried| &tried.candidate).collect();
            self.say(standing(&ask, search, &tried, self.line.spend()));
            let question = self.question(&writer, &course, &ask, similar)?;
            match self.line.ask(&question).await? {
                Reply::Answer(answer) => course.record(self.attempt(&writer, &course, &ask, &answer).await?),
                Reply::Refused(refused) => {
                    refusal = Some(refused);
                    break;
                }
            }
        }
        let outcome = match (self.solution(&course, &writer).await?, refusal) {
            (Some(solution), _) => Outcome::Found(Box::new(solution)),
            (None, Some(Refusal { message, until })) => {
                Outcome::OutOfBudget { message, until, best: course.best() }
            }
            (None, None) => Outcome::NothingPassed { best: course.best() },
        };
        Ok((outcome, course.into_candidates()))
    }

    async fn templates(&self) -> Result<Templates, SearchError> {
        let prompts = &self.request.prompts;
        Ok(Templates {
            system: self.template("system", &prompts.system).await?,
            generate: self.template("generate", &prompts.generate).await?,
            repair: self.template("repair", &prompts.repair).await?,
            tests: self.template("tests", &prompts.tests).await?,
        })
    }

    async fn template(&self, name: &'static str, digest: &Digest) -> Result<String, SearchError> {
        let content = self.desk.blob(digest).await?;
        String::from_utf8(content.into())
            .map_err(|error| SearchError::Prompt { name, message: error.to_string() })
    }

    /// The call that asks for a candidate.
    fn question(
        &self,
        writer: &Writer<'_>,
        course: &Course<'_>,
        ask: &Ask,
        similar: Option<&Recalled>,
    ) -> Result<Question, SearchError> {
        let broken = match ask.wish {
            Wish::Draft => None,
            Wish::Repair { of, case } => broken(&course.tried()[of], case),
        };
        // Two runs of one search may word these differently, and the memory may hold something else by then; their calls
        // are the same all the same.
        let (said, named) = match &broken {
            None => (writer.draft(similar)?, writer.draft(None)?),
            Some(broken) => (writer.repair(broken)?, writer.repair(&broken.steady())?),
        };
        let request = |messages| self.chat_request(messages, ask.number, ask.temperature, None);
        self.named(request(said)?, &request(named)?)
    }

    fn named(&self, request: ChatRequest, named: &ChatRequest) -> Result<Question, SearchError> {
        let call = self.model.call_key(named).map_err(|error| SearchError::Request(error.to_string()))?;
        Ok(Question { call, request })
    }

    fn chat_request(
        &self,
        messages: Vec<Message>,
        number: u32,
        temperature: Decimal,
        schema: Option<Value>,
    ) -> Result<ChatRequest, SearchError> {
        let temperature = temperature.try_into().map_err(|error| SearchError::Request(format!("{error}")))?;
        Ok(ChatRequest {
            messages,
            temperature: Some(temperature),
            max_tokens: Some(answer_tokens(&self.request.model)),
            seed: Some(seed(number, &self.request.retry)),
            schema,
        })
    }

    /// Takes the code of an answer to its proof.
    async fn attempt(
        &self,
        writer: &Writer<'_>,
        course: &Course<'_>,
        ask: &Ask,
        answer: &CallAnswer,
    ) -> Result<Tried, SearchError> {
        let SynthesisRequest { task, prompts, .. } = self.request;
        let prompt = match ask.wish {
            Wish::Draft => prompts.generate,
            Wish::Repair { .. } => prompts.repair,
        };
        let mut candidate = Candidate {
            function: None,
            round: ask.round,
            temperature: ask.temperature,
            verdict: Verdict::Accepted,
            passed: 0,
            failed: 0,
        };
        let Some(function) = code::function(task.language, &answer.text) else {
            candidate.verdict = no_code(answer);
            return Ok(Tried { candidate, prompt, function: None, proof: None });
        };
        let function = writer.complete(function);
        let digest = function.digest();
        candidate.function = Some(digest);
        if let Some(known) = course.known(digest) {
            let Candidate { verdict, passed, failed, .. } = known.clone();
            let candidate = Candidate { verdict, passed, failed, ..candidate };
            return Ok(Tried { candidate, prompt, function: None, proof: None });
        }
        if function.source.chars().count() > MOST_SOURCE_CHARS {
            let message = format!("the source has more than {MOST_SOURCE_CHARS} characters");
            candidate.verdict = Verdict::Fault { message };
            return Ok(Tried { candidate, prompt, function: None, proof: None });
        }
        let proof = self.prove(&function).await?;
        candidate.verdict = self.verdict(course, &function, &proof).await?;
        (candidate.passed, candidate.failed) = (proof.passed, proof.failed);
        Ok(Tried { candidate, prompt, function: Some(function), proof: Some(proof) })
    }

    async fn prove(&self, function: &Function) -> Result<VerificationReport, SearchError> {
        Ok(self.bench.prove(&self.request.task.verification(function.clone())).await?)
    }

    async fn verdict(
        &self,
        course: &Course<'_>,
        function: &Function,
        proof: &VerificationReport,
    ) -> Result<Verdict, SearchError> {
        let Task { examples, limits, .. } = &self.request.task;
        let varied = if proof.is_proof() {
            self.bench.run(function, limits, &variations(examples, VARIATIONS)).await?
        } else {
            Vec::new()
        };
        let exhibit = course.exhibit();
        Ok(Trial { source: &function.source, proof, examples, exhibit, varied: &varied }.verdict())
    }

    /// The best of the functions that passed; nothing if none did.
    async fn solution(
        &mut self,
        course: &Course<'_>,
        writer: &Writer<'_>,
    ) -> Result<Option<Solution>, SearchError> {
        let accepted: Vec<(Function, VerificationReport)> =
            course.accepted().map(|(function, proof)| (function.clone(), proof.clone())).collect();
        if accepted.is_empty() {
            return Ok(None);
        }
        let number = count(course.tried().len());
        let Poll { tests, agreeing } = self.invent(writer, &accepted, number).await?;
        let passed = accepted.into_iter().zip(agreeing);
        let passed =
            passed.map(|((function, proof), agreeing)| Passed { function, proof, agreeing }).collect();
        let Some((best, alternatives)) = choose(passed, count(tests.len())) else { return Ok(None) };
        let SynthesisRequest { task, model, prompts, .. } = self.request;
        let prompt = course.prompt_of(best.function.digest()).unwrap_or(prompts.generate);
        Ok(Some(Solution {
            function: best.function,
            proof: best.proof,
            origin: Origin::Generated { tool: model.tool.clone(), prompt },
            alternatives,
            generated_tests: tests,
            held_out: count(course.exhibit().unseen(task.examples.len())),
        }))
    }

    /// Has the model invent test cases and the functions vote on them. A model that does not answer costs the cases and
    /// not what was found.
    async fn invent(
        &mut self,
        writer: &Writer<'_>,
        accepted: &[(Function, VerificationReport)],
        number: u32,
    ) -> Result<Poll, SearchError> {
        let SynthesisRequest { task, search, .. } = self.request;
        let most = search.generated_tests;
        if most == 0 {
            return Ok(poll(&[], &vec![Vec::new(); accepted.len()]));
        }
        self.say(format!("{} functions pass; asking for further test cases", accepted.len()));
        let shape = Some(schema(&task.examples, most));
        let request = self.chat_request(writer.tests(most)?, number, temperature(search, 0), shape)?;
        let question = self.named(request.clone(), &request)?;
        let proposals = match self.line.ask(&question).await {
            Ok(Reply::Answer(answer)) => proposals(&answer.text, &task.examples, most),
            Ok(Reply::Refused(Refusal { message, .. })) => {
                tracing::info!(%message, "no test cases are generated");
                Vec::new()
            }
            Err(SearchError::Model(error)) => {
                tracing::warn!(%error, "no test cases are generated");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let rules = Rules::of(task)?;
        let inputs: Vec<Value> = proposals.iter().map(|proposal| proposal.input.clone()).collect();
        let mut answers = Vec::new();
        for (function, _) in accepted {
            let given = self.bench.run(function, &task.limits, &inputs).await?;
            answers.push(rules.keep(&inputs, given));
        }
        Ok(poll(&proposals, &answers))
    }

    fn say(&self, message: String) {
        self.say.send_replace(message);
    }
}

/// Why there is no code in an answer.
fn no_code(answer: &CallAnswer) -> Verdict {
    let text = answer.text.trim();
    let message = match (text.is_empty(), answer.complete) {
        (true, _) => "the answer is empty".to_owned(),
        (false, false) => format!(
            "the answer was cut off before there was any code: raise the Tool's maxTokens; it begins: {}",
            cut(text, EXCERPT_CHARS)
        ),
        (false, true) => format!("the answer holds no code: {}", cut(text, EXCERPT_CHARS)),
    };
    Verdict::NoCode { message }
}

/// The seed of a call: another one for each candidate, and again after somebody asked for another try.
fn seed(number: u32, retry: &str) -> u32 {
    if retry.is_empty() {
        return number;
    }
    let digest = Digest::of(format!("{retry} {number}").as_bytes()).short(8);
    u32::from_str_radix(&digest, 16).unwrap_or(number)
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

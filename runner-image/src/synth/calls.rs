//! Calls of the model: leave is asked before, and the outcome is told after, so that money is neither lost nor spent
//! twice whenever this process ends.

use std::time::Duration;

use dise_core::{
    digest::Digest,
    synthesis::Spend,
    wire::{CallAnswer, CallClaim, CallGrant, CallOutcome},
};
use dise_models::{Answer, ChatModel, ChatRequest, Finish};
use jiff::Timestamp;
use tokio::time::sleep;

use super::{Desk, SearchError};

/// The longest that another pod's call is left alone before asking again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A call of the model, and its name.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) call: Digest,
    pub(super) request: ChatRequest,
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Answer(CallAnswer),
    /// It could have exceeded a budget.
    Refused(Refusal),
}

/// Why a call was not made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) until: Option<Timestamp>,
}

/// Asks the model, and keeps count.
pub(super) struct Line<'s> {
    desk: &'s dyn Desk,
    model: &'s dyn ChatModel,
    spend: Spend,
}

impl<'s> Line<'s> {
    pub(super) fn new(desk: &'s dyn Desk, model: &'s dyn ChatModel) -> Self {
        Self { desk, model, spend: Spend::default() }
    }

    pub(super) fn spend(&self) -> &Spend {
        &self.spend
    }

    /// The answer, from the store if it is there.
    ///
    /// # Errors
    /// The desk or the model could not be asked. What the model may have charged is told to the desk before.
    pub(super) async fn ask(&mut self, question: &Question) -> Result<Reply, SearchError> {
        let claim = CallClaim { at_most: self.model.upper_bound(&question.request) };
        loop {
            match self.desk.claim(&question.call, &claim).await? {
                CallGrant::Granted => return self.call(question).await.map(Reply::Answer),
                CallGrant::Answered(answer) => {
                    self.spend.stored_answers += 1;
                    return Ok(Reply::Answer(answer));
                }
                CallGrant::Held { retry_after_seconds } => {
                    sleep(Duration::from_secs(retry_after_seconds.into()).min(LONGEST_WAIT)).await;
                }
                CallGrant::Refused { message, until } => {
                    return Ok(Reply::Refused(Refusal { message, until }));
                }
            }
        }
    }

    async fn call(&mut self, question: &Question) -> Result<CallAnswer, SearchError> {
        let answer = match self.model.chat(&question.request).await {
            Ok(answer) => stored(answer),
            Err(error) => {
                let outcome =
                    if error.maybe_charged { CallOutcome::MaybeCharged } else { CallOutcome::NotCharged };
                // Not told, it stays booked; why there is no answer is what matters then.
                if let Err(untold) = self.desk.settle(&question.call, &outcome).await {
                    tracing::warn!(error = %untold, call = %question.call, "the desk was not told how a call ended");
                }
                return Err(error.into());
            }
        };
        self.desk.settle(&question.call, &CallOutcome::Answered(answer.clone())).await?;
        self.book(&answer);
        Ok(answer)
    }

    fn book(&mut self, answer: &CallAnswer) {
        let Spend { usd, calls, input_tokens, output_tokens, .. } = &mut self.spend;
        *usd = *usd + answer.cost_usd;
        *calls += 1;
        *input_tokens += answer.input_tokens;
        *output_tokens += answer.output_tokens;
    }
}

/// An answer as it is stored.
fn stored(answer: Answer) -> CallAnswer {
    CallAnswer {
        complete: matches!(answer.finish, Finish::Stop | Finish::Refusal),
        text: answer.json.map_or(answer.text, |json| json.to_string()),
        input_tokens: answer.usage.input_tokens,
        output_tokens: answer.usage.output_tokens,
        cost_usd: answer.cost,
    }
}

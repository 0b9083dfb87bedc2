//! What is said about a search on its way.

use std::{convert::Infallible, fmt::Write as _, future, time::Duration};

use dise_core::{
    money::Usd,
    synthesis::{Candidate, Search, Spend},
};
use tokio::{sync::watch, time::sleep};

use super::{Desk, course::Ask};

/// Nobody reads faster.
const BETWEEN: Duration = Duration::from_secs(1);

/// Passes on what is said last, at most once a second. Never ends.
pub(super) async fn relay(desk: &dyn Desk, mut heard: watch::Receiver<String>) -> Infallible {
    while heard.changed().await.is_ok() {
        let message = heard.borrow_and_update().clone();
        if let Err(error) = desk.progress(&message).await {
            tracing::debug!(%error, "the progress was not delivered");
        }
        sleep(BETWEEN).await;
    }
    future::pending().await
}

/// How a search stands that is about to ask.
pub(super) fn standing(ask: &Ask, search: &Search, tried: &[&Candidate], spend: &Spend) -> String {
    let written = tried.len();
    let mut sentence = match ask.round {
        0 => format!("{written} of {} candidates written", search.candidates),
        round => format!("{written} candidates written, repair {round} of {}", search.repair_rounds),
    };
    let best = tried.iter().map(|tried| (tried.passed, tried.passed + tried.failed)).max();
    if let Some((passed, all @ 1..)) = best {
        let _ = write!(sentence, ", the best passes {passed} of {all} examples");
    }
    if spend.usd > Usd::ZERO {
        let _ = write!(sentence, ", ${} spent", spend.usd);
    }
    sentence
}

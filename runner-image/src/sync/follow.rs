//! Following the operator's list of plans.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dise_core::wire::PlanList;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::{Backoff, jittered},
    blobs::Blobs,
    client::{Operator, OperatorError},
    take_up::TakeUp,
};
use crate::{metrics::Metrics, serve::catalog::Catalog};

/// How long the operator may sit on a question whose answer did not change.
const WAIT: Duration = Duration::from_secs(30);

/// The shortest time between two equal answers, so that an operator that does not wait is not flooded.
const PACE: Duration = Duration::from_secs(1);

/// Keeps a catalog at what the operator lists, through outages of either.
#[derive(Debug)]
pub struct Follower {
    operator: Arc<Operator>,
    blobs: Blobs,
    take_up: TakeUp,
    catalog: Arc<Catalog>,
    metrics: Arc<Metrics>,
    /// What the catalog was made of last.
    taken: Option<PlanList>,
    /// Whether another try at the same list is pointless.
    done: bool,
    backoff: Backoff,
    outage: Option<String>,
}

impl Follower {
    /// A follower that has heard of nothing yet.
    #[must_use]
    pub fn new(
        operator: Arc<Operator>,
        blobs: Blobs,
        take_up: TakeUp,
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            operator,
            blobs,
            take_up,
            catalog,
            metrics,
            taken: None,
            done: true,
            backoff: Backoff::default(),
            outage: None,
        }
    }

    /// Follows until `stop`. Begins with what the disk cache has, so that an operator that is away delays nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        let follow = async {
            self.resume().await;
            loop {
                self.poll().await;
                self.metrics.expire(Instant::now());
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = follow => {}
        }
    }

    async fn resume(&mut self) {
        let Some(list) = self.blobs.list().await else { return };
        tracing::info!(plans = list.plans.len(), "resuming from the disk cache");
        self.done = self.take_up.take_up(&list, &self.blobs.offline()).await;
        self.taken = Some(list);
        self.catalog.set_ready();
    }

    async fn poll(&mut self) {
        let wait = match (&self.taken, self.done) {
            // The first list is wanted at once, also when it is empty.
            (None, _) => Duration::ZERO,
            (_, true) => WAIT,
            // Plans that wait for another try make the wait short, and its growth is their backoff.
            (_, false) => self.backoff.delay().max(PACE),
        };
        let asked = Instant::now();
        match self.operator.plans(self.revision(), wait).await {
            Ok(list) => {
                self.recover();
                self.take(list, asked).await;
            }
            Err(error) => {
                self.lose(&error);
                sleep(self.backoff.delay()).await;
            }
        }
    }

    fn revision(&self) -> &str {
        self.taken.as_ref().map_or("", |list| &list.revision)
    }

    async fn take(&mut self, list: PlanList, asked: Instant) {
        let news = self.taken.as_ref() != Some(&list);
        if !news && asked.elapsed() < PACE {
            sleep(jittered(PACE)).await;
        }
        if news || !self.done {
            if news {
                tracing::debug!(revision = list.revision, plans = list.plans.len(), "new list of plans");
                self.backoff.reset();
            }
            self.done = self.take_up.take_up(&list, &self.blobs).await;
            if news {
                self.blobs.keep_list(list.clone()).await;
            }
            if self.done {
                self.backoff.reset();
                self.blobs.retain(self.take_up.blobs_in_use()).await;
            }
        }
        self.taken = Some(list);
        self.catalog.set_ready();
    }

    /// Says once that the operator is away, not with every try.
    fn lose(&mut self, error: &OperatorError) {
        let message = error.to_string();
        if self.outage.as_ref() != Some(&message) {
            tracing::warn!(
                error = message,
                serving = self.catalog.entries().len(),
                "cannot follow the plans; serving goes on"
            );
            self.outage = Some(message);
        }
    }

    fn recover(&mut self) {
        if self.outage.take().is_some() {
            self.backoff.reset();
            tracing::info!("following the plans again");
        }
    }
}

//! `serve`: executes the workflows of a namespace for whoever asks over HTTP.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::time::{interval_at, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{OperatorArgs, WorkerArgs};
use crate::{
    engine::Compiler,
    metrics::Metrics,
    serve::{App, Server, Settings, catalog::Catalog, host::Home},
    sync::{blobs::Blobs, cache::Cache, client::Operator, follow::Follower, take_up::TakeUp},
    usage::{Reporter, Usage},
    workers::Workers,
};

/// How long the last counters may take to be delivered.
const LAST_PUSH: Duration = Duration::from_secs(2);

/// How long the workers may take to end. By now they work for nobody, and they cannot outlive this process.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Settings of `serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The operator.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The workers.
    #[command(flatten)]
    pub workers: WorkerArgs,
    /// Folder in which plans and code outlive a restart.
    #[arg(long, env = "DISE_CACHE_DIR", default_value = "/var/cache/dise")]
    pub cache_dir: PathBuf,
    /// Address to listen on.
    #[arg(long, env = "DISE_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Requests that are executed at the same time.
    #[arg(long, env = "DISE_MAX_CONCURRENCY", default_value_t = 64)]
    pub max_concurrency: usize,
    /// Requests that wait for their turn; what exceeds them is answered 429.
    #[arg(long, env = "DISE_MAX_QUEUE", default_value_t = 256)]
    pub max_queue: usize,
    /// The largest body in bytes.
    #[arg(long, env = "DISE_MAX_BODY_BYTES", default_value_t = 10 << 20)]
    pub max_body_bytes: usize,
    /// Seconds that requests are still served after SIGTERM, until nobody sends any more.
    #[arg(long, env = "DISE_DRAIN_SECONDS", default_value_t = 5)]
    pub drain_seconds: u64,
    /// Seconds after SIGTERM at which the process must have ended; the pod's termination grace period.
    #[arg(long, env = "DISE_TERMINATION_SECONDS", default_value_t = 30)]
    pub termination_seconds: u64,
    /// Seconds between two reports of usage.
    #[arg(long, env = "DISE_USAGE_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub usage_seconds: u64,
}

/// An executor that is bound and not yet serving.
#[derive(Debug)]
pub struct Executor {
    server: Server,
    follower: Follower,
    reporter: Reporter,
    operator: Arc<Operator>,
    workers: Arc<Workers>,
    report_every: Duration,
}

impl Serve {
    /// Serves until `stop`, and then for as long as draining takes.
    ///
    /// # Errors
    /// Settings that cannot work, no jail, an address that is taken.
    pub async fn execute(self, stop: CancellationToken) -> anyhow::Result<()> {
        let executor = self.prepare()?;
        tracing::info!(address = %executor.server.address()?, "serving");
        executor.serve(stop).await
    }

    /// Builds everything and binds to the address.
    ///
    /// # Errors
    /// As [`Serve::execute`].
    pub fn prepare(&self) -> anyhow::Result<Executor> {
        let operator = self.operator.operator()?;
        let workers = self.workers.workers().context("functions cannot be run here")?;
        let metrics = Arc::new(Metrics::new(&self.operator.pod_namespace)?);
        let usage = Arc::new(Usage::new(self.operator.pod_name.clone()));
        let catalog = Arc::new(Catalog::new(Arc::clone(&metrics)));
        let compiler = Compiler::new(Arc::clone(&workers), Arc::clone(&metrics), Arc::clone(&usage));
        let home =
            Home { namespace: self.operator.pod_namespace.clone(), pod: self.operator.pod_name.clone() };
        let settings = self.settings();
        let app = App::new(Arc::clone(&catalog), Arc::clone(&metrics), Arc::clone(&workers), home, &settings);
        let server = Server::bind(Arc::new(app), self.listen, settings)
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let blobs = Blobs::new(Arc::clone(&operator), self.cache());
        let take_up = TakeUp::new(Arc::new(compiler), Arc::clone(&catalog));
        Ok(Executor {
            server,
            follower: Follower::new(Arc::clone(&operator), blobs, take_up, catalog, metrics),
            reporter: Reporter::new(usage, Uuid::now_v7().to_string()),
            operator,
            workers,
            report_every: Duration::from_secs(self.usage_seconds),
        })
    }

    fn settings(&self) -> Settings {
        Settings {
            running: self.max_concurrency,
            waiting: self.max_queue,
            body_bytes: self.max_body_bytes,
            drain: Duration::from_secs(self.drain_seconds),
            termination: Duration::from_secs(self.termination_seconds),
        }
    }

    /// The disk cache, without which serving goes on as long as the operator is there.
    fn cache(&self) -> Option<Cache> {
        Cache::open(&self.cache_dir)
            .inspect_err(|error| {
                let dir = self.cache_dir.display();
                tracing::warn!(%error, %dir, "no disk cache; a restart will need the operator");
            })
            .ok()
    }
}

impl Executor {
    /// The address that it is bound to.
    ///
    /// # Errors
    /// None in practice.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    /// Serves until `stop`, drains, and delivers the last counters.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { server, follower, mut reporter, operator, workers, report_every } = self;
        let following = tokio::spawn(follower.run(stop.clone()));
        let quiet = CancellationToken::new();
        let reporting = tokio::spawn({
            let (operator, quiet) = (Arc::clone(&operator), quiet.clone());
            async move {
                quiet.run_until_cancelled(report(&mut reporter, &operator, report_every)).await;
                reporter
            }
        });
        let served = server.serve(stop.clone()).await;
        stop.cancel();
        quiet.cancel();
        following.await.context("the follower panicked")?;
        let mut reporter = reporting.await.context("the reporter panicked")?;
        match timeout(LAST_PUSH, reporter.push(&operator)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last usage was not delivered"),
            Err(_) => tracing::warn!("the last usage was not delivered in time"),
        }
        let _ = timeout(LAST_CALLS, workers.shutdown()).await;
        tracing::info!("ended");
        Ok(served?)
    }
}

async fn report(reporter: &mut Reporter, operator: &Operator, every: Duration) {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    loop {
        ticks.tick().await;
        if let Err(error) = reporter.push(operator).await {
            tracing::debug!(%error, "usage was not delivered; the next report holds it too");
        }
    }
}

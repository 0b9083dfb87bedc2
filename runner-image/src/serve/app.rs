//! What the handlers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, header},
};
use uuid::Uuid;

use super::{
    admission::Admission,
    body,
    catalog::{Catalog, Entry},
    host::{Home, Target},
    problem::Problem,
};
use crate::{
    metrics::{Metrics, SUCCEEDED},
    workers::Workers,
};

/// How much may go on at once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests that are executed at the same time.
    pub running: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// The largest body in bytes.
    pub body_bytes: usize,
    /// How long requests are served after the signal to end, until nobody sends any more.
    pub drain: Duration,
    /// How long after that signal the process may still live.
    pub termination: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            running: 64,
            waiting: 256,
            body_bytes: 10 << 20,
            drain: Duration::from_secs(5),
            termination: Duration::from_secs(30),
        }
    }
}

/// The state of an executor.
#[derive(Debug)]
pub struct App {
    catalog: Arc<Catalog>,
    metrics: Arc<Metrics>,
    workers: Arc<Workers>,
    home: Home,
    admission: Admission,
    body_bytes: usize,
    draining: AtomicBool,
    closed: AtomicBool,
}

impl App {
    /// An executor of what is in `catalog`.
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
        workers: Arc<Workers>,
        home: Home,
        settings: &Settings,
    ) -> Self {
        Self {
            catalog,
            metrics,
            workers,
            home,
            admission: Admission::new(settings.running, settings.waiting),
            body_bytes: settings.body_bytes,
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// What is served.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The namespace that is served.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.home.namespace
    }

    /// The metrics, with the gauges as they are now.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.metrics.set_workers(self.workers.stats().workers);
        &self.metrics
    }

    /// Stops being ready, so that nobody sends any more; what comes is still served.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether connections should not be kept any longer.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Turns away what still comes.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Whether requests should be sent here.
    ///
    /// # Errors
    /// 503 that says why not.
    pub fn readiness(&self) -> Result<(), Problem> {
        if self.draining.load(Relaxed) {
            Err(Problem::unready("the executor is draining"))
        } else if self.catalog.is_ready() {
            Ok(())
        } else {
            Err(Problem::unready(
                "no list of plans has arrived from the operator yet, nor from the disk cache",
            ))
        }
    }

    /// The workflow that a Host header stands for.
    ///
    /// # Errors
    /// 404 that says how to address a workflow.
    pub fn route(&self, host: &str) -> Result<(String, Entry), Problem> {
        let (label, alone) = match self.home.target(host) {
            // Never another workflow instead: the one that is meant may just have been removed.
            Target::Service(label) => (Some(label), None),
            Target::Other(hint) => (hint, self.catalog.only()),
        };
        let found = [&label, &alone].into_iter().flatten().find_map(|name| {
            let entry = self.catalog.get(name)?;
            Some((name.clone(), entry))
        });
        found.ok_or_else(|| {
            let label = label.map_or_else(String::new, |label| format!("`{label}` is not among them. "));
            Problem::unknown_workflow(format!("{} {label}{ADDRESSING}", self.known()))
        })
    }

    /// The workflow of this name.
    ///
    /// # Errors
    /// 404 that says what there is.
    pub fn named(&self, name: &str) -> Result<Entry, Problem> {
        self.catalog
            .get(name)
            .ok_or_else(|| Problem::unknown_workflow(format!("{} `{name}` is not among them.", self.known())))
    }

    fn known(&self) -> String {
        const SHOWN: usize = 10;
        let entries = self.catalog.entries();
        let names: Vec<_> = entries.keys().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = entries.len().saturating_sub(SHOWN);
        match (names.is_empty(), more) {
            (true, _) => "No workflows are served here.".to_owned(),
            (_, 0) => format!("The workflows served here are {}.", names.join(", ")),
            _ => format!("The workflows served here are {} and {more} more.", names.join(", ")),
        }
    }

    /// Executes a workflow for a request: the JSON of its result.
    ///
    /// # Errors
    /// Every problem but 404.
    pub async fn run(&self, name: &str, entry: &Entry, request: Request<Body>) -> Result<Vec<u8>, Problem> {
        self.answer(name, entry, request).await.inspect_err(|problem| {
            // An execution that failed counts as an execution.
            if problem.instance.is_none() {
                entry.count_rejection(problem.reason);
            }
        })
    }

    async fn answer(&self, name: &str, entry: &Entry, request: Request<Body>) -> Result<Vec<u8>, Problem> {
        if self.closed.load(Relaxed) {
            return Err(Problem::draining());
        }
        let Some(program) = entry.program() else {
            return Err(Problem::not_ready(name, entry.fault().map(|fault| fault.message.as_str())));
        };
        let admitted = self.admission.admit(entry.load()).ok_or_else(|| {
            Problem::overloaded("as many requests are being executed and waiting as this executor takes")
        })?;
        let declared = axum::body::HttpBody::size_hint(request.body()).exact();
        let declared = declared.and_then(|length| usize::try_from(length).ok());
        let waits = request.headers().contains_key(header::EXPECT);
        let content = body::read(request.into_body(), declared, waits, self.body_bytes).await?;
        let request = body::parse(&content)?;
        drop(content);
        let deadline = program.deadline(request.deadline_ms.map(|ms| Duration::from_millis(ms.into())));
        program.check_input(&request.input).map_err(|failure| Problem::failure(failure, None))?;
        let _turn = admitted
            .turn(deadline)
            .await
            .ok_or_else(|| Problem::overloaded("the deadline passed before the execution could begin"))?;
        let execution = program.execute(&request.input, deadline).await;
        let run_id = Uuid::now_v7().to_string();
        let outcome = execution.outcome.as_ref().map_or_else(|failure| failure.reason, |_| SUCCEEDED);
        tracing::debug!(workflow = name, run_id, outcome, latency = ?execution.latency, "executed");
        match execution.outcome {
            Err(failure) => Err(Problem::failure(failure, Some(&run_id))),
            Ok(_) => serde_json::to_vec(&execution.into_result(run_id, program.digest()))
                .map_err(|error| Problem::internal(format!("the result cannot be written: {error}"))),
        }
    }
}

const ADDRESSING: &str = "Address a workflow by its Service, so that the Host header starts with its name, or by \
                          POST /v1/workflows/{name}/run.";

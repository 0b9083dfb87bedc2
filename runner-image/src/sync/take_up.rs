//! Taking plans up: from a list of digests to programs that serve.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use dise_core::{digest::Digest, plan::Plan, wire::PlanList};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::OnceCell, task::spawn_blocking};

use super::{blobs::Blobs, client::OperatorError};
use crate::{
    engine::{CompileError, Compiler, Program, compile::Functions},
    lock,
    serve::catalog::{Catalog, Fault, News},
    workers::Callable,
};

/// Plans that are loaded at the same time. Each waits mostly for the operator, which should not be flooded.
const AT_ONCE: usize = 16;

/// The most programs that are put into service in one swap.
const SWAP: usize = 64;

/// Takes plans up into a catalog.
#[derive(Clone, Debug)]
pub struct TakeUp {
    compiler: Arc<Compiler>,
    catalog: Arc<Catalog>,
}

/// Why a plan or its code is not there.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A blob is missing.
    #[error(transparent)]
    Blob(#[from] OperatorError),
    /// The plan cannot be executed.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compilation panicked.
    #[error("the plan could not be compiled: the runner panicked")]
    Panic,
}

impl LoadError {
    fn fault(&self, plan: Digest) -> Fault {
        // A blob that the operator does not have may be on its way from another replica.
        let transient = matches!(self, Self::Blob(_));
        Fault { plan, message: self.to_string(), transient }
    }
}

impl TakeUp {
    /// Compiles with `compiler` and serves from `catalog`.
    #[must_use]
    pub fn new(compiler: Arc<Compiler>, catalog: Arc<Catalog>) -> Self {
        Self { compiler, catalog }
    }

    /// Makes the catalog serve what is listed. Whether that is done: `false` when it is worth another try.
    pub async fn take_up(&self, list: &PlanList, blobs: &Blobs) -> bool {
        let wanted = self.catalog.expect(&list.plans);
        let loader = Loader::new(&self.compiler, blobs);
        let mut loads = stream::iter(wanted)
            .map(|(workflow, digest)| {
                let loader = &loader;
                async move {
                    let news = match loader.load(&workflow, digest).await {
                        Ok(program) => News::Program(program),
                        Err(error) => News::Fault(error.fault(digest)),
                    };
                    (workflow, news)
                }
            })
            .buffer_unordered(AT_ONCE)
            .ready_chunks(SWAP);
        let mut done = true;
        while let Some(news) = loads.next().await {
            for (workflow, item) in &news {
                match item {
                    News::Program(program) => {
                        tracing::info!(workflow, plan = %program.digest(), "took up a plan");
                    }
                    News::Fault(fault) => {
                        tracing::warn!(workflow, plan = %fault.plan, fault = fault.message, "cannot take up a plan");
                        done &= !fault.transient;
                    }
                }
            }
            self.catalog.publish(news);
        }
        done
    }

    /// The blobs behind everything that is served.
    #[must_use]
    pub fn blobs_in_use(&self) -> HashSet<Digest> {
        let entries = self.catalog.entries();
        entries.values().filter_map(|entry| entry.program()).flat_map(|program| program.blobs()).collect()
    }
}

/// Loads plans whose functions may be the same, each function once.
#[derive(Debug)]
pub struct Loader<'a> {
    compiler: &'a Arc<Compiler>,
    blobs: &'a Blobs,
    functions: Mutex<HashMap<Digest, Arc<OnceCell<Arc<Callable>>>>>,
    /// One compilation at a time: the other cores are for those that are served meanwhile.
    compiling: tokio::sync::Mutex<()>,
}

impl<'a> Loader<'a> {
    /// Takes blobs from `blobs`.
    #[must_use]
    pub fn new(compiler: &'a Arc<Compiler>, blobs: &'a Blobs) -> Self {
        Self { compiler, blobs, functions: Mutex::default(), compiling: tokio::sync::Mutex::default() }
    }

    /// Fetches and compiles a workflow's plan.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(&self, workflow: &str, digest: Digest) -> Result<Arc<Program>, LoadError> {
        let document = self.blobs.get(&digest).await?;
        let plan = Compiler::parse(workflow, &document)?;
        let functions: Functions = stream::iter(Compiler::wanted(&plan))
            .map(|digest| async move { Ok::<_, LoadError>((digest, self.function(digest).await?)) })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        self.compile(plan, digest, document, functions).await
    }

    async fn function(&self, digest: Digest) -> Result<Arc<Callable>, LoadError> {
        if let Some(known) = self.compiler.known(&digest) {
            return Ok(known);
        }
        let cell = Arc::clone(lock(&self.functions).entry(digest).or_default());
        let fetch = async {
            let blob = self.blobs.get(&digest).await?;
            Ok::<_, LoadError>(self.compiler.function(digest, &blob)?)
        };
        cell.get_or_try_init(|| fetch).await.cloned()
    }

    /// Compiles beside the threads that serve: a large plan takes milliseconds.
    async fn compile(
        &self,
        plan: Plan,
        digest: Digest,
        document: Bytes,
        functions: Functions,
    ) -> Result<Arc<Program>, LoadError> {
        let compiler = Arc::clone(self.compiler);
        let _turn = self.compiling.lock().await;
        spawn_blocking(move || compiler.compile(&plan, digest, document, &functions))
            .await
            .map_err(|_| LoadError::Panic)?
            .map(Arc::new)
            .map_err(LoadError::from)
    }
}

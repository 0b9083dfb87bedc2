//! The commands of the binary, and the settings that they share.

pub mod model;
pub mod probe;
pub mod run;
pub mod serve;
pub mod synth;
pub mod verify;

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    sync::client::{Access, Operator, OperatorError},
    workers::{Settings, Workers},
};

/// Runs the code of DiSE workflows in a jail.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the workflows of the namespace over HTTP.
    Serve(serve::Serve),
    /// Execute one run and deliver its result.
    Run(run::Run),
    /// Prove functions and deliver the reports.
    Verify(verify::Verify),
    /// Have a model write the code of a step, prove it and deliver what was found.
    Synth(synth::Synth),
    /// Ask a model whether it answers and deliver what it said.
    Probe(probe::Probe),
}

/// Where the operator is.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// Base URL of the operator's API.
    #[arg(long, env = "DISE_OPERATOR_URL")]
    pub operator_url: String,
    /// PEM certificates that the operator's must be signed by; nothing else is trusted.
    #[arg(long, env = "DISE_OPERATOR_CA", default_value = "", hide_env_values = true)]
    pub operator_ca: String,
    /// File with the service-account token for the operator.
    #[arg(long, env = "DISE_TOKEN_FILE", default_value = "/var/run/dise/token")]
    pub token_file: PathBuf,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "")]
    pub pod_name: String,
    /// Namespace of this pod.
    #[arg(long, env = "POD_NAMESPACE", default_value = "")]
    pub pod_namespace: String,
}

impl OperatorArgs {
    /// The client of that operator.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub fn operator(&self) -> Result<Arc<Operator>, OperatorError> {
        let access = Access {
            url: self.operator_url.clone(),
            ca: self.operator_ca.clone(),
            token_file: self.token_file.clone(),
        };
        Operator::new(&access).map(Arc::new)
    }
}

/// How functions are run.
#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    /// Worker processes altogether [default: 16 for each core].
    #[arg(long, env = "DISE_MAX_WORKERS")]
    pub max_workers: Option<usize>,
    /// Worker processes of one function of one workflow [default: one for each core].
    #[arg(long, env = "DISE_MAX_WORKERS_PER_FUNCTION")]
    pub max_workers_per_function: Option<usize>,
    /// Seconds without a call after which a worker process is ended.
    #[arg(long, env = "DISE_WORKER_IDLE_SECONDS", default_value_t = 60)]
    pub worker_idle_seconds: u64,
    /// Run functions although the kernel has no Landlock.
    #[arg(long, env = "DISE_ALLOW_MISSING_LANDLOCK")]
    pub allow_missing_landlock: bool,
    /// Writable folder for the scratch folders of scripts.
    #[arg(long, env = "DISE_SCRATCH_DIR")]
    pub scratch_dir: Option<PathBuf>,
}

impl WorkerArgs {
    /// Builds the jail and proves it.
    ///
    /// # Errors
    /// The jail cannot be built, so that nothing may be run.
    pub fn workers(&self) -> Result<Arc<Workers>, crate::jail::JailError> {
        let defaults = Settings::default();
        Workers::new(Settings {
            max_workers: self.max_workers.unwrap_or(defaults.max_workers),
            max_workers_per_function: self
                .max_workers_per_function
                .unwrap_or(defaults.max_workers_per_function),
            idle_after: Duration::from_secs(self.worker_idle_seconds),
            allow_missing_landlock: self.allow_missing_landlock,
            scratch: self.scratch_dir.clone().unwrap_or(defaults.scratch),
            ..defaults
        })
    }
}

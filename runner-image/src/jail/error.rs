//! Why a jail cannot be built.

/// Why no process could be put in a jail. Nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JailError {
    /// The processor's system calls are not known to the filter.
    #[error("the jail knows x86_64 and aarch64 and this machine is {0}: run executors on a 64-bit node")]
    Architecture(String),
    /// There is no usable interpreter.
    #[error("no usable interpreter at {path}: {message}; install python3 or set DISE_PYTHON to its path")]
    Interpreter {
        /// Where it was looked for.
        path: String,
        /// What was wrong.
        message: String,
    },
    /// The kernel has no Landlock.
    #[error(
        "the kernel offers no Landlock, so functions could read files: boot a kernel 5.13 or later with \
         `lsm=landlock,…`, or accept the other layers alone with allowMissingLandlock"
    )]
    MissingLandlock,
    /// A layer that the kernel offers could not be set.
    #[error("the jail's layer `{layer}` cannot be set: {message}; {advice}")]
    Layer {
        /// Which layer.
        layer: &'static str,
        /// What the kernel answered.
        message: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// A process could not be started at all.
    #[error(
        "no process could be started for a function: {0}; check the pod's limits on processes and memory"
    )]
    Spawn(String),
    /// The workers were shut down.
    #[error("the workers have been shut down")]
    ShutDown,
}

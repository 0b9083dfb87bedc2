//! The jail: the only place where generated code runs.
//!
//! Every layer works without privileges, in a pod without capabilities as on a developer's machine, and what the
//! kernel offers must hold or nothing is run: resource limits, `no_new_privs`, Landlock (files), seccomp (system
//! calls), an empty environment, no file descriptors but the ones that are handed over, and death with the thread
//! that started the process. Everything is prepared before the fork.
//!
//! | profile | may | may not |
//! |---|---|---|
//! | Python | read the standard library, compute, answer on one descriptor | files, network, processes, threads, signals, exec |
//! | shell | start the image's tools, use a private scratch folder | other files, network, signals, namespaces |

#![allow(
    unsafe_code,
    reason = "fork, exec and wait have no safe interface that lets a filter be set in between"
)]

mod child;
mod elf;
mod error;
mod files;
mod forks;
mod interpreter;
mod launch;
mod process;
mod shell;
mod spawner;
mod syscalls;

use std::{io::Read, os::fd::OwnedFd, sync::Arc};

use dise_core::function::Limits;

pub use error::JailError;

pub(crate) use child::{Child, Exit, peak_memory_kib};
pub(crate) use forks::{Forks, MOST_TASKS};
pub(crate) use launch::{Harness, PythonProcess, ShellProcess};
pub(crate) use spawner::Spawner;

use files::{Files, Right};
use interpreter::Interpreter;
use process::Program;
use seccompiler::BpfProgram;
use shell::Shell;

/// What is the same for every process, made once.
#[derive(Debug)]
pub(crate) struct Jail {
    interpreter: Interpreter,
    python: Program,
    python_files: Option<Files>,
    /// As `python_files`, and the folder of coverage.py.
    coverage_files: Option<Files>,
    python_calls: Vec<BpfProgram>,
    shell: Option<Shell>,
    shell_calls: Vec<BpfProgram>,
    shell_gate: BpfProgram,
    allow_missing_landlock: bool,
}

impl Jail {
    /// Finds the interpreter and the shell and builds filters and rules.
    pub(crate) fn new(allow_missing_landlock: bool) -> Result<Arc<Self>, JailError> {
        let interpreter = Interpreter::get()?;
        let python = Program::open(&interpreter.executable)?;
        let python_files = Files::new(&interpreter.rules(), allow_missing_landlock)?;
        let coverage_files = match &interpreter.coverage {
            Some(folder) => {
                let mut rules = interpreter.rules();
                rules.extend([(folder.clone(), Right::List), (folder.join("coverage"), Right::Read)]);
                Files::new(&rules, allow_missing_landlock)?
            }
            None => None,
        };
        Ok(Arc::new(Self {
            interpreter,
            python,
            python_files,
            coverage_files,
            python_calls: syscalls::python()?,
            shell: Shell::discover()?,
            shell_calls: syscalls::shell()?,
            shell_gate: forks::filter()?,
            allow_missing_landlock,
        }))
    }

    /// Starts an interpreter, so that a layer that cannot be set shows now and not at the first call.
    pub(crate) fn prove(&self) -> Result<(), JailError> {
        let process = self.start_python(Harness::Worker, &Limits::default())?;
        drop(process.socket);
        let exit = process.child.wait();
        if exit.code == Some(0) {
            return Ok(());
        }
        let mut said = String::new();
        let _ = std::fs::File::from(process.printed).take(4096).read_to_string(&mut said);
        let path = self.python.path.display().to_string();
        Err(JailError::Interpreter {
            path,
            message: format!("it does not run in the jail ({exit:?}): {}", said.trim()),
        })
    }

    /// Where coverage.py can be imported from, if it is installed beside the interpreter.
    pub(crate) fn coverage_folder(&self) -> Option<&std::path::Path> {
        self.interpreter.coverage.as_deref()
    }

    fn open_null() -> Result<OwnedFd, JailError> {
        std::fs::File::open("/dev/null")
            .map(OwnedFd::from)
            .map_err(|error| JailError::Spawn(format!("/dev/null cannot be opened: {error}")))
    }

    fn memory_bytes(limits: &Limits) -> u64 {
        u64::from(limits.memory_mib) << 20
    }
}

//! The two kinds of process: a Python interpreter with a harness, and a shell with a script.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::Path,
};

use dise_core::function::Limits;
use libc::{RLIMIT_AS, RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC, c_uint, rlim_t};
use tempfile::TempDir;

use super::{
    Child, Forks, Jail, JailError,
    files::{Files, Right},
    process::{self, Order, c_string, spawn_error},
    shell::TOOLS,
};

const DESCRIPTORS: rlim_t = 32;
/// Seen from the folder that it runs in.
const SCRIPT: &str = "../step.sh";
/// Runs the harness, the last argument, with builtins of its own that no function can replace.
const START: &str = "import builtins, sys; sys.path[:] = filter(None, sys.path); \
    exec(compile(sys.argv.pop(), '<harness>', 'exec'), {'__name__': 'harness', '__builtins__': dict(vars(builtins))})";

/// The Python code that runs in a process before the function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harness {
    /// Answers calls until its connection is closed.
    Worker,
    /// Measures which statements a function executes; may import coverage.py.
    Coverage,
}

impl Harness {
    fn source(self) -> &'static str {
        match self {
            Self::Worker => include_str!("../../python/worker.py"),
            Self::Coverage => include_str!("../../python/coverage_run.py"),
        }
    }
}

/// A jailed Python interpreter.
#[derive(Debug)]
pub(crate) struct PythonProcess {
    pub(crate) child: Child,
    /// The connection with the harness, not blocking.
    pub(crate) socket: UnixStream,
    /// Where what is written to descriptors 1 and 2 arrives.
    pub(crate) printed: OwnedFd,
}

/// A jailed shell with a script.
#[derive(Debug)]
pub(crate) struct ShellProcess {
    pub(crate) child: Child,
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
    /// The limit on its processes.
    pub(crate) forks: Forks,
    pub(crate) scratch: Scratch,
}

/// A script's private folder, removed with everything in it when dropped. Drop it when no process is left.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is beneath a folder that the script closed could not be removed without privileges.
        open_folders(self.0.path());
    }
}

fn open_folders(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Not through links: these may lead anywhere.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}

impl Jail {
    /// Starts a Python interpreter. Blocks for some milliseconds.
    pub(crate) fn start_python(&self, harness: Harness, limits: &Limits) -> Result<PythonProcess, JailError> {
        let null = Self::open_null()?;
        let (printed, print) = pipe()?;
        let (socket, far) = UnixStream::pair().map_err(spawn_error)?;
        socket.set_nonblocking(true).map_err(spawn_error)?;
        let far = OwnedFd::from(far);
        let mut arguments = Vec::new();
        for argument in ["-s", "-S", "-B", "-X", "utf8", "-c", START, harness.source()] {
            arguments.push(c_string(argument.as_bytes())?);
        }
        let files = match harness {
            Harness::Worker => &self.python_files,
            Harness::Coverage => &self.coverage_files,
        };
        let child = process::start(&Order {
            program: &self.python,
            arguments,
            // One order of sets everywhere: a verdict must not depend on the process that it was reached in.
            environment: vec![c_string(b"PYTHONHASHSEED=0")?],
            folder: Path::new("/"),
            descriptors: &[&null, &print, &print, &far],
            limits: limits_of(limits, &[(RLIMIT_NOFILE, DESCRIPTORS), (RLIMIT_FSIZE, 0), (RLIMIT_NPROC, 0)]),
            files: files.as_ref(),
            calls: &self.python_calls,
            gate: None,
        })?;
        Ok(PythonProcess { child, socket, printed })
    }

    /// Starts a shell that runs `script` in a new folder beneath `scratch`. Blocks for some milliseconds.
    pub(crate) fn start_shell(
        &self,
        script: &str,
        only_parse: bool,
        limits: &Limits,
        scratch: &Path,
    ) -> Result<ShellProcess, JailError> {
        let shell = self.shell.as_ref().ok_or_else(|| JailError::Interpreter {
            path: format!("{}/bash", TOOLS[0]),
            message: "the image has no bash, which a Bash function needs".to_owned(),
        })?;
        let scratch = tempfile::Builder::new()
            .prefix("dise-")
            .tempdir_in(scratch)
            .map_err(|error| no_scratch(scratch, &error))?;
        let folder = scratch.path().join("work");
        fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join(SCRIPT), script))
            .map_err(|error| no_scratch(scratch.path(), &error))?;
        let mut rules = shell.rules();
        rules.extend([(scratch.path().to_owned(), Right::Read), (folder.clone(), Right::Scratch)]);
        let files = Files::new(&rules, self.allow_missing_landlock)?;
        let (stdin, input) = pipe()?;
        let (output, stdout) = pipe()?;
        let (errors, stderr) = pipe()?;
        let folder_text = folder.display();
        let path = format!("PATH={}", TOOLS.join(":"));
        let variables = [
            path,
            format!("HOME={folder_text}"),
            format!("TMPDIR={folder_text}"),
            "LC_ALL=C.UTF-8".to_owned(),
        ];
        let mut arguments = Vec::new();
        for argument in ["--noprofile", "--norc", if only_parse { "-n" } else { "+n" }, SCRIPT] {
            arguments.push(c_string(argument.as_bytes())?);
        }
        let (gate, far) = UnixStream::pair().map_err(spawn_error)?;
        let far = OwnedFd::from(far);
        let child = process::start(&Order {
            program: &shell.program,
            arguments,
            environment: variables
                .iter()
                .map(|variable| c_string(variable.as_bytes()))
                .collect::<Result<_, _>>()?,
            folder: &folder,
            descriptors: &[&stdin, &stdout, &stderr],
            limits: limits_of(
                limits,
                &[(RLIMIT_NOFILE, 2 * DESCRIPTORS), (RLIMIT_FSIZE, Self::memory_bytes(limits))],
            ),
            files: files.as_ref(),
            calls: &self.shell_calls,
            gate: Some((&far, &self.shell_gate)),
        })?;
        let forks = Forks::attend(&gate, child.pid())?;
        Ok(ShellProcess { child, input, output, errors, forks, scratch: Scratch(scratch) })
    }
}

fn limits_of(limits: &Limits, others: &[(c_uint, rlim_t)]) -> Vec<(c_uint, rlim_t)> {
    [(RLIMIT_AS, Jail::memory_bytes(limits)), (RLIMIT_CORE, 0)].iter().chain(others).copied().collect()
}

/// A pipe: where to read and where to write. Neither end is inherited.
fn pipe() -> Result<(OwnedFd, OwnedFd), JailError> {
    let (reader, writer) = io::pipe().map_err(spawn_error)?;
    Ok((reader.into(), writer.into()))
}

fn no_scratch(folder: &Path, error: &io::Error) -> JailError {
    JailError::Layer {
        layer: "scratch folder",
        message: format!("{}: {error}", folder.display()),
        advice: "mount a writable volume there, such as an emptyDir with a sizeLimit",
    }
}

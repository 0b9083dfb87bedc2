//! Finds the Python interpreter and asks it what it needs to read.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::Deserialize;

use super::{JailError, elf, files::Right};

/// The variable that names the interpreter.
const VARIABLE: &str = "DISE_PYTHON";
const PROBE: &str = include_str!("../../python/probe.py");
/// What a harness may rely on.
const OLDEST: (u32, u32) = (3, 9);

/// An interpreter and the files that it needs.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    /// The executable, with all links resolved.
    pub(super) executable: PathBuf,
    loader: Option<PathBuf>,
    library: Vec<PathBuf>,
    shared_objects: Vec<PathBuf>,
    /// The folder that holds coverage.py.
    pub(super) coverage: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    version: (u32, u32),
    executable: PathBuf,
    library: Vec<PathBuf>,
    shared_objects: Vec<PathBuf>,
    coverage: Option<PathBuf>,
}

impl Interpreter {
    /// The interpreter of this process, asked once.
    pub(super) fn get() -> Result<Self, JailError> {
        static KNOWN: OnceLock<Interpreter> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return Ok(known.clone());
        }
        let found = Self::discover()?;
        Ok(KNOWN.get_or_init(|| found).clone())
    }

    /// Asks the interpreter at `$DISE_PYTHON`, or else the system's, or else the first on the path.
    fn discover() -> Result<Self, JailError> {
        let system = Path::new("/usr/bin/python3");
        let path = match std::env::var_os(VARIABLE) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ if system.exists() => system.to_owned(),
            _ => PathBuf::from("python3"),
        };
        Self::ask(&path)
            .map_err(|message| JailError::Interpreter { path: path.display().to_string(), message })
    }

    fn ask(path: &Path) -> Result<Self, String> {
        let output = Command::new(path)
            .args(["-I", "-S", "-B", "-c", PROBE])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
        }
        // Importing a module for the terminal may print; the answer is the last line.
        let line = output.stdout.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let answer: Answer = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if answer.version < OLDEST {
            let (major, minor) = answer.version;
            return Err(format!("it is Python {major}.{minor} and {}.{} is the oldest", OLDEST.0, OLDEST.1));
        }
        Ok(Self {
            loader: elf::loader(&answer.executable).map_err(|error| error.to_string())?,
            executable: answer.executable,
            library: answer.library,
            shared_objects: answer.shared_objects,
            coverage: answer.coverage,
        })
    }

    /// What a process of this interpreter may do with files.
    pub(super) fn rules(&self) -> Vec<(PathBuf, Right)> {
        let mut rules = vec![
            (self.executable.clone(), Right::Run),
            (PathBuf::from("/etc/ld.so.cache"), Right::Read),
            (PathBuf::from("/usr/share/zoneinfo"), Right::Read),
        ];
        rules.extend(self.loader.iter().map(|path| (path.clone(), Right::Run)));
        rules.extend(self.library.iter().chain(&self.shared_objects).map(|path| (path.clone(), Right::Read)));
        rules
    }
}

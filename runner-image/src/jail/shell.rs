//! Finds the shell and the tools that scripts may start.

use std::path::PathBuf;

use super::{JailError, elf, files::Right, process::Program};

/// The folders of tools, in the order in which a script looks into them.
pub(super) const TOOLS: [&str; 2] = ["/usr/bin", "/bin"];

/// The shell of scripts.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) program: Program,
    loader: Option<PathBuf>,
}

impl Shell {
    /// Takes bash up, if the image has one.
    pub(super) fn discover() -> Result<Option<Self>, JailError> {
        let Some(path) = TOOLS.iter().find_map(|folder| std::fs::canonicalize(format!("{folder}/bash")).ok())
        else {
            return Ok(None);
        };
        let loader = elf::loader(&path).map_err(|error| JailError::Interpreter {
            path: path.display().to_string(),
            message: error.to_string(),
        })?;
        Ok(Some(Self { program: Program::open(&path)?, loader }))
    }

    /// What a script may do with files, besides its own scratch folder.
    pub(super) fn rules(&self) -> Vec<(PathBuf, Right)> {
        let run = TOOLS.iter().map(PathBuf::from).chain(self.loader.clone()).map(|path| (path, Right::Run));
        let read =
            ["/lib", "/usr/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/alternatives"];
        let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random"];
        run.chain(read.into_iter().map(|path| (path.into(), Right::Read)))
            .chain(devices.into_iter().map(|path| (path.into(), Right::Device)))
            .collect()
    }
}

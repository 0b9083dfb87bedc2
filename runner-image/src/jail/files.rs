//! The layer of files: a Landlock ruleset.

use std::{
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

use super::JailError;

/// The newest Landlock that this was written for; an older kernel enforces what it knows.
const NEWEST: ABI = ABI::V7;

/// What may be done with a file, or with everything beneath a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Start and read it; the kernel starts nothing that may not be read.
    Run,
    /// Read files and list folders.
    Read,
    /// List folders, to find what is there.
    List,
    /// Read and write a device that keeps nothing, such as /dev/null.
    Device,
    /// Everything but starting programs and making devices and sockets.
    Scratch,
}

impl Right {
    fn accesses(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::Run => read | AccessFs::Execute,
            Self::Read => read,
            Self::List => AccessFs::ReadDir.into(),
            Self::Device => AccessFs::ReadFile | AccessFs::WriteFile,
            Self::Scratch => {
                AccessFs::from_all(ABI::V3)
                    & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock)
            }
        }
    }
}

/// A ruleset that processes can be confined to, any number of them.
#[derive(Debug)]
pub(super) struct Files {
    ruleset: OwnedFd,
}

impl Files {
    /// A ruleset that allows `rules` and nothing else. A path that does not exist needs no rule.
    ///
    /// `None` on a kernel without Landlock, when that is allowed.
    pub(super) fn new(rules: &[(PathBuf, Right)], allow_missing: bool) -> Result<Option<Self>, JailError> {
        match Self::build(rules) {
            Ok(Some(ruleset)) => Ok(Some(Self { ruleset })),
            Ok(None) if allow_missing => Ok(None),
            Ok(None) => Err(JailError::MissingLandlock),
            Err(error) => Err(JailError::Layer {
                layer: "Landlock",
                message: error.to_string(),
                advice: "check that the container's seccomp profile allows the landlock system calls",
            }),
        }
    }

    fn build(rules: &[(PathBuf, Right)]) -> Result<Option<OwnedFd>, RulesetError> {
        let mut created = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (path, right) in rules {
            if let Some(path) = open(path) {
                created = created.add_rule(PathBeneath::new(path, right.accesses()))?;
            }
        }
        Ok(created.into())
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.ruleset.as_raw_fd()
    }
}

fn open(path: &Path) -> Option<PathFd> {
    PathFd::new(path).ok()
}

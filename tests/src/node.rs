//! What can be done to the project's own cluster, whose node is this machine.

use std::{path::PathBuf, process::Command};

/// Whether the cluster is the project's own. Tests that kill parts of it run nowhere else.
#[must_use]
pub fn is_own() -> bool {
    let own = std::env::var("DISE_OWN_CLUSTER").is_ok_and(|value| value == "1");
    if !own {
        eprintln!("not run: DISE_OWN_CLUSTER=1 is not set, and this test kills parts of the cluster");
    }
    own
}

/// Kills every process of this program with SIGKILL; returns how many there were.
///
/// # Panics
/// `/proc` cannot be read.
#[must_use]
pub fn kill(program: &str, argument: &str) -> usize {
    let found = processes(program, argument);
    for pid in &found {
        // A process that ended by itself meanwhile is as dead as it should be.
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    found.len()
}

/// Runs a command of `tests/cluster/cluster`.
///
/// # Panics
/// It fails.
pub fn cluster(arguments: &[&str]) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cluster/cluster");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn processes(program: &str, argument: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let mut words = command.split(|byte| *byte == 0);
        if words.next() == Some(program.as_bytes())
            && (argument.is_empty() || words.next() == Some(argument.as_bytes()))
        {
            found.push(pid);
        }
    }
    found
}

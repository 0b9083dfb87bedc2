//! The program as scripts see it: output, errors and exit codes, as far as no cluster is needed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

fn dise(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-dise"))
        .args(arguments)
        .current_dir(folder)
        .env("KUBECONFIG", folder.join("no-such-file"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs the program: its exit code, and what it wrote to standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = dise(folder, arguments, "");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_init_writes_is_clean_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    for template in ["function", "generated"] {
        let arguments = ["init", "triage", "--template", template, "--dir", template];
        assert_eq!(run(folder.path(), &arguments).0, 0);
        let (code, findings, sum) = run(folder.path(), &["lint", template]);
        assert_eq!((code, findings.as_str()), (0, ""), "{template}");
        assert_eq!(sum, "2 objects in 2 files: 0 errors, 0 warnings\n");
        let path = folder.path().join(template).join("workflow.yaml");
        fs::write(&path, "mine").unwrap();
        let (code, _, fault) = run(folder.path(), &arguments);
        assert_eq!(code, 3);
        assert!(fault.contains("workflow.yaml") && fault.contains("not overwritten"), "{fault}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}

#[test]
fn lint_fails_on_errors_and_not_on_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = |fields: &str| {
        format!(
            "apiVersion: dise.dev/v1alpha1\nkind: Workflow\nmetadata: {{name: a}}\nspec:\n  steps: [{{name: s}}]\n{fields}"
        )
    };
    fs::write(folder.path().join("warns.yaml"), workflow("")).unwrap();
    fs::write(folder.path().join("fails.yaml"), workflow("  serving: {replicas: 1}\n")).unwrap();
    fs::write(folder.path().join("other.yaml"), "kind: ConfigMap\napiVersion: v1\n").unwrap();

    let (code, findings, _) = run(folder.path(), &["lint", "warns.yaml"]);
    assert_eq!(code, 0);
    assert!(
        findings.starts_with("warns.yaml:5:11: warning: Workflow/a: step s: it has no examples"),
        "{findings}"
    );
    let (code, findings, _) = run(folder.path(), &["lint", "fails.yaml"]);
    assert_eq!(code, 1);
    assert!(
        findings
            .starts_with("fails.yaml:6:13: error: Workflow/a: spec.serving.replicas: only mode Dedicated"),
        "{findings}"
    );
    assert_eq!(run(folder.path(), &["lint", "other.yaml"]).0, 2);
    assert_eq!(run(folder.path(), &["lint", "missing.yaml"]).0, 3);

    let output = dise(folder.path(), &["lint", "-", "-o", "json"], &workflow("  oops: 1\n"));
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(findings[0]["reason"], "UnknownField");
    assert_eq!(findings[0]["line"], 6);
}

#[test]
fn folders_are_read_as_kubectl_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("deep");
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("broken.yml"), "kind: [").unwrap();
    let clean =
        "apiVersion: dise.dev/v1alpha1\nkind: WorkflowRun\nmetadata: {name: a}\nspec: {workflow: w}\n";
    fs::write(folder.path().join("run.yaml"), clean).unwrap();
    fs::write(folder.path().join("notes.txt"), "kind: [").unwrap();
    assert_eq!(run(folder.path(), &["lint", "."]).0, 0);
    assert_eq!(run(folder.path(), &["lint", "-R", "."]).0, 1);
}

#[test]
fn wrong_use_and_missing_clusters_have_codes_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["nonsense"][..], &["status", "pod/x"], &["run", "w", "--input", "{"], &["init", "No_Name"]]
    {
        assert_eq!(run(folder.path(), arguments).0, 2, "{arguments:?}");
    }
    for arguments in [&["status"][..], &["lineage", "w"], &["retry", "w"], &["search", "x"], &["run", "w"]] {
        let (code, _, fault) = run(folder.path(), arguments);
        assert_eq!(code, 3, "{arguments:?}");
        assert!(
            fault.starts_with("error: no cluster is configured: ") && fault.contains("no-such-file"),
            "{fault}"
        );
    }
}

#[test]
fn completes_for_kubectl_and_for_shells() {
    let folder = tempfile::tempdir().unwrap();
    let (code, words, _) = run(folder.path(), &["__complete", "status", "-o", "y"]);
    assert_eq!((code, words.as_str()), (0, "yaml\n:4\n"));
    let (code, words, _) = run(folder.path(), &["__complete", "status", ""]);
    assert_eq!((code, words.as_str()), (0, ":4\n"), "no cluster, no names, no fault");
    let (code, script, _) = run(folder.path(), &["completion", "bash"]);
    assert_eq!(code, 0);
    assert!(script.contains("kubectl-dise"));
}

#[test]
fn colours_nothing_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "kind: [").unwrap();
    assert!(!run(folder.path(), &["lint", "a.yaml"]).1.contains('\u{1b}'));
}

//! The manifests of deploy/kubernetes without a cluster: what Kustomize makes of them is what lies in tests/golden/kubernetes, and that is valid and says what it should.
//!
//! `HEARTH_BLESS=1` writes the golden files anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use hearth_tests::{python, root};

const OVERLAYS: [&str; 4] = ["native", "wasm", "gpu", "full"];
/// Without templating.
const PLAIN: [&str; 2] = ["deploy/kubernetes/knative/service.yaml", "deploy/kubernetes/spinkube/spinapp.yaml"];

#[test]
fn overlays_render_to_the_golden_files() {
    let Some(kustomize) = kustomize() else {
        // No registry package has either program: the golden files are checked all the same, below.
        return eprintln!("NOT RENDERED: neither kubectl nor kustomize is here; tests/golden/kubernetes is taken as it is");
    };
    for overlay in OVERLAYS {
        let output = Command::new(kustomize[0]).args(&kustomize[1..]).arg(root().join("deploy/kubernetes/overlays").join(overlay)).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
        let rendered = String::from_utf8(output.stdout).expect("text");
        if std::env::var_os("HEARTH_BLESS").is_some() {
            fs::write(golden(overlay), &rendered).expect("the golden file");
        }
        let wanted = fs::read_to_string(golden(overlay)).expect("the golden file");
        assert!(
            rendered == wanted,
            "{overlay} renders otherwise than tests/golden/kubernetes/{overlay}.yaml says; HEARTH_BLESS=1 takes it"
        );
    }
}

#[test]
fn all_manifests_are_valid() {
    let Some(python) = python() else { return };
    let files: Vec<_> = OVERLAYS.map(golden).into_iter().chain(PLAIN.map(|file| root().join(file))).collect();
    let checked = check(&python, &files);
    assert!(checked.status.success(), "{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    eprint!("{}", String::from_utf8_lossy(&checked.stdout));
}

/// The check itself can fail: each change is found, and named.
#[test]
fn what_is_wrong_with_a_manifest_is_found() {
    let Some(python) = python() else { return };
    let folder = std::env::temp_dir().join(format!("hearth-manifests-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let wrong = [
        ("native", "minReplicas: 2", "minReplica: 2", "minReplica"),
        ("native", "averageUtilization: 80", "averageUtilization: 50", "up at ['0.5']"),
        ("native", "tolerance: \"0.625\"", "tolerance: \"0.1\"", "30 %"),
        ("native", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem is False"),
        ("native", "periodSeconds: 5", "periodSeconds: often", "often"),
        ("native", "terminationGracePeriodSeconds: 150", "terminationGracePeriodSeconds: 30", "the grace is over"),
        ("gpu", "pollingInterval: 15", "pollingIntervall: 15", "pollingIntervall"),
        ("gpu", "threshold: \"0.8\"", "threshold: \"0.9\"", "up at"),
        ("gpu", "type: ConsistentHash", "type: RoundRobin", "'ConsistentHash' was expected"),
        ("full", "name: hearth_places_ratio", "name: hearth_something", "the adapter does not tell hearth_something"),
        ("full", "for: 1m", "for: 2m", "its groups are not those"),
        ("full", "key: redis-password", "key: password", "has no password"),
    ];
    let mut files = Vec::new();
    for (index, (overlay, before, after, _)) in wrong.iter().enumerate() {
        let text = fs::read_to_string(golden(overlay)).expect("the golden file");
        assert!(text.contains(before), "{overlay} has no {before:?} any more");
        files.push(folder.join(format!("{index}-{overlay}.yaml")));
        fs::write(&files[index], text.replace(before, after)).expect("a file");
    }
    let checked = check(&python, &files);
    let found = String::from_utf8_lossy(&checked.stdout);
    assert!(!checked.status.success(), "{found}");
    for (index, (overlay, before, after, said)) in wrong.iter().enumerate() {
        let mut of_this = found.lines().filter(|line| line.starts_with(&format!("{index}-{overlay}.yaml")));
        assert!(of_this.any(|line| line.contains(said)), "{before:?} as {after:?} is not found in {overlay}:\n{found}");
    }
    fs::remove_dir_all(&folder).expect("it was made");
}

/// docs/scaling is what the policy of the manifests comes to; `cargo xtask scaling` writes it.
#[test]
fn the_policy_does_what_the_docs_show() {
    let Some(python) = python() else { return };
    let folder = std::env::temp_dir().join(format!("hearth-scaling-{}", std::process::id()));
    let replayed =
        Command::new(python).arg(root().join("tests/python/scaling.py")).arg(root()).arg(&folder).output().expect("Python starts");
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let table = fs::read_to_string(folder.join("table.md")).expect("a table");
    let shown = fs::read_to_string(root().join("docs/scaling/table.md")).expect("the docs' table");
    assert_eq!(table, shown, "docs/scaling is of another policy: `cargo xtask scaling` writes it anew");
    assert_eq!(table.lines().filter(|row| row.contains("as the manifests have it")).count(), 3);
    fs::remove_dir_all(&folder).expect("it was made");
}

fn check(python: &Path, files: &[PathBuf]) -> Output {
    let mut command = Command::new(python);
    // The models of others warn of their own fields' names.
    command.args(["-W", "ignore"]).arg(root().join("tests/python/manifests.py")).arg(root()).args(files);
    command.output().expect("Python starts")
}

fn golden(overlay: &str) -> PathBuf {
    root().join("tests/golden/kubernetes").join(format!("{overlay}.yaml"))
}

/// What renders an overlay, where something does.
fn kustomize() -> Option<&'static [&'static str]> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if works("kubectl", &["kustomize", "--help"]) {
        return Some(&["kubectl", "kustomize"]);
    }
    works("kustomize", &["version"]).then_some(&["kustomize", "build"])
}

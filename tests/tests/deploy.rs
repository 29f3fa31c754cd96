//! What deploy/ has for a server of its own: the unit's hardening as systemd counts it, the configuration that it reads, and the firewall between two network namespaces.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use hearth_tests::{binary, python, root, skip};
use serde_json::{Value, json};

/// The exposures that docs/server.md promises, on systemd's scale from 0 to 10: of the unit, and of the unit with the drop-in for machines without a GPU.
const GPU: f64 = 1.4;
const CPU: f64 = 1.0;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-deploy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// systemd's own count of what a service could do to the machine, with and without the drop-in for machines that have no GPU.
#[test]
fn the_unit_is_as_hardened_as_the_documentation_says() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip("systemd-analyze is missing");
    }
    let systemd = root().join("deploy/systemd");
    let unit = fs::read_to_string(systemd.join("hearth.service")).expect("the unit");
    let drop_in = fs::read_to_string(systemd.join("hearth.service.d/cpu.conf")).expect("the drop-in");
    let folder = Folder::new("unit");
    let page = fs::read_to_string(root().join("docs/server.md")).expect("the page");
    for (name, text, most) in [("gpu.service", unit.clone(), GPU), ("cpu.service", format!("{unit}\n{drop_in}"), CPU)] {
        let path = folder.0.join(name);
        // A program that is there, so that what is wrong with the unit is all that is said.
        fs::write(&path, text.replace("/usr/local/bin/hearth", "/bin/true").replace("Documentation=man:hearth(1)\n", "")).expect("a unit");
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output().expect("systemd-analyze");
        let wrong: Vec<String> = said(&verified).lines().filter(|line| line.contains(name)).map(str::to_owned).collect();
        assert!(verified.status.success() && wrong.is_empty(), "{wrong:?}");
        let security = Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&path).output().expect("it");
        let text = said(&security);
        let overall = text.lines().find_map(|line| line.split_once("Overall exposure level for ")?.1.split_once(": ")).expect("a sum");
        let exposure: f64 = overall.1.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(exposure <= most, "{name}: {text}");
        assert!(page.contains(&format!("**{most:.1}**")), "docs/server.md names another exposure than {most:.1}");
    }
}

#[test]
fn the_configuration_of_the_service_is_a_good_one() {
    let mut hearth = Command::new(binary("hearth"));
    let checked = hearth.args(["config", "check"]).arg(root().join("deploy/systemd/hearth.toml")).output().expect("hearth");
    assert!(checked.status.success(), "{}", said(&checked));
    let mut hearth = Command::new(binary("hearth"));
    let shown =
        hearth.args(["config", "show", "--json", "--config"]).arg(root().join("deploy/systemd/hearth.toml")).output().expect("hearth");
    let shown = said(&shown);
    assert!(shown.contains("127.0.0.1:18789") && shown.contains("/var/lib/hearth/state") && shown.contains("required"), "{shown}");
}

/// Who reaches which port, of the machine itself and from outside of it by IPv4 and IPv6.
#[test]
fn the_firewall_lets_in_the_proxy_and_nobody_to_the_service() {
    let Some(python) = python() else { return };
    // Its own user namespace makes a plain user root of the network; where that is forbidden, root of the machine is.
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    let possible = |flags: &[&str]| {
        let output = unshare(flags).args(["nft", "list", "ruleset"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(flags) = [&["--net"][..], &["--net", "--user", "--map-root-user"]].into_iter().find(|flags| possible(flags)) else {
        return skip("no network namespace with nftables can be made here");
    };
    let mut script = unshare(flags);
    script.arg(python).arg(root().join("tests/python/firewall.py")).arg(root().join("deploy/nftables/hearth.nft"));
    let output = script.output().expect("the script");
    assert!(output.status.success(), "{}", said(&output));
    let reached: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reached["itself"], json!([22, 80, 443, 8080, 18789]));
    assert_eq!((&reached["world"], &reached["world6"]), (&json!([22, 80, 443]), &json!([22, 80, 443])));
}

/// The user data is YAML with the keys that cloud-init's modules read, and its script is one that a shell parses. (Whether cloud-init's own schema takes it, docs/server.md says how to ask.)
#[test]
fn the_user_data_of_a_fresh_machine_is_whole() {
    let Some(python) = python() else { return };
    let path = root().join("deploy/cloud-init/hearth.yaml");
    let text = fs::read_to_string(&path).expect("the user data");
    assert!(text.starts_with("#cloud-config\n"), "cloud-init knows it by its first line");
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new(python).args(["-c", read]).arg(&path).output().expect("python");
    assert!(output.status.success(), "{}", said(&output));
    let data: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let script = data["write_files"]
        .as_array()
        .expect("files")
        .iter()
        .find(|file| file["path"] == data["runcmd"][0])
        .expect("what is run is written");
    assert_eq!(script["permissions"], "0700");
    let folder = Folder::new("cloud");
    let file = folder.0.join("setup");
    fs::write(&file, script["content"].as_str().expect("text")).expect("a script");
    let parsed = Command::new("sh").arg("-n").arg(&file).output().expect("sh");
    assert!(parsed.status.success(), "{}", said(&parsed));
    // What it takes from the package is what lies in deploy/.
    for sample in ["nftables/hearth.nft", "nginx/hearth.conf"] {
        assert!(
            script["content"].as_str().is_some_and(|text| text.contains(sample)) && root().join("deploy").join(sample).exists(),
            "{sample}"
        );
    }
}

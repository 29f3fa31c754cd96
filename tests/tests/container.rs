//! The images of deploy/container without a container engine: laid out and packed by the scripts that the Containerfiles run, checked, and their root run as an orchestrator would:
//! read-only, by a user without rights.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use hearth_tests::{Shape, binary, free_address, request, root, skip, test_data};
use serde_json::{Value, json};

const USER: &str = "65532";
/// $1 is the root, $2 the models, then the command line. What an image's root must not be written to is mounted so; /tmp and /state are volumes.
const CONTAIN: &str = r#"set -e
root=$1 models=$2; shift 2
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/state"
mount --bind "$models" "$root/models"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -o remount,bind,ro "$root"
chroot=$(command -v chroot)
exec setpriv --no-new-privs env --ignore-environment $ENVIRONMENT "$chroot" $USERSPEC "$root" "$@""#;

#[test]
fn images_hold_what_they_should_and_run_without_rights() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let allowed = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip("a mount namespace of one's own is not allowed here (unshare --map-root-user --mount)");
    }
    let model = fs::canonicalize(model).expect("the model");
    for (shape, name, variant) in [(Shape::Native, "native", "vulkan"), (Shape::Wasm, "wasm", "cpu")] {
        let folder = Folder::new(name);
        let (layout, again, unpacked) = (folder.0.join("layout"), folder.0.join("again"), folder.0.join("root"));
        let built = binary("hearth");
        let build = |layout: &Path| {
            let mut script = Command::new(root().join("deploy/container/build.sh"));
            succeeds(script.args([name, variant]).arg(layout).arg(built.parent().expect("a folder")))
        };
        eprintln!("{name}: {}", String::from_utf8_lossy(&build(&layout).stdout));
        // Once is enough: packing takes a while.
        if shape == Shape::Native {
            build(&again);
            let index = |layout: &Path| fs::read_to_string(layout.join("index.json")).expect("an index");
            assert_eq!(index(&layout), index(&again), "{name}: the same files give the same image");
        }

        let configuration = configuration(&layout);
        let told = &configuration["config"];
        assert_eq!(told["User"], format!("{USER}:{USER}"), "{told}");
        assert_eq!(configuration["os"], "linux");
        succeeds(image().arg("unpack").args([&layout, &unpacked]));
        let mut running = Contained::start(shape, &unpacked, &model, told);
        running.wait();
        let body = json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0}).to_string();
        let answer = request(running.address, "POST", "/v1/chat/completions", Some(body.as_bytes())).expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {}", answer.json());
        running.has_no_rights();
    }
}

/// The check can fail: a changed blob, and files that an image must not have.
#[test]
fn what_is_wrong_with_an_image_is_found() {
    let folder = Folder::new("wrong");
    let pack = |name: &str, change: &dyn Fn(&Path)| {
        let (root_folder, layout) = (folder.0.join(format!("{name}-root")), folder.0.join(name));
        for inner in ["usr/bin", "etc/ssl/certs", "tmp", "state", "models"] {
            fs::create_dir_all(root_folder.join(inner)).expect("a folder");
        }
        for file in ["usr/bin/hearth", "etc/ssl/certs/ca-certificates.crt", "etc/passwd"] {
            fs::write(root_folder.join(file), file).expect("a file");
        }
        change(&root_folder);
        succeeds(image().arg("pack").arg(root().join("deploy/container/Containerfile.native")).args([&root_folder, &layout]));
        let output = image().arg("check").arg(&layout).output().expect("python3");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr), layout)
    };
    assert!(pack("good", &|_| ()).0);
    let (fine, said, _) = pack("shell", &|root| fs::write(root.join("usr/bin/sh"), "").expect("a file"));
    assert!(!fine && said.contains("/usr/bin/sh is in it") && said.contains("another program"), "{said}");
    let (fine, said, _) = pack("missing", &|root| fs::remove_file(root.join("etc/passwd")).expect("it was there"));
    assert!(!fine && said.contains("/etc/passwd is missing"), "{said}");
    let (_, _, layout) = pack("changed", &|_| ());
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("blobs").map(|blob| blob.expect("a blob").path());
    let largest = blobs.max_by_key(|blob| fs::metadata(blob).expect("its size").len()).expect("a blob");
    let mut bytes = fs::read(&largest).expect("a blob");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&largest, bytes).expect("a blob");
    let output = image().arg("check").arg(&layout).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is not what it should be"), "{said}");
}

fn image() -> Command {
    let mut python = Command::new("python3");
    python.arg(root().join("deploy/container/image.py"));
    python
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

/// The image's configuration, by way of the index and the manifest.
fn configuration(layout: &Path) -> Value {
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).expect("a document")).expect("JSON") };
    let blob = |entry: &Value| layout.join("blobs").join(entry["digest"].as_str().expect("a digest").replace(':', "/"));
    let manifest = read(blob(&read(layout.join("index.json"))["manifests"][0]));
    read(blob(&manifest["config"]))
}

/// A root that runs; ended when dropped.
struct Contained {
    child: Child,
    address: SocketAddr,
    is_root: bool,
}

impl Contained {
    fn start(shape: Shape, root: &Path, model: &Path, told: &Value) -> Self {
        let address = free_address();
        // Who is not root has one user in a namespace of its own, and cannot become another there.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let environment: Vec<_> = told["Env"].as_array().expect("an environment").iter().filter_map(Value::as_str).collect();
        let mut command = Command::new("unshare");
        command.args(if is_root { &["--mount"][..] } else { &["--map-root-user", "--mount"] }).args(["sh", "-c", CONTAIN, "sh"]).arg(root);
        command.arg(model.parent().expect("a folder")).env("ENVIRONMENT", environment.join(" "));
        command.env("USERSPEC", if is_root { format!("--userspec={USER}:{USER} --groups={USER}") } else { String::new() });
        command.args(told["Entrypoint"].as_array().expect("a command line").iter().filter_map(Value::as_str));
        match shape {
            Shape::Native => command.arg("serve"),
            Shape::Wasm => command.arg("--from=/app/spin.toml"),
        };
        let name = model.file_name().expect("a name").to_string_lossy();
        command.args([format!("--listen={address}"), format!("--model=/models/{name}"), "--state-dir=/state".to_owned()]);
        command.args(["--device=cpu", "--context=512", "--log-file=none"]);
        if !is_root {
            eprintln!("AS ROOT OF A NAMESPACE: only root can run an image as another user");
        }
        Self { child: command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("unshare"), address, is_root }
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(180);
        while !request(self.address, "GET", "/health/ready", None).is_ok_and(|answer| answer.status == 200) {
            assert!(self.child.try_wait().is_ok_and(|ended| ended.is_none()), "it ended: what it said is above");
            assert!(Instant::now() < deadline, "it does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Another user than root, nothing that such a one may do, and no way to gain or write anything.
    fn has_no_rights(&self) {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the process lives");
        let status = of("status");
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect("a field").trim().to_owned();
        assert_eq!(field("NoNewPrivs:"), "1");
        if self.is_root {
            assert_eq!(field("Uid:").split_whitespace().collect::<Vec<_>>(), [USER; 4]);
            assert_eq!(field("CapEff:").trim_start_matches('0'), "", "capabilities");
        }
        // Mount point, then options: the fifth and the sixth field (proc_pid_mountinfo(5)).
        let mounts = of("mountinfo");
        let of_root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).rfind(|fields| fields[4] == "/").expect("a root");
        assert!(of_root[5].split(',').any(|option| option == "ro"), "the root can be written: {of_root:?}");
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scratch folder, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-image-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#!/usr/bin/env python3
"""An image as an OCI layout, with nothing but Python: the same files give the same digests.

image.py pack CONTAINERFILE ROOT LAYOUT   packs a root as the Containerfile's last stage says
image.py check LAYOUT                     compares all digests, and looks for what an image must have and must not
image.py unpack LAYOUT FOLDER             lays out its root"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import stat
import sys
import tarfile

TYPE = "application/vnd.oci.image"
USER = 65532
# Folders that are written to, where a volume is mounted; theirs is the image's user.
WRITTEN = {"state", "models"}
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "busybox", "apt", "apt-get", "dpkg", "apk", "python3", "perl"}


def stage(containerfile):
    """The configuration that the last stage of a Containerfile says."""
    config = {}
    text = pathlib.Path(containerfile).read_text()
    for line in text[text.rindex("\nFROM ") :].splitlines():
        word, _, rest = line.partition(" ")
        if word == "USER":
            config["User"] = rest
        elif word == "ENV":
            config["Env"] = rest.split()
        elif word == "EXPOSE":
            config["ExposedPorts"] = {f"{rest}/tcp": {}}
        elif word == "ENTRYPOINT":
            config["Entrypoint"] = json.loads(rest)
        elif word == "STOPSIGNAL":
            config["StopSignal"] = rest
    return config


def layer(root):
    """A root as a tar whose bytes depend on nothing else: sorted, without times, all root's but for what is written."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(pathlib.Path(root).rglob("*")):
            name = str(path.relative_to(root))
            entry = tar.gettarinfo(path, name)
            entry.mtime, entry.uname, entry.gname = 0, "", ""
            entry.uid = entry.gid = USER if name in WRITTEN else 0
            entry.mode = 0o1777 if name == "tmp" else 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isreg():
                # Two names of one file are two files here.
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    return raw.getvalue()


def pack(containerfile, root, layout):
    layout = pathlib.Path(layout)
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"{TYPE}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    tar = layer(root)
    packed = put(gzip.compress(tar, compresslevel=6, mtime=0), "layer.v1.tar+gzip")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {"architecture": machine, "os": "linux", "config": stage(containerfile), "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]}}
    manifest = {"schemaVersion": 2, "mediaType": f"{TYPE}.manifest.v1+json", "config": put(json.dumps(config, sort_keys=True).encode(), "config.v1+json"), "layers": [packed]}
    entry = put(json.dumps(manifest, sort_keys=True).encode(), "manifest.v1+json") | {"platform": {"architecture": machine, "os": "linux"}}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": f"{TYPE}.index.v1+json", "manifests": [entry]}, sort_keys=True))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    print(f"{entry['digest']} in {layout}, {packed['size'] / 1e6:.1f} MB")


def read(layout):
    """The manifest, the configuration and the layers of a layout, each blob as its digest says."""
    layout = pathlib.Path(layout)

    def get(entry):
        algorithm, _, digest = entry["digest"].partition(":")
        data = (layout / "blobs" / algorithm / digest).read_bytes()
        if len(data) != entry["size"] or hashlib.sha256(data).hexdigest() != digest:
            raise SystemExit(f"{entry['digest']} is not what it should be")
        return data

    if json.loads((layout / "oci-layout").read_text()) != {"imageLayoutVersion": "1.0.0"}:
        raise SystemExit("no OCI layout of version 1.0.0")
    index = json.loads((layout / "index.json").read_text())
    (entry,) = index["manifests"]
    manifest = json.loads(get(entry))
    config = json.loads(get(manifest["config"]))
    layers = [gzip.decompress(get(layer)) for layer in manifest["layers"]]
    if [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers] != config["rootfs"]["diff_ids"]:
        raise SystemExit("the layers are not those of the configuration")
    return config, [tarfile.open(fileobj=io.BytesIO(data)) for data in layers]


def check(layout):
    config, tars = read(layout)
    told, wrong = config["config"], []
    files = {"/" + member.name: member for tar in tars for member in tar.getmembers()}
    if told.get("User") != f"{USER}:{USER}":
        wrong.append(f"it runs as {told.get('User')}")
    (program,) = told["Entrypoint"]
    wanted = [program, "/etc/ssl/certs/ca-certificates.crt", "/etc/passwd", "/tmp", "/state", "/models"]
    if program.endswith("trigger-nn-http"):
        wanted += ["/app/spin.toml", "/app/target/hearth_function.component.wasm"]
    wrong += [f"{name} is missing" for name in wanted if name not in files]
    for name, member in files.items():
        if member.mode & (stat.S_ISUID | stat.S_ISGID):
            wrong.append(f"{name} gives the rights of another user")
        if member.mode & stat.S_IWOTH and name != "/tmp":
            wrong.append(f"{name} can be written by anyone")
        if os.path.basename(name) in SHELLS:
            wrong.append(f"{name} is in it")
        if member.uid and name[1:] not in WRITTEN:
            wrong.append(f"{name} is not root's")
        if member.isreg() and member.mode & 0o100 and not name.startswith(("/usr/bin/", "/lib")) and "/lib/" not in name:
            wrong.append(f"{name} can be run")
    if [name for name, member in files.items() if member.isreg() and name.startswith("/usr/bin/")] != [program]:
        wrong.append("there is another program than its own")
    for line in wrong:
        print(line)
    print(f"{len(files)} files, {sum(member.size for member in files.values()) / 1e6:.1f} MB, {len(wrong)} problems")
    return 1 if wrong else 0


def unpack(layout, folder):
    _, tars = read(layout)
    for tar in tars:
        tar.extractall(folder, numeric_owner=True, filter="fully_trusted")


if __name__ == "__main__":
    sys.exit({"pack": pack, "check": check, "unpack": unpack}[sys.argv[1]](*sys.argv[2:]))

#!/bin/sh
# build.sh native|wasm cpu|vulkan FOLDER [BINARIES]: an image as an OCI layout in FOLDER (`skopeo copy oci:FOLDER docker://…`, `podman load`), without a container engine.
# With BINARIES, a folder, nothing is compiled.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 4 ] || "$here/compile.sh" "$1" "$2"
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT
"$here/rootfs.sh" "$1" "$2" "$root" ${4+"$4"}
python3 "$here/image.py" pack "$here/Containerfile.$1" "$root" "$3"
python3 "$here/image.py" check "$3"

#!/bin/sh
# rootfs.sh native|wasm cpu|vulkan FOLDER [BINARIES]: lays out the root of an image in FOLDER, from what was built in BINARIES (target/release).
set -eu
cd "$(dirname "$0")/../.."
shape=$1 variant=$2 root=$3 binaries=${4:-target/release}
case "$shape" in
    native) program=hearth ;;
    wasm) program=trigger-nn-http ;;
    *) echo "rootfs.sh: no shape $shape: native or wasm" >&2; exit 2 ;;
esac
case "$variant" in cpu|vulkan) ;; *) echo "rootfs.sh: no variant $variant: cpu or vulkan" >&2; exit 2 ;; esac
umask 022
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/tmp" "$root/state" "$root/models" "$root/proc" "$root/sys" "$root/dev" "$root/run"
install -m 0755 "$binaries/$program" "$root/usr/bin/$program"
strip --strip-unneeded "$root/usr/bin/$program"

# A library where the loader looks for it, by the name that the program asks for.
library() {
    mkdir -p "$root$(dirname "$1")"
    cp --dereference --no-clobber "$1" "$root$1"
}
needs() {
    ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
}
for found in $(needs "$binaries/$program"); do library "$found"; done
if [ "$variant" = vulkan ]; then
    # Loaded when a GPU is looked for. The driver and the file that names it come from the node.
    vulkan=$(ldconfig -p | awk '/libvulkan\.so\.1 / { print $NF; exit }')
    [ -n "$vulkan" ] || { echo "rootfs.sh: libvulkan.so.1 is missing: apt-get install libvulkan1" >&2; exit 1; }
    library "$vulkan"
    for found in $(needs "$vulkan"); do library "$found"; done
    mkdir -p "$root/etc/vulkan/icd.d"
fi

cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/nonexistent\nhearth:x:65532:65532:Hearth:/state:/nonexistent\n' > "$root/etc/passwd"
printf 'root:x:0:\nhearth:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
if [ "$shape" = wasm ]; then
    mkdir -p "$root/app/target"
    cp spin.toml "$root/app/spin.toml"
    cp --dereference target/hearth_function.component.wasm "$root/app/target/hearth_function.component.wasm"
fi

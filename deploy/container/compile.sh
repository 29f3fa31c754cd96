#!/bin/sh
# compile.sh native|wasm cpu|vulkan: builds what an image holds, in target/release.
set -eu
cd "$(dirname "$0")/../.."
case "$2" in
    cpu) features=--no-default-features ;;
    # The host has wgpu's shaders for every GPU; SPIR-V of its own has the native binary.
    vulkan) if [ "$1" = native ]; then features="--features vulkan"; else features=; fi ;;
    *) echo "compile.sh: no variant $2: cpu or vulkan (which serves NVIDIA's cards too: there is no CUDA build)" >&2; exit 2 ;;
esac
case "$1" in
    native) cargo xtask page && cargo build --release --locked --package hearth $features ;;
    wasm) cargo xtask component && cargo build --release --locked --package hearth-host $features ;;
    *) echo "compile.sh: no shape $1: native or wasm" >&2; exit 2 ;;
esac

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Specs whose stages run chunk by chunk compute the same bits in the shortest chunks as in one.

Runs each spec that has a loop of chunks twice, with and without ATTNC_LOOP_WORKSPACE=0, at sizes of several chunks along each
axis, the last one shorter, and compares all outputs byte by byte. Prints one line for each that differs, and closes with
`chunks: N the same, N differ`.

    test/E2E/chunks.py --device emulator --only twilight
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = ["--heads=4", "--kv-heads=2", "--head-dim=16"]


def attnc(arguments, *command, **settings):
    return subprocess.run([arguments.attnc, *command], capture_output=True, text=True, timeout=600,
                          env={**os.environ, **settings})


def runs(arguments, spec, options):
    """The outputs of `spec` in one chunk and in the shortest ones, by name; None if it has no loop."""
    target = "host" if arguments.device == "host" else os.environ.get("ATTNC_EMU_DEVICE", "sm_80")
    told = attnc(arguments, "explain", str(spec), f"--target={target}", *options, "--json", ATTNC_LOOP_WORKSPACE="0")
    if told.returncode:
        raise RuntimeError(told.stderr.strip())
    description = json.loads(told.stdout)
    if not description.get("loops"):
        return None
    if not any(axis["chunk"] < axis["size"] for loop in description["loops"] for axis in loop["axes"]):
        print(f"{spec.relative_to(ROOT)}: one chunk at these sizes", flush=True)
        return None
    workspace = {tensor["name"] for tensor in description["workspace"]}
    names = {name for kernel in description["kernels"] for name in kernel["writes"]} - workspace
    found = []
    for settings in ({}, {"ATTNC_LOOP_WORKSPACE": "0"}):
        with tempfile.TemporaryDirectory() as folder:
            outputs = [f"--output={name}={folder}/{name}.npy" for name in names]
            result = attnc(arguments, "run", str(spec), f"--device={arguments.device}", *options, *outputs, **settings)
            if result.returncode:
                raise RuntimeError(result.stderr.strip())
            found.append({name: pathlib.Path(folder, f"{name}.npy").read_bytes() for name in names})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--device", default="host", help="host or emulator")
    parser.add_argument("--only", help="specs whose path matches this expression")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--q-len", type=int, default=130)
    parser.add_argument("--kv-len", type=int, default=150)
    arguments = parser.parse_args()
    options = [*SIZES, f"--batch={arguments.batch}", f"--q-len={arguments.q_len}", f"--kv-len={arguments.kv_len}", "--dtype=f32"]
    same, failures = 0, 0
    for spec in sorted((ROOT / "specs").rglob("*.attn")):
        if arguments.only and not re.search(arguments.only, str(spec.relative_to(ROOT))):
            continue
        try:
            found = runs(arguments, spec, options)
        except RuntimeError as error:
            failures += 1
            print(f"FAILED {spec.relative_to(ROOT)}: {error}", flush=True)
            continue
        if found is None:
            continue
        whole, parts = found
        differing = [name for name in whole if whole[name] != parts[name]]
        same += not differing
        failures += bool(differing)
        if differing:
            print(f"FAILED {spec.relative_to(ROOT)}: {', '.join(differing)} differ between one chunk and many", flush=True)
    print(f"chunks: {same} the same, {failures} differ")
    return 1 if failures or not same else 0


if __name__ == "__main__":
    sys.exit(main())

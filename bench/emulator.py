#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Speed of the PTX emulator itself on attention forwards: GFLOP/s of one core with checks and without.

    bench/emulator.py --attnc build/bin/attnc --driver build/lib/libattnc_emu_cuda.so [--triton CHECKOUT] [--runs 7]

8 heads, 1024 queries, 1024 keys, no mask. FLOPs are those of the tensor instructions that the kernel executes, counted
by the emulator; an f32 kernel executes three tf32 products for each product of the problem. The time is the processor
time of the launch (the emulator is one thread), the best of the runs, because the machines that run this are shared.
Rows of Triton's tutorial (wgmma, TMA) need a checkout and the package; see test/Emulator/triton_tutorials.py.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "Emulator"))
HEADS, LENGTH = 8, 1024


def attnc_arguments(device, dtype, size):
    """Q, K, V, out and lse with their strides, and the sizes, in the order of attnc's kernels."""
    import numpy as np
    rng = np.random.default_rng(0)
    kind = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}[dtype]
    shape = (1, HEADS, LENGTH, size)

    def tensor():
        x = rng.standard_normal(shape).astype(np.float32)
        return (x.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bf16" else x.astype(kind)

    def strides(dims):
        return [np.int64(np.prod(dims[i + 1:], dtype=np.int64)) for i in range(len(dims))]

    arguments = []
    for buffer in (device.array(tensor()), device.array(tensor()), device.array(tensor()), device.empty(shape, kind),
                   device.empty(shape[:3], np.float32)):
        arguments += [buffer, *strides(buffer.shape)]
    return arguments + [np.int32(n) for n in (1, HEADS, HEADS, LENGTH, LENGTH)]


def attnc_case(arguments, dtype, size):
    options = [str(ROOT / "specs" / "full.attn"), "--target=sm_80", f"--heads={HEADS}", f"--q-len={LENGTH}", f"--dtype={dtype}", f"--head-dim={size}"]
    plan = json.loads(subprocess.run([arguments.attnc, "explain", "--json", *options], capture_output=True, text=True, check=True).stdout)
    ptx = subprocess.run([arguments.attnc, "compile", *options], capture_output=True, text=True, check=True).stdout
    return (ptx, "full", (-(-LENGTH // plan["tile_q"]), HEADS), 32 * plan["warps"], plan["shared_bytes"],
            lambda device: attnc_arguments(device, dtype, size))


def triton_case(arguments, capability, size):
    import numpy as np
    from triton_tutorials import F16, compiled, load_tutorial
    tutorial = load_tutorial(arguments.triton, capability)
    rows, names = HEADS * LENGTH, ("desc_q", "desc_k", "desc_v", "desc_o")
    boxes = dict(zip(names, ((128, size), (64, size), (64, size), (128, size))))
    maps = capability >= 90
    kernel = compiled(tutorial._attn_fwd, capability,
                      {"sm_scale": "fp32", "M": "*fp32", "Z": "i32", "H": "i32", "N_CTX": "i32",
                       **{n: f"tensordesc<fp16{list(box)}>" if maps else "*fp16" for n, box in boxes.items()}},
                      {"HEAD_DIM": size, "BLOCK_M": 128, "BLOCK_N": 64, "FP8_OUTPUT": False, "STAGE": 1, "warp_specialize": False,
                       "IS_HOPPER": capability == 90}, ["M", "N_CTX", *([] if maps else names)], warps=4, stages=2)
    described = dict(zip(names, kernel.metadata.tensordesc_meta)) if maps else {}

    def pack(device):
        rng, packed = np.random.default_rng(0), []
        for name in names:
            shape = (1, HEADS, LENGTH, size)
            buffer = device.empty(shape, np.float16) if name == "desc_o" else device.array(rng.standard_normal(shape).astype(np.float16))
            if not maps:
                packed.append(buffer)
                continue
            about = described[name]
            packed += [device.tensor_map(buffer, tuple(about["block_size"]), F16, about["swizzle"], shape=(rows, size)), np.int32(rows), np.int32(size),
                       np.int64(size), np.int64(1)]
        return [np.float32(0.5), device.empty((1, HEADS, LENGTH), np.float32), np.int32(1), np.int32(HEADS), *packed, np.int32(LENGTH),
                np.int64(0), np.int64(0)]

    return kernel.asm["ptx"], kernel.metadata.name, (LENGTH // 128, HEADS), 128, kernel.metadata.shared, pack


def measure(arguments, case, profile):
    """Best processor seconds of a launch, in this process; the checks are those of the environment."""
    from emulated import Device
    ptx, name, grid, block, shared, pack = case
    device = Device(arguments.driver, profile)
    module, packed = device.module(ptx), pack(device)
    best = float("inf")
    for _ in range(arguments.runs):
        start = time.thread_time()
        module.launch(name, grid, (block,), packed, shared=shared)
        best = min(best, time.thread_time() - start)
    with tempfile.TemporaryDirectory() as folder: # once more for the count of operations
        os.environ["ATTNC_EMU_COUNTERS"] = path = os.path.join(folder, "counters.json")
        module.launch(name, grid, (block,), packed, shared=shared)
        return best, json.loads(pathlib.Path(path).read_text())["tensor_flops"]


def cases(arguments):
    """(what the table says, device profile, how to build the case)."""
    for dtype in ("f16", "bf16", "f32"):
        for size in (64, 128):
            yield f"attnc, mma.sync, {dtype}, head dim {size}", "sm_80", lambda d=dtype, s=size: attnc_case(arguments, d, s)
    if arguments.triton:
        for size in (64, 128):
            for capability, what in ((80, "mma.sync"), (90, "wgmma and TMA")):
                yield (f"Triton tutorial, {what}, f16, head dim {size}", "sm_80" if capability == 80 else "sm_90a",
                       lambda c=capability, s=size: triton_case(arguments, c, s))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attnc", default=str(ROOT / "build" / "bin" / "attnc"))
    parser.add_argument("--driver", default=str(ROOT / "build" / "lib" / "libattnc_emu_cuda.so"))
    parser.add_argument("--triton", help="a checkout of Triton")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    every = list(cases(arguments))
    if arguments.case is not None:
        _, profile, build = every[arguments.case]
        print(*measure(arguments, build(), profile))
        return
    print("| kernel | GFLOP | with checks | bounds only |")
    print("| --- | --- | --- | --- |")
    for index, (what, _, _) in enumerate(every):
        cells = []
        for checks in ("1", "0"): # a process has one device, whose settings are read once
            done = subprocess.run([sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--case", str(index)], capture_output=True, text=True,
                                  env={**os.environ, "ATTNC_EMU_CHECKS": checks})
            if done.returncode:
                sys.exit(f"{what}: {done.stderr}")
            seconds, flops = map(float, done.stdout.split()[-2:])
            cells.append(f"{seconds * 1e3:.0f} ms, {flops / seconds / 1e9:.1f} GFLOP/s")
        print(f"| {what} | {flops / 1e9:.1f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

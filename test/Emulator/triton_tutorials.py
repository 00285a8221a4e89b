#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles the attention kernels of Triton's own tutorial and compares them with NumPy on the emulator.

    triton_tutorials.py TRITON-CHECKOUT --driver build/lib/libattnc_emu_cuda.so [--only PATTERN]

Needs the packages triton, torch (the tutorial imports it; the CPU build will do) and numpy, and no GPU: the kernels of
python/tutorials/06-fused-attention.py are compiled ahead of time for sm_80, where descriptors become pointers, and for
sm_90, where they are tensor maps and the products are wgmma. Every launch runs under all deliveries of asynchronous
copies. Prints a line with the error of each output, and last `triton tutorials: N passed, N failed`.
"""
import argparse
import importlib.util
import pathlib
import re
import subprocess
import sys

import numpy as np

from emulated import Device, EmulatorError

F16, U8 = 6, 0 # the driver's numbers of these types


def load_tutorial(checkout, capability):
    """Imports the tutorial under a driver that claims a device of this capability and launches nothing."""
    import torch
    import triton
    from triton.backends.compiler import GPUTarget

    class Absent:
        def get_current_target(self):
            return GPUTarget("cuda", capability, 32)

        def get_active_torch_device(self):
            return torch.device("cpu")

        def get_current_device(self):
            return 0

        def get_benchmarker(self):
            return lambda *args, **kwargs: None

    triton.runtime.driver.set_active(Absent())
    torch.cuda.get_device_capability = lambda *args: (capability // 10, capability % 10)
    path = pathlib.Path(checkout) / "python" / "tutorials" / "06-fused-attention.py"
    spec = importlib.util.spec_from_file_location("tutorial", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(function, capability, signature, constants, aligned, warps, stages):
    import triton
    from triton.backends.compiler import GPUTarget
    while not isinstance(function, triton.runtime.JITFunction):
        function = function.fn # the autotuner's wrapping
    names = function.arg_names
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in aligned}
    signature = {name: signature.get(name, "constexpr") for name in names}
    source = triton.compiler.ASTSource(function, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps, "num_stages": stages})


def e5m2(x):
    """Rounds halves to fp8 e5m2, their upper byte; the byte and its value."""
    bits = x.astype(np.float16).view(np.uint16).astype(np.uint32)
    byte = ((bits + 0x7f + (bits >> 8 & 1)) >> 8).astype(np.uint8)
    return byte, e5m2_value(byte)


def e5m2_value(byte):
    return (byte.astype(np.uint16) << 8).view(np.float16).astype(np.float64)


def attention(q, k, v, scale, causal):
    """Output, probabilities and the logarithm (base 2) of their denominators, in float64."""
    s = q @ k.swapaxes(-1, -2) * scale
    if causal:
        s = np.where(np.tri(s.shape[-1], dtype=bool), s, -np.inf)
    top = s.max(-1, keepdims=True)
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    return p / total @ v, p / total, (top + np.log(total))[..., 0] / np.log(2)


def error(got, want):
    return np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want)


class Run:
    """The kernels on one device; each method returns (outputs and their errors, the bound)."""
    Z, H, N = 1, 2, 256

    def __init__(self, arguments, capability):
        self.capability, self.rng = capability, np.random.default_rng(20)
        self.tutorial = load_tutorial(arguments.checkout, capability)
        self.device = Device(arguments.driver, "sm_80" if capability == 80 else "sm_90a", delivery="all")

    def normal(self, *shape):
        return (self.rng.standard_normal(shape) * 0.5).astype(np.float16)

    def launch(self, kernel, grid, arguments):
        # Two pointers to scratch memory, which these kernels do not use, close every argument list.
        module = self.device.module(kernel.asm["ptx"])
        module.launch(kernel.metadata.name, grid, (32 * kernel.metadata.num_warps,), [*arguments, np.int64(0), np.int64(0)],
                      shared=kernel.metadata.shared)

    def forward(self, size, causal, fp8=False):
        # With fp8 the tutorial describes V as [size, z h n] with rows n apart, and begins a head at column (head n size),
        # which lies outside for every head but the first: a tensor map gives zeros there. So one head.
        z, h, n, d = self.Z, 1 if fp8 else self.H, self.N, self.device
        block_m, block_n, rows = 128, 64, z * h * n
        q, k, v = (self.normal(z, h, n, size) for _ in range(3))
        kind, dtype = ("fp8e5", np.uint8) if fp8 else ("fp16", np.float16)
        if fp8:
            (q, qv), (k, kv), (v, vv) = (e5m2(x) for x in (q, k, v))
            device_v, v_shape, v_box = np.ascontiguousarray(v.swapaxes(2, 3)), (size, rows), (size, block_n)
        else:
            qv, kv, vv = (x.astype(np.float64) for x in (q, k, v))
            device_v, v_shape, v_box = v, (rows, size), (block_n, size)
        boxes = {"desc_q": (block_m, size), "desc_k": (block_n, size), "desc_v": v_box, "desc_o": (block_m, size)}
        buffers = {"desc_q": d.array(q), "desc_k": d.array(k), "desc_v": d.array(device_v), "desc_o": d.empty(q.shape, dtype)}
        shapes = {name: v_shape if name == "desc_v" else (rows, size) for name in boxes}
        tensor_maps = self.capability >= 90
        signature = {"sm_scale": "fp32", "M": "*fp32", "Z": "i32", "H": "i32", "N_CTX": "i32",
                     **{name: f"tensordesc<{kind}{list(box)}>" if tensor_maps else f"*{kind}" for name, box in boxes.items()}}
        constants = {"HEAD_DIM": size, "BLOCK_M": block_m, "BLOCK_N": block_n, "FP8_OUTPUT": fp8, "STAGE": 3 if causal else 1,
                     "warp_specialize": False, "IS_HOPPER": self.capability == 90}
        kernel = compiled(self.tutorial._attn_fwd, self.capability, signature, constants,
                          ["M", "N_CTX", *([] if tensor_maps else boxes)], warps=4, stages=2)
        described = dict(zip(boxes, kernel.metadata.tensordesc_meta)) if tensor_maps else {}
        arguments = []
        for name in boxes:
            if tensor_maps:
                about, shape = described[name], shapes[name]
                arguments += [d.tensor_map(buffers[name], tuple(about["block_size"]), U8 if fp8 else F16, about["swizzle"], shape=shape),
                              *(np.int32(s) for s in shape), np.int64(shape[1]), np.int64(1)]
            else:
                arguments.append(buffers[name])
        logs = d.empty((z, h, n), np.float32)
        self.launch(kernel, (n // block_m, z * h), [np.float32(0.5), logs, np.int32(z), np.int32(h), *arguments, np.int32(n)])
        out, _, log = attention(qv, kv, vv, 0.5, causal)
        got = buffers["desc_o"].numpy()
        return {"out": error(e5m2_value(got) if fp8 else got, out), "M": error(logs.numpy(), log)}, 8e-2 if fp8 else 1e-3

    def backward(self, size, causal):
        z, h, n, d = self.Z, self.H, self.N, self.device
        scale, block = 0.5, 128
        q, k, v, do = (self.normal(z, h, n, size) for _ in range(4))
        qd, kd, vd, dod = (x.astype(np.float64) for x in (q, k, v, do))
        out, p, log = attention(qd, kd, vd, scale, causal)
        out16, delta = d.array(out.astype(np.float16)), d.empty((z, h, n), np.float32)
        buffers = {"DO": d.array(do)}
        preprocess = compiled(self.tutorial._attn_bwd_preprocess, self.capability,
                              {"O": "*fp16", "DO": "*fp16", "Delta": "*fp32", "Z": "i32", "H": "i32", "N_CTX": "i32"},
                              {"BLOCK_M": block, "HEAD_DIM": size}, ["O", "DO", "Delta", "N_CTX"], warps=4, stages=2)
        self.launch(preprocess, (n // block, z * h), [out16, buffers["DO"], delta, np.int32(z), np.int32(h), np.int32(n)])
        scaled = (kd * scale / np.log(2)).astype(np.float16)
        grads = {name: d.empty(q.shape, np.float16) for name in ("DQ", "DK", "DV")}
        signature = {**{name: "*fp16" for name in ("Q", "K", "V", "DO", "DQ", "DK", "DV")}, "sm_scale": "fp32", "M": "*fp32", "D": "*fp32",
                     **{name: "i32" for name in ("stride_z", "stride_h", "stride_tok", "stride_d", "H", "N_CTX")}}
        constants = {"BLOCK_M1": 32, "BLOCK_N1": 128, "BLOCK_M2": 128, "BLOCK_N2": 32, "BLK_SLICE_FACTOR": 2, "HEAD_DIM": size, "CAUSAL": causal}
        # As in a launch from Python, a stride of one is a constant of the kernel.
        constants["stride_d"] = 1
        signature["stride_d"] = "constexpr"
        kernel = compiled(self.tutorial._attn_bwd, self.capability, signature, constants,
                          [n for n, t in signature.items() if t.startswith("*")] + ["stride_z", "stride_h", "stride_tok", "N_CTX"], warps=4, stages=5)
        self.launch(kernel, (n // 128, 1, z * h),
                    [d.array(q), d.array(scaled), d.array(v), np.float32(scale), buffers["DO"], *grads.values(),
                     d.array(log.astype(np.float32)), delta, np.int32(h * n * size), np.int32(n * size), np.int32(size), np.int32(h), np.int32(n)])
        ds = p * (dod @ vd.swapaxes(-1, -2) - (dod * out).sum(-1, keepdims=True))
        wanted = {"DQ": ds @ kd * scale, "DK": ds.swapaxes(-1, -2) @ qd * scale, "DV": p.swapaxes(-1, -2) @ dod}
        errors = {"Delta": error(delta.numpy(), (dod * out).sum(-1))}
        return {**errors, **{name: error(grads[name].numpy(), want) for name, want in wanted.items()}}, 4e-3


CASES = [(f"{what} {'causal' if causal else 'full'} d{size}{' fp8' if fp8 else ''}", what, dict(size=size, causal=causal, **({"fp8": True} if fp8 else {})), fp8)
         for what, fp8 in (("forward", False), ("forward", True), ("backward", False)) for size in (64, 128) for causal in (False, True)]


def run(arguments):
    runner, passed, failed = Run(arguments, arguments.capability), 0, 0
    for name, method, options, fp8 in CASES:
        if not re.search(arguments.only, name) or fp8 and arguments.capability < 89:
            continue
        try:
            errors, bound = getattr(runner, method)(**options)
            good = all(e <= bound for e in errors.values())
            text = ", ".join(f"{output} {e:.1e}" for output, e in errors.items()) + f" (bound {bound:.0e})"
        except EmulatorError as e:
            good, text = False, str(e)
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok' if good else 'FAILED'} sm_{arguments.capability} {name}: {text}", flush=True)
    print(passed, failed)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", help="a checkout of Triton, for its python/tutorials")
    parser.add_argument("--driver", required=True, help="libattnc_emu_cuda.so")
    parser.add_argument("--only", default="", help="run the cases whose names match this expression")
    parser.add_argument("--capability", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.capability:
        return run(arguments)
    import triton
    commit = subprocess.run(["git", "-C", arguments.checkout, "rev-parse", "HEAD"], capture_output=True, text=True)
    print(f"triton {triton.__version__}, tutorials of {commit.stdout.strip() or 'no git checkout'}")
    passed = failed = 0
    for capability in (80, 90): # a process has one device
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--capability", str(capability)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.strip().split("\n")
        print("\n".join(lines[:-1]))
        counts = lines[-1].split()
        ok = len(counts) == 2 and all(c.isdigit() for c in counts)
        passed, failed = passed + (int(counts[0]) if ok else 0), failed + (int(counts[1]) if ok else 1)
    print(f"triton tutorials: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

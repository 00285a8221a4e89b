#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles the kernels of FlashAttention-2, FlashAttention-3 and CUTLASS and compares them with NumPy on the emulator.

    flash_attention.py FLASH-ATTENTION-CHECKOUT CUTLASS-CHECKOUT --driver build/lib/libattnc_emu_cuda.so [--only PATTERN]

Needs nvcc and NumPy, and no GPU and no PyTorch: each instance is compiled to PTX together with its own launch code, which
runs here on a stand-in for the CUDA runtime (test/Emulator/flash_attention). An instance takes nvcc between half a minute
and several; --build FOLDER keeps what was compiled. Every launch runs under all deliveries of asynchronous copies, and
every case in a process of its own. Prints a line with the error of each output, and last
`flash attention: N passed, N failed`.
"""
import argparse
import ctypes
import dataclasses
import hashlib
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from cuda_kernels import bf16, bf16_value
from emulated import Device, EmulatorError

FOLDER = pathlib.Path(__file__).resolve().parent / "flash_attention"
POINTERS = ("q", "k", "v", "out", "lse", "out_accumulator", "lse_accumulator", "slopes", "mask",
            "d_out", "dq", "dk", "dv", "dq_accumulator", "delta", "lse_log2", "counters")


class Problem(ctypes.Structure):
    """The structure of flash_attention/problem.h."""
    _fields_ = ([(name, ctypes.c_uint64) for name in POINTERS]
                + [(name, ctypes.c_int32) for name in ("batch", "heads", "heads_kv", "queries", "keys", "splits", "left", "right")]
                + [(name, ctypes.c_float) for name in ("scale", "softcap", "keep")])


@dataclasses.dataclass
class Case:
    """One kernel and one problem for it."""
    version: int # of FlashAttention; 0 is a GEMM of CUTLASS
    direction: str
    dtype: str
    size: int # of a head
    queries: int = 128
    keys: int = 128
    heads: int = 2
    heads_kv: int = 2
    batch: int = 1
    causal: bool = False
    window: tuple = ()
    softcap: float = 0.0
    alibi: bool = False
    keep: float = 1.0 # probability that dropout keeps a weight
    splits: int = 0
    even: bool = False # the sequences fill whole tiles, for which there are kernels without bounds checks
    cluster: int = 1
    pack: bool = False # FlashAttention-3: the heads of a group share a tile
    schedule: str = "" # of a GEMM
    report: str = "" # what the emulator finds wrong with the kernel
    checks: bool = True

    @property
    def capability(self):
        return 80 if self.version == 2 else 90

    @property
    def name(self):
        if self.version == 0:
            return f"CUTLASS gemm {self.schedule} {self.dtype} cluster {self.cluster}x1"
        words = [f"FA{self.version}", self.direction, self.dtype, f"d{self.size}", f"{self.queries}x{self.keys}"]
        words += ["causal"] * self.causal + [f"window {self.window}"] * bool(self.window) + ["alibi"] * self.alibi
        words += [f"softcap {self.softcap}"] * (self.softcap > 0) + [f"dropout {1 - self.keep:.1f}"] * (self.keep < 1)
        words += [f"batch {self.batch}"] * (self.batch > 1)
        words += [f"{self.splits} splits"] * (self.splits > 1) + ["gqa"] * (self.heads != self.heads_kv) + ["packed"] * self.pack
        words += [f"cluster {self.cluster}"] * (self.cluster > 1) + ["without checks"] * (not self.checks)
        return " ".join(words)

    def options(self):
        """The macros that choose the instance."""
        macros = {"ELEMENT": {"f16": "cutlass::half_t", "bf16": "cutlass::bfloat16_t"}[self.dtype], "HEAD_DIM": self.size,
                  "BACKWARD": int(self.direction == "backward")}
        flag = lambda value: "true" if value else "false"
        if self.version == 0:
            macros |= {"SCHEDULE": f"KernelTmaWarpSpecialized{self.schedule.capitalize()}", "CLUSTER": self.cluster}
        elif self.version == 2:
            even = self.even and not (self.window or self.alibi or self.keep < 1)
            fixed = {"IsEvenMNConst": even, "IsEvenKConst": True, "Is_local": bool(self.window), "ReturnSoftmaxConst": self.keep < 1,
                     "Has_alibi": self.alibi, "Is_softcap": self.softcap > 0, "Is_dropout": self.keep < 1, "Split": self.splits > 1,
                     "Append_KV": False}
            macros |= {"CAUSAL": flag(self.causal), "SPLIT": int(self.splits > 1), **{f"FIXED_{n}": int(v) for n, v in fixed.items()}}
        else:
            macros |= {"CAUSAL": flag(self.causal), "LOCAL": flag(self.window), "SOFTCAP": flag(self.softcap > 0),
                       "PACK_GQA": flag(self.pack), "GQA_HEADS": flag(self.heads != self.heads_kv), "CLUSTER_PAIR": flag(self.cluster > 1)}
        return [f"-D{name}={value}" for name, value in macros.items()]


def cases():
    fa2 = lambda direction, dtype, size, **options: Case(2, direction, dtype, size, **options)
    fa3 = lambda direction, dtype, size, **options: Case(3, direction, dtype, size, **options)
    yield fa2("forward", "f16", 64, queries=200, keys=300, causal=True, heads=4, batch=2)
    yield fa2("forward", "f16", 64, queries=200, keys=136, causal=True) # rows that see no key
    yield fa2("forward", "bf16", 64, queries=256, keys=256, even=True)
    yield fa2("forward", "f16", 64, queries=130, keys=250, alibi=True, window=(40, 10))
    yield fa2("forward", "bf16", 96, queries=150, keys=200, causal=True)
    yield fa2("forward", "f16", 128, queries=200, keys=200, softcap=5.0)
    yield fa2("forward", "bf16", 128, queries=150, keys=333, causal=True)
    yield fa2("forward", "f16", 128, queries=256, keys=150, keep=0.8)
    yield fa2("forward", "f16", 64, queries=30, keys=700, splits=3)
    yield fa2("forward", "bf16", 128, queries=70, keys=500, splits=4, causal=True)
    yield fa2("backward", "f16", 64, queries=200, keys=200, causal=True, batch=2)
    yield fa2("backward", "bf16", 64, queries=256, keys=256, even=True)
    yield fa2("backward", "bf16", 96, queries=150, keys=200)
    yield fa2("backward", "f16", 128, queries=150, keys=150, causal=True, heads=4)
    yield fa2("backward", "bf16", 128, queries=100, keys=200, softcap=5.0)
    yield fa3("forward", "f16", 64, queries=300, keys=300, causal=True, batch=2)
    yield fa3("forward", "bf16", 64, queries=300, keys=300)
    yield fa3("forward", "f16", 128, queries=300, keys=600)
    yield fa3("forward", "f16", 128, queries=512, keys=400, cluster=2)
    # With packed heads Q is copied by cp.async, in the generic proxy, and read by wgmma, in the asynchronous one, with an
    # mbarrier between them but no proxy fence, which the manual asks for.
    packed = dict(queries=300, keys=300, causal=True, heads=4, pack=True)
    yield fa3("forward", "bf16", 128, **packed, report="missing-proxy-fence")
    yield fa3("forward", "bf16", 128, **packed, checks=False)
    yield fa3("backward", "f16", 64, queries=300, keys=300, causal=True, batch=2)
    yield fa3("backward", "bf16", 128, queries=200, keys=300)
    for schedule in ("cooperative", "pingpong"):
        yield Case(0, "forward", "f16", 64, schedule=schedule, cluster=2)


class Build:
    """Compiles instances into shared libraries."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def run(self, command):
        """Runs a compiler unless it has run with this command on these sources; returns the library."""
        sources = b"".join(p.read_bytes() for p in sorted(FOLDER.rglob("*.*")) if p.is_file() and (p.suffix in (".h", ".cuh") or str(p) == command[-1]))
        library = self.folder / (hashlib.sha256(repr(command).encode() + sources).hexdigest()[:16] + ".so")
        if not library.exists():
            part = library.with_suffix(".part")
            done = subprocess.run([*command, "-o", part], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"does not compile: {done.stdout[-2000:]}{done.stderr[-4000:]}")
            part.rename(library)
        return library

    def runtime(self):
        driver = os.path.abspath(self.arguments.driver)
        return self.run([self.arguments.nvcc, "-std=c++17", "-shared", "-Xcompiler=-fPIC", "-cudart=none",
                         str(FOLDER / "runtime.cpp"), f"-Xlinker={driver},-rpath,{os.path.dirname(driver)}"])

    def instance(self, case):
        flash, cutlass = pathlib.Path(self.arguments.flash_attention), pathlib.Path(self.arguments.cutlass)
        target = "compute_80" if case.capability == 80 else "compute_90a"
        command = [self.arguments.nvcc, "-std=c++17", "-shared", "-Xcompiler=-fPIC", "-cudart=none", "--no-compress",
                   f"-gencode=arch={target},code={target}", "--use_fast_math", "--expt-relaxed-constexpr", "--expt-extended-lambda",
                   "-U__CUDA_NO_HALF_OPERATORS__", "-DNDEBUG", "-w", "-I", str(FOLDER / "include"), "-I", str(FOLDER)]
        if case.version:
            command += ["-I", str(flash / ("csrc/flash_attn/src" if case.version == 2 else "hopper"))]
        if case.capability >= 90:
            command += ["-DCUTLASS_ENABLE_DIRECT_CUDA_DRIVER_CALL=1", "-DCUTLASS_ENABLE_GDC_FOR_SM90"]
        source = f"fa{case.version}.cu" if case.version else "gemm.cu"
        return self.run([*command, "-I", str(cutlass / "include"), "-I", str(cutlass / "tools" / "util" / "include"), *case.options(), str(FOLDER / source)])


def error(got, want):
    return float(np.linalg.norm(got.astype(np.float64) - want) / max(np.linalg.norm(want), 1e-30))


class Reference:
    """Attention and its gradients in float64, [batch, head, sequence, head dim]."""

    def __init__(self, case, q, k, v, scale, slopes, kept=None):
        group = case.heads // case.heads_kv
        self.q, self.k, self.v, self.scale, self.case = q, k.repeat(group, 1), v.repeat(group, 1), scale, case
        s = q @ self.k.swapaxes(-1, -2) * scale
        self.tanh = np.tanh(s / case.softcap) if case.softcap else np.zeros(())
        if case.softcap:
            s = case.softcap * self.tanh
        # The last query is level with the last key.
        row, column = np.arange(case.queries)[:, None] + case.keys - case.queries, np.arange(case.keys)[None, :]
        if case.alibi:
            s = s + slopes[:, :, None, None] * (column if case.causal else -np.abs(row - column))
        if case.causal:
            s = np.where(column <= row, s, -np.inf)
        if case.window:
            s = np.where((column >= row - case.window[0]) & (column <= row + case.window[1]), s, -np.inf)
        top = s.max(-1, keepdims=True)
        self.empty = np.isneginf(top)
        p = np.exp(s - np.where(self.empty, 0, top))
        total = p.sum(-1, keepdims=True)
        self.p = p / np.where(self.empty, 1, total)
        self.dropped = self.p if kept is None else self.p * kept / case.keep
        self.out = self.dropped @ self.v
        with np.errstate(divide="ignore"):
            self.lse = (top + np.log(total))[..., 0]

    def gradients(self, d_out):
        ds = self.p * (d_out @ self.v.swapaxes(-1, -2) - (d_out * self.out).sum(-1, keepdims=True)) * (1 - self.tanh ** 2)
        batch, heads, keys, size = self.k.shape
        grouped = lambda x: x.reshape(batch, self.case.heads_kv, -1, keys, size).sum(2)
        return {"dQ": ds @ self.k * self.scale, "dK": grouped(ds.swapaxes(-1, -2) @ self.q * self.scale),
                "dV": grouped(self.p.swapaxes(-1, -2) @ d_out)}


class Run:
    """A case on the device. Arrays of the device are [batch, sequence, head, head dim]."""

    def __init__(self, case, library, runtime, driver):
        self.case, self.rng = case, np.random.default_rng(20)
        if case.version == 2 and case.direction == "forward" and not case.even:
            # The kernel leaves the rows of a tile beyond the queries unwritten and multiplies them; nothing that it
            # stores depends on them, which the deliveries check.
            os.environ["ATTNC_EMU_SHARED"] = "arbitrary"
        if not case.checks:
            os.environ["ATTNC_EMU_CHECKS"] = "0"
        self.device = Device(driver, f"sm_{case.capability}" + ("a" if case.capability == 90 else ""), delivery="all")
        # An instance is linked with neither library; it finds both in the process.
        self.driver = ctypes.CDLL(os.path.abspath(driver), mode=ctypes.RTLD_GLOBAL)
        self.runtime = ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(library))
        self.library.runProblem.restype = ctypes.c_char_p
        self.runtime.standinLastKernel.restype = ctypes.c_char_p

    def number(self, values):
        """Rounds to the case's type; the bits, and their values."""
        if self.case.dtype == "bf16":
            bits, value = bf16(values)
            return bits, value.astype(np.float64)
        return values.astype(np.float16), values.astype(np.float16).astype(np.float64)

    def value(self, array):
        return (bf16_value(array) if self.case.dtype == "bf16" else array).astype(np.float64)

    def given(self, *shape):
        """Random elements on the device, and their values with heads before the sequence."""
        bits, value = self.number(self.rng.standard_normal(shape))
        return self.device.array(bits), value.swapaxes(1, 2)

    def solve(self, **fields):
        case = self.case
        fields = {name: value.address if hasattr(value, "address") else value for name, value in fields.items()}
        left, right = case.window or (-1, 0 if case.causal else -1)
        if case.version == 2 and case.causal:
            left = case.keys # as the library passes it on to the kernel
        problem = Problem(batch=case.batch, heads=case.heads, heads_kv=case.heads_kv, queries=case.queries, keys=case.keys,
                          splits=case.splits, left=left, right=right, scale=case.size ** -0.5, softcap=case.softcap, keep=case.keep, **fields)
        failure = self.library.runProblem(ctypes.byref(problem))
        self.device.driver.attnc_emu_last_report.restype = ctypes.c_char_p
        report = self.device.driver.attnc_emu_last_report()
        if failure or report:
            raise EmulatorError(f"{(failure or b'').decode()}: {(report or b'').decode()}")

    def attention(self):
        """The outputs' errors, and their bound."""
        case, device = self.case, self.device
        element = np.uint16 if case.dtype == "bf16" else np.float16
        rounded = [-(-n // 128) * 128 for n in (case.queries, case.keys)]
        q, qv = self.given(case.batch, case.queries, case.heads, case.size)
        (k, kv), (v, vv) = (self.given(case.batch, case.keys, case.heads_kv, case.size) for _ in range(2))
        slopes = (0.1 * self.rng.random((1, case.heads)) + 0.02).astype(np.float32)
        fields = dict(q=q, k=k, v=v, counters=device.array(np.zeros(16, np.int32)), slopes=device.array(slopes) if case.alibi else 0)
        out = device.empty(q.shape, element)
        scale = case.size ** -0.5
        if case.direction == "backward":
            want = Reference(case, qv, kv, vv, scale, slopes)
            d_out, d_out_value = self.given(*q.shape)
            keys_shape = (case.batch, case.keys, case.heads if case.version == 2 else case.heads_kv, case.size)
            dq, dk, dv = device.empty(q.shape, element), device.empty(keys_shape, element), device.empty(keys_shape, element)
            accumulator = device.empty((case.batch, rounded[0] + 128, case.heads, case.size), np.float32)
            rows = (case.batch, case.heads, rounded[0] + 128)
            self.solve(**fields, out=device.array(self.number(want.out.swapaxes(1, 2))[0]), lse=device.array(want.lse.astype(np.float32)),
                       d_out=d_out, dq=dq, dk=dk, dv=dv, dq_accumulator=accumulator, delta=device.empty(rows, np.float32),
                       lse_log2=device.empty(rows, np.float32))
            grads = want.gradients(d_out_value)
            got = {"dQ": self.value(dq.numpy())}
            for name, buffer in (("dK", dk), ("dV", dv)):
                x = self.value(buffer.numpy())
                got[name] = x.reshape(*x.shape[:2], case.heads_kv, -1, case.size).sum(3)
            return {name: error(got[name].swapaxes(1, 2), grads[name]) for name in grads}, 2e-2 if case.dtype == "bf16" else 3e-3
        # The kernel that combines splits stores whole tiles of up to 16 logarithms, past the end of an array that has
        # no room for them; PyTorch's allocator gives multiples of 512 bytes.
        rows = case.batch * case.heads * case.queries
        room = device.empty((-(-rows // 128) * 128 if case.splits > 1 else rows,), np.float32)
        fields |= dict(out=out, lse=room)
        if case.splits > 1:
            shape = (case.splits, case.batch, case.heads, case.queries)
            fields |= dict(out_accumulator=device.empty((*shape, -(-case.size // 32) * 32), np.float32), lse_accumulator=device.empty(shape, np.float32))
        kept, errors = None, {}
        if case.keep < 1:
            fields["mask"] = mask = device.empty((case.batch, case.heads, *rounded), element)
        self.solve(**fields)
        if case.keep < 1:
            # The weights come back with the sign of those that were dropped set.
            kept = ~np.signbit(self.value(mask.numpy()))[:, :, :case.queries, :case.keys]
            errors["kept/10"] = abs(kept.mean() - case.keep) / 10
        want = Reference(case, qv, kv, vv, scale, slopes, kept)
        lse = room.numpy()[:rows].reshape(case.batch, case.heads, case.queries)
        errors["out"] = error(self.value(out.numpy()).swapaxes(1, 2), want.out)
        full = ~want.empty[..., 0]
        # Where a row sees no key the logarithm is plus infinity.
        errors["lse"] = error(lse[full], want.lse[full]) + float(not np.all(np.isposinf(lse[~full])))
        return errors, 6e-3 if case.dtype == "bf16" else 1e-3

    def gemm(self):
        m, n, k = 500, 264, 328
        case, element = self.case, np.uint16 if self.case.dtype == "bf16" else np.float16
        (a, av), (b, bv) = (self.number(self.rng.standard_normal(shape)) for shape in ((m, k), (n, k)))
        out = self.device.empty((m, n), np.float32)
        case.queries, case.keys, case.heads = m, n, k # where the wrapper expects them
        workspace = self.device.array(np.zeros(1 << 16, np.int32))
        self.solve(q=self.device.array(a), k=self.device.array(b), out=out, counters=workspace)
        return {"out": error(out.numpy(), av @ bv.T)}, 1e-5


def commit(folder):
    done = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "no git checkout"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flash_attention", help="a checkout of FlashAttention, for its csrc/flash_attn and hopper")
    parser.add_argument("cutlass", help="a checkout of CUTLASS")
    parser.add_argument("--driver", required=True, help="libattnc_emu_cuda.so")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--only", default="", help="run the cases whose names match this expression")
    parser.add_argument("--build", help="keep the compiled instances in this folder, and use those that are there")
    parser.add_argument("--compile-only", action="store_true", help="run nothing")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    chosen = [case for case in cases() if re.search(arguments.only, case.name)]
    if arguments.case:
        name, library, runtime = arguments.case
        case = next(case for case in cases() if case.name == name)
        try:
            run = Run(case, library, runtime, arguments.driver)
            errors, bound = run.attention() if case.version else run.gemm()
            good = not case.report and all(e <= bound for e in errors.values()) # a NaN is not
            print(", ".join(f"{output} {e:.1e}" for output, e in errors.items()) + f" (bound {bound:.0e})")
        except EmulatorError as e:
            good = bool(case.report) and case.report in str(e)
            print(f"reported as {case.report}, rightly" if good else e)
        return 0 if good else 1
    if not shutil.which(arguments.nvcc):
        print("no nvcc: nothing was run\nflash attention: 0 passed, 0 failed")
        return 1
    version = subprocess.run([arguments.nvcc, "--version"], capture_output=True, text=True).stdout
    print(f"nvcc {(re.findall(r'V([0-9.]+)', version) or ['?'])[0]}, FlashAttention {commit(arguments.flash_attention)}, "
          f"CUTLASS {commit(arguments.cutlass)}", flush=True)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        build = Build(arguments, arguments.build or temporary)
        runtime = build.runtime()
        for case in chosen:
            try:
                library = build.instance(case)
                if arguments.compile_only:
                    continue
                command = [sys.executable, __file__, *sys.argv[1:], "--case", case.name, str(library), str(runtime)]
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                good, text = done.returncode == 0, done.stdout.strip() or f"exited with {done.returncode}: {done.stderr[-2000:]}"
            except RuntimeError as e:
                good, text = False, str(e)
            passed, failed = passed + good, failed + (not good)
            print(f"{'ok' if good else 'FAILED'} sm_{case.capability} {case.name}: {text}", flush=True)
    print(f"flash attention: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

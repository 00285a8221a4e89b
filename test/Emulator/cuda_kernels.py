#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles the CUDA C++ kernels of test/Emulator/cuda with nvcc and compares them with NumPy on the emulator.

    cuda_kernels.py --driver build/lib/libattnc_emu_cuda.so [--nvcc nvcc]

The PTX is made now, by whatever nvcc is here, not taken from a fixture. Every launch runs under all deliveries of
asynchronous copies. Without nvcc nothing runs, and the line says so. The last line is `cuda kernels: N passed, N failed`.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

from emulated import Device, EmulatorError

FOLDER = pathlib.Path(__file__).parent / "cuda"
BF16, F32 = 9, 7 # the driver's numbers of these types


def bf16(x):
    """Rounds to bf16; the bits, and their value as singles."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    bits = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return bits, bf16_value(bits)


def bf16_value(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def close(got, want, tolerance):
    """None, or what is wrong: the relative Frobenius error against the tolerance."""
    error = np.linalg.norm(got.astype(np.float64) - want) / max(np.linalg.norm(want), 1e-30)
    return None if error <= tolerance else f"error {error:.1e} exceeds {tolerance:.0e}"


class Sm80:
    """Each test takes the module of its source and a generator, and returns None or what is wrong."""
    profile, sources = "sm_80", ("basics", "gemm", "flash", "groups")

    def saxpy(self, d, m, rng):
        x, y = rng.standard_normal((2, 1000)).astype(np.float32)
        out = d.array(y)
        m["basics"].launch("saxpy", (8,), (128,), [np.int32(1000), np.float32(2), d.array(x), out])
        return close(out.numpy(), 2.0 * x + y, 1e-7)

    def reduction(self, d, m, rng, module, kernel):
        x = rng.standard_normal(5000).astype(np.float32)
        out = d.array(np.zeros(4, np.float32))
        m[module].launch(kernel, (4,), (256,), [np.int32(5000), d.array(x), out])
        return close(out.numpy().sum(dtype=np.float64), x.sum(dtype=np.float64), 1e-5)

    def reduction_by_shuffles(self, d, m, rng):
        return self.reduction(d, m, rng, "basics", "blockSum")

    def reduction_in_shared_memory(self, d, m, rng):
        return self.reduction(d, m, rng, "gemm", "sharedSum")

    def reduction_by_atomics(self, d, m, rng):
        x = rng.standard_normal(1000).astype(np.float32)
        out = d.array(np.zeros(1, np.float32))
        m["gemm"].launch("atomicSum", (8,), (128,), [np.int32(1000), d.array(x), out])
        return close(out.numpy()[0], x.sum(dtype=np.float64), 1e-5)

    def tiled_gemm(self, d, m, rng):
        rows, columns, k = 50, 70, 37
        a, b = rng.standard_normal((rows, k)).astype(np.float32), rng.standard_normal((k, columns)).astype(np.float32)
        c = d.empty((rows, columns), np.float32)
        m["gemm"].launch("tiledGemm", (5, 4), (16, 16), [np.int32(rows), np.int32(columns), np.int32(k), d.array(a), d.array(b), c])
        return close(c.numpy(), a.astype(np.float64) @ b, 1e-6)

    def tensor_core_gemm(self, d, m, rng):
        rows, columns, k = 128, 192, 160
        (a, av), (b, bv) = bf16(rng.standard_normal((rows, k))), bf16(rng.standard_normal((columns, k)))
        c = d.empty((rows, columns), np.float32)
        m["gemm"].launch("tensorGemm", (3, 2), (128,), [np.int32(columns), np.int32(k), d.array(a), d.array(b), c])
        return close(c.numpy(), av.astype(np.float64) @ bv.T, 1e-6)

    def flash_attention(self, d, m, rng):
        heads, n, size = 2, 200, 64
        (q, qv), (k, kv), (v, vv) = (bf16(rng.standard_normal((heads, n, size))) for _ in range(3))
        out = d.empty(q.shape, np.uint16)
        m["flash"].launch("flash_bf16_64", (4, heads), (128,), [d.array(q), d.array(k), d.array(v), out, np.int32(n), np.float32(0.125 * np.log2(np.e)), np.int32(1)],
                          shared=5 * 64 * size * 2)
        s = qv.astype(np.float64) @ kv.swapaxes(1, 2) * 0.125
        p = np.where(np.tri(n, dtype=bool), np.exp(s - s.max(-1, keepdims=True)), 0)
        return close(bf16_value(out.numpy()), p @ vv / p.sum(-1, keepdims=True), 5e-3)


    def cooperative_groups(self, d, m, rng):
        x = rng.integers(0, 50, 128).astype(np.int32)
        sums, prefixes, alike = (d.empty((128,), np.int32) for _ in range(3))
        m["groups"].launch("tilesOfSixteen", (1,), (128,), [d.array(x), sums, prefixes, alike])
        tiles = x.reshape(8, 16)
        same = (tiles[:, :, None] % 4 == tiles[:, None, :] % 4).sum(-1)
        for name, got, want in (("sum", sums, tiles.sum(1, keepdims=True).repeat(16, 1)), ("prefix", prefixes, tiles.cumsum(1)), ("label", alike, same)):
            if (got.numpy() != want.ravel()).any():
                return f"wrong {name} over tiles"
        odd = d.empty((128,), np.int32)
        m["groups"].launch("greatestOdd", (1,), (128,), [d.array(x), odd])
        warps = x.reshape(4, 32)
        want = np.where(warps % 2, np.where(warps % 2, warps, 0).max(1, keepdims=True), 0)
        return None if (odd.numpy() == want.ravel()).all() else "wrong maximum over coalesced threads"

    def radix_sort(self, d, m, rng):
        x = rng.integers(0, 2**32, 512, dtype=np.uint32)
        out = d.empty((512,), np.uint32)
        m["groups"].launch("sortedKeys", (1,), (128,), [d.array(x), out])
        return None if (out.numpy() == np.sort(x)).all() else "not sorted"


class Sm90a:
    profile, sources = "sm_90a", ("hopper", "pipeline", "cluster")

    def tma_pipeline(self, d, m, rng):
        rows, columns, tiles, groups = 300, 100, 5, 2 # 320 rows are read: the last 20 are outside
        x = rng.standard_normal((rows, columns)).astype(np.float32)
        total = d.array(np.zeros((groups, columns), np.float32))
        m["pipeline"].launch("tmaColumnSums", (2, groups), (160,),
                             [d.tensor_map(d.array(x), (32, 64), F32), np.int32(tiles), np.int32(columns), total])
        return close(total.numpy().sum(0), x.sum(0, dtype=np.float64), 1e-6)

    def multicast_in_a_cluster(self, d, m, rng):
        rows, columns, tiles = 140, 100, 5 # 160 rows are read
        x = rng.integers(-9, 9, (rows, columns)).astype(np.float32)
        total = d.array(np.zeros((2, 2, 64), np.float32)) # by columns, by rank
        m["cluster"].launch("multicastSums", (4,), (160,), [d.tensor_map(d.array(x), (16, 64), F32), np.int32(tiles), total])
        want = np.zeros((2, 2, 64))
        want[:, 0] = np.pad(x.sum(0), (0, 28)).reshape(2, 64)
        want[:, 1] = 2 * want[:, 0]
        return close(total.numpy(), want, 1e-7)

    def wgmma(self, d, m, rng, kernel):
        rows, columns, k = 128, 192, 320
        (a, av), (b, bv) = bf16(rng.standard_normal((rows, k))), bf16(rng.standard_normal((columns, k)))
        c = d.empty((rows, columns), np.float32)
        maps = [d.tensor_map(d.array(a), (64, 64), BF16, 3), d.tensor_map(d.array(b), (64, 64), BF16, 3), d.tensor_map(c, (64, 32), F32)]
        m["hopper"].launch(kernel, (columns // 64, rows // 64), (256,), [*maps, np.int32(k)])
        return close(c.numpy(), av.astype(np.float64) @ bv.T, 1e-6)

    def wgmma_gemm_from_shared_memory(self, d, m, rng):
        return self.wgmma(d, m, rng, "gemm_ss")

    def wgmma_gemm_from_registers(self, d, m, rng):
        return self.wgmma(d, m, rng, "gemm_rs")


SHARED = {"reduction", "wgmma"} # what several tests call


def run(suite, arguments):
    """Runs the tests of one device profile in this process; returns (passed, failed)."""
    device = Device(arguments.driver, suite.profile, delivery="all")
    modules = {}
    for name in suite.sources:
        done = subprocess.run([arguments.nvcc, "-ptx", "-O3", "-std=c++17", f"-arch={suite.profile}", "-o", "-", str(FOLDER / f"{name}.cu")],
                              capture_output=True, text=True)
        if done.returncode:
            print(f"FAILED {name}.cu: nvcc: {done.stderr.strip()}")
            return 0, 1
        modules[name] = device.module(done.stdout)
    passed = failed = 0
    for name in [n for n in vars(suite) if callable(getattr(suite, n)) and n not in SHARED]:
        try:
            problem = getattr(suite(), name)(device, modules, np.random.default_rng(7))
        except EmulatorError as e:
            problem = str(e)
        passed, failed = passed + (problem is None), failed + (problem is not None)
        print(f"{'ok' if problem is None else 'FAILED'} {suite.profile} {name}" + (f": {problem}" if problem else ""))
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True, help="libattnc_emu_cuda.so")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--suite", choices=["sm_80", "sm_90a"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not shutil.which(arguments.nvcc):
        print(f"cuda kernels: not run, there is no {arguments.nvcc} here")
        return 0
    suites = {s.profile: s for s in (Sm80, Sm90a)}
    if arguments.suite:
        passed, failed = run(suites[arguments.suite], arguments)
        print(f"{passed} {failed}")
        return failed
    passed = failed = 0
    for profile in suites: # a process has one device
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--suite", profile], capture_output=True, text=True, env=dict(os.environ))
        lines = done.stdout.strip().split("\n")
        print("\n".join(lines[:-1]))
        counts = lines[-1].split()
        ok = len(counts) == 2 and all(c.isdigit() for c in counts)
        passed, failed = passed + (int(counts[0]) if ok else 0), failed + (int(counts[1]) if ok else 1)
        if not ok:
            print(done.stdout + done.stderr)
    print(f"cuda kernels: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m attnc.doctor`: what attnc found here, and whether it works. The exit status is 1 if something that should
work does not; a machine without a GPU is well."""
from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import sys
from collections.abc import Callable

import numpy as np

import attnc
from . import _library

LEVELS = {"x86-64-v2": {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
          "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
          "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}}


def library() -> str:
    """The library, where it is, and what it says that it is."""
    path = _library.path()
    return f"{attnc.library_version()} in {path}, {os.path.getsize(path) / 1e6:.1f} MB; extension {_library.native.__file__}"


def packages() -> str:
    """Python, and the packages that attnc passes tensors to and from."""
    texts = [f"Python {platform.python_version()}", f"numpy {np.__version__}"]
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is not None:
            texts.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(texts)


def cpu() -> str:
    """The CPU and the level of x86-64 that it has."""
    fields: dict[str, str] = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags, level = set(fields.get("flags", "").split()), "x86-64"
    for name, needed in LEVELS.items():
        if not needed <= flags:
            break
        level = name
    more = sorted(flags & {"avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile"})
    threads = len(os.sched_getaffinity(0))
    return f"{fields.get('model name', 'unknown')}, {' '.join([level, *more])}, {threads} CPUs for this process"


def gpu() -> str:
    """The CUDA driver and its devices, asked without PyTorch."""
    name = os.environ.get("ATTNC_CUDA_DRIVER") or "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError as error:
        return f"no CUDA driver ({error}); specs run on the host"
    count, status = ctypes.c_int(), driver.cuInit(0)
    if status != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return f"{name} is there, but cuInit says {status}; specs run on the host"
    texts = []
    for ordinal in range(count.value):
        device, text = ctypes.c_int(), ctypes.create_string_buffer(256)
        major, minor = ctypes.c_int(), ctypes.c_int()
        driver.cuDeviceGet(ctypes.byref(device), ordinal)
        driver.cuDeviceGetName(text, 256, device)
        driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
        driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
        texts.append(f"cuda:{ordinal} {text.value.decode()} (compute capability {major.value}.{minor.value})")
    return "; ".join(texts) or f"{name} has no device; specs run on the host"


def cache() -> str:
    """The folder of the code cache, as the library chooses it, and what is in it."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.path.join(os.environ["HOME"], ".cache") if os.environ.get("HOME") else "")
    given = os.environ.get("ATTNC_CACHE_DIR")
    folder = given if given is not None else os.path.join(home, "attnc") if home else ""
    if not folder:
        return "none: neither ATTNC_CACHE_DIR nor HOME is set; every process compiles anew"
    if not os.path.isdir(folder):
        return f"{folder}, not there yet"
    files = list(pathlib.Path(folder).rglob("*.attncc"))
    state = "" if os.access(folder, os.W_OK) else "; it cannot be written"
    return f"{folder}, {len(files)} entries, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB{state}"


def gallery() -> str:
    """How many specs `attnc.load` knows by name."""
    count = len(attnc.specs())
    if not count:
        raise attnc.AttncError("no spec of the gallery was found: the package is installed without it")
    return f"{count} specs"


def kernel() -> str:
    """Compiles a spec for the host, anew, runs it, and compares with the definition."""
    spec = attnc.load("causal")
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, 40, 32)).astype(np.float32) for _ in range(3))
    out = spec.compile(dtype="f32", head_dim=32, cache=False)(q, k, v)
    error = float(np.abs(out - spec.reference(q, k, v)).max())
    if not error <= 1e-4:
        raise attnc.AttncError(f"causal attention on the host is off by {error:.1e}")
    return f"causal attention on the host, compiled anew, agrees with its definition to {error:.0e}"


CHECKS: dict[str, Callable[[], str]] = {"library": library, "packages": packages, "CPU": cpu, "GPU": gpu, "cache": cache,
                                        "gallery": gallery, "kernel": kernel}


def main() -> int:
    """Prints a line for each check; 1 if one failed."""
    failed = 0
    for name, check in CHECKS.items():
        try:
            text = check()
        except (attnc.AttncError, OSError, ValueError) as error:
            failed += 1
            text = f"FAILED: {error}"
        print(f"{name + ':':<10} {text}")
    print("all is well" if not failed else f"{failed} of {len(CHECKS)} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

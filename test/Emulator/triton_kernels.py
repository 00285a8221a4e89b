#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs Triton kernels on the emulator, launched by their own Python code, and compares what they compute.

    triton_kernels.py --driver build/lib/libattnc_emu_cuda.so [--only PATTERN] [--capability 80] [--delivery POLICY]

The kernels are those of triton_own.py, against PyTorch in double precision, and, where the package is installed, those
of flash-linear-attention (triton_fla.py), against the naive implementations that it brings. Each runs for sm_80 and for
sm_90, under every check and late delivery unless `--delivery` says otherwise (`all`: under each); those known to load
global memory that nothing has written, and to ignore it, with ATTNC_EMU_GLOBAL=arbitrary. Needs the packages triton,
torch (the CPU build) and numpy, and no GPU; without them it says "not run" and succeeds.

Prints a line with the largest relative error of each case, and last `triton kernels: N passed, N failed`.
"""
import argparse
import itertools
import os
import re
import subprocess
import sys
import traceback


def relative_error(got, want):
    import torch
    got, want = got.detach().double(), want.detach().double()
    if got.shape != want.shape:
        raise ValueError(f"shapes differ: {tuple(got.shape)} and {tuple(want.shape)}")
    if not torch.isfinite(got).all() and torch.isfinite(want).all():
        return float("inf")
    return float((got - want).norm() / want.norm().clamp_min(1e-30))


def cases(runtime, arbitrary):
    """Those that read unwritten memory (`arbitrary`), or the others."""
    import triton_own
    if not arbitrary:
        yield from triton_own.cases(runtime)
    try:
        import fla  # noqa: F401
    except ImportError:
        if not arbitrary:
            print("flash-linear-attention is not installed; its kernels are not run")
        return
    import triton_fla
    for case in triton_fla.cases(runtime):
        if bool(re.match(triton_fla.READS_UNWRITTEN, case[0])) == arbitrary:
            yield case


def run(arguments):
    import torch
    from emulated import EmulatorError
    from triton_driver import install
    if arguments.arbitrary:
        os.environ["ATTNC_EMU_GLOBAL"] = "arbitrary"
    runtime = install(arguments.driver, arguments.capability, arguments.delivery)
    passed = failed = 0
    for name, function, bound in cases(runtime, arguments.arbitrary):
        if not re.search(arguments.only, name):
            continue
        torch.manual_seed(1)
        before = len(runtime.launches)
        try:
            errors = {what: relative_error(*both) for what, both in function().items()}
            good = max(errors.values()) <= bound
            text = ", ".join(f"{what} {e:.1e}" for what, e in errors.items()) + f" (bound {bound:.0e})"
        except EmulatorError as e:
            good, text = False, str(e)
        except Exception:
            good, text = False, traceback.format_exc(limit=-4)
        launches = len(runtime.launches) - before
        if good and not launches:
            good, text = False, "launched no kernel"
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok' if good else 'FAILED'} sm_{arguments.capability} {name}, {launches} launches: {text}", flush=True)
        runtime.reset()
    print(passed, failed)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True, help="libattnc_emu_cuda.so")
    parser.add_argument("--only", default="", help="run the cases whose names match this expression")
    parser.add_argument("--delivery", default="late", help="early, late, random:SEED or all")
    parser.add_argument("--capability", type=int, choices=(80, 90), help="of one device instead of both")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--arbitrary", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return run(arguments)
    try:
        import torch
        import triton
    except ImportError as e:
        print(f"triton kernels: not run, {e}")
        return 0
    print(f"triton {triton.__version__}, torch {torch.__version__}")
    passed = failed = 0
    capabilities = [arguments.capability] if arguments.capability else [80, 90]
    for capability, setting in itertools.product(capabilities, ([], ["--arbitrary"])):  # a process has one device
        command = [sys.executable, "-W", "ignore", __file__, "--child", "--driver", arguments.driver,
                   "--only", arguments.only, "--delivery", arguments.delivery, "--capability", str(capability), *setting]
        last = ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout:
                if last:
                    print(last, flush=True)
                last = line.rstrip("\n")
        counts = last.split()
        if len(counts) == 2 and all(c.isdigit() for c in counts):
            passed, failed = passed + int(counts[0]), failed + int(counts[1])
        else:
            print(last)
            failed += 1
    print(f"triton kernels: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

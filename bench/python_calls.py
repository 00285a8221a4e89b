#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a call from Python costs: causal attention of one query and one key at head dim 64, on one host thread, with NumPy arrays
and, where PyTorch is installed, with its tensors and through its dispatcher, beside an operator that does nothing.

    python3 bench/python_calls.py        CPU time and time by the clock of a call, in turns: median and best of the rounds

Environment: ATTNC_LIBRARY as usual. Set ATTNC_NUM_THREADS=1, or it is set here.
"""
import os
import statistics
import sys
import time

os.environ.setdefault("ATTNC_NUM_THREADS", "1")

import attnc  # noqa: E402
import numpy as np  # noqa: E402

ROUNDS, CALLS = 15, 1000


def cases():
    """Name and function of each call."""
    q, k, v, out = (np.ones((1, 1, 1, 64), np.float32) for _ in range(4))
    causal, window = attnc.load("causal"), attnc.load("sliding_window")
    yield "NumPy, out=", lambda: causal(q, k, v, out=out)
    yield "NumPy, new memory", lambda: causal(q, k, v)
    yield "NumPy, by names and with a parameter", lambda: window(q=q, k=k, v=v, out=out, window=7)
    try:
        import torch
    except ImportError:
        return
    from attnc.torch import op as operator_of

    torch.set_num_threads(1)
    tq, tk, tv, tout = (torch.ones(1, 1, 1, 64) for _ in range(4))

    @torch.library.custom_op("attnc_bench::nothing", mutates_args=())
    def nothing(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(q)

    op = operator_of("causal")
    yield "PyTorch, out=", lambda: causal(tq, tk, tv, out=tout)
    yield "PyTorch, new memory", lambda: causal(tq, tk, tv)
    yield "attnc.torch.op", lambda: op(tq, tk, tv)
    yield "an empty torch.library.custom_op", lambda: nothing(tq, tk, tv)


def main():
    calls = dict(cases())
    times = {name: ([], []) for name in calls}
    for call in calls.values():
        for _ in range(300):
            call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            cpu, clock = time.thread_time_ns(), time.perf_counter_ns()
            for _ in range(CALLS):
                call()
            times[name][0].append((time.thread_time_ns() - cpu) / CALLS / 1e3)
            times[name][1].append((time.perf_counter_ns() - clock) / CALLS / 1e3)
    versions = [f"Python {sys.version.split()[0]}", f"NumPy {np.__version__}"]
    versions += [f"PyTorch {sys.modules['torch'].__version__}"] if "torch" in sys.modules else []
    print(", ".join([attnc.library_version(), *versions]))
    print("| call | CPU, median | CPU, best | clock, median | clock, best |\n| --- | --- | --- | --- | --- |")
    for name, (cpu, clock) in times.items():
        numbers = [f"{number:.1f} us" for series in (cpu, clock) for number in (statistics.median(series), min(series))]
        print(f"| {name} | {' | '.join(numbers)} |")


if __name__ == "__main__":
    main()

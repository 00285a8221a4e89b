# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Threads, processes, and the life of handles."""
import concurrent.futures
import gc
import os
import pickle
import subprocess
import sys
import weakref

import attnc
import numpy as np
from conftest import ROOT, assert_close


def test_threads_share_a_kernel(rng, monkeypatch):
    """Eight threads race for the first compilation, which is done once, and then launch at once, each on tensors of
    its own."""
    compiled = []
    kernel_class = attnc._spec.Kernel
    monkeypatch.setattr(attnc._spec, "Kernel", lambda *a, **k: compiled.append(k) or kernel_class(*a, **k))
    spec = attnc.load("sliding_window")
    jobs = [tuple(rng.standard_normal((1, 4, 40 + i, 16)).astype(np.float32) for _ in range(3)) for i in range(32)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: spec(*job, window=5 + len(job[0]), return_lse=True), jobs))
    assert len(compiled) == len(spec._kernels) == 1
    for job, (out, lse) in zip(jobs, found):
        want_out, want_lse = spec.reference(*job, window=6, return_lse=True)
        assert_close(out, want_out, 1e-6)
        assert_close(lse, want_lse, 1e-6)


def test_threads_share_a_reference(qkv):
    spec = attnc.load("alibi")
    slopes = [np.full(4, 2.0 ** -i, np.float32) for i in range(6)]
    wanted = [spec.reference(*qkv, slope=s) for s in slopes]
    assert np.abs(wanted[0] - wanted[5]).max() > 0.01
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda s: spec.reference(*qkv, slope=s), slopes))
    assert all((a == b).all() for a, b in zip(found, wanted))


def test_errors_belong_to_their_thread(qkv):
    """The text of a failure is kept for each thread: concurrent failures do not mix."""
    def fail(i):
        try:
            attnc.Spec(f"attention x{i} {{ mask y{i} }}")
        except attnc.SpecError as error:
            return f"`y{i}`" in str(error)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fail, range(200)))


def test_handles_are_released(qkv):
    spec = attnc.load("causal")
    spec(*qkv)
    (kernel,) = spec._kernels.values()
    gone = [weakref.ref(spec), weakref.ref(kernel)]
    keep = attnc.load("causal").compile(dtype="f32", head_dim=16, v_head_dim=8)
    wanted = spec(*qkv)
    del spec, kernel
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    # A kernel does not need its spec.
    assert (keep(*qkv) == wanted).all()


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_given_back(qkv):
    """Each spec owns a compiler context and each kernel loaded code: neither piles up."""
    def use(count):
        for _ in range(count):
            attnc.load("full")(*qkv)
    use(20)
    before = resident()
    use(200)
    assert resident() - before < 20e6


def test_pickle(qkv):
    spec = attnc.Spec("attention a {}\nattention b(n: int = 4) { mask kv < n }", name="two.attn", variant="b")
    copy = pickle.loads(pickle.dumps(spec))
    assert copy.name == "b" and copy.params == spec.params and (copy(*qkv) == spec(*qkv)).all()


FORK = """
import attnc, numpy as np, os, threading
q = np.random.default_rng(0).standard_normal((1, 4, 300, 16)).astype(np.float32)
spec = attnc.load("full")
want = spec.reference(q, q, q)
def right():
    return np.abs(spec(q, q, q) - want).max() < 1e-5
def child():
    pid = os.fork()
    if pid == 0:
        inner = threading.Thread(target=right)
        inner.start()
        good = right() and right()
        inner.join()
        os._exit(0 if good else 5)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(child())
assert right()
print(child())
# While other threads of the parent are in the middle of launches.
stop = threading.Event()
busy = [threading.Thread(target=lambda: [right() for _ in iter(stop.is_set, True)]) for _ in range(3)]
for thread in busy: thread.start()
print(*[child() for _ in range(20)])
stop.set()
for thread in busy: thread.join()
assert right()
"""


def test_fork():
    """A child runs kernels, on threads of its own, whether or not its parent has run some or is running them."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=100,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "ATTNC_NUM_THREADS": "4"})
    assert done.returncode == 0 and done.stdout.split() == ["0"] * 22, (done.stdout, done.stderr)

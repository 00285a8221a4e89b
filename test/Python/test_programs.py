# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m attnc` and `python -m attnc.doctor`, as a wheel's user starts them."""
import os
import subprocess
import sys

from conftest import ROOT

from attnc import _library


def run(*arguments, status=0, **environment):
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "ATTNC_LIBRARY": _library.path()} | environment)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_line_is_the_programs():
    assert "sliding_window" in run("attnc", "list")
    assert "ok" in run("attnc", "run", str(ROOT / "specs" / "causal.attn"), "--device=host", "--check", "--q-len=20", "--heads=2")
    assert "did you mean `--head-dim`?" in run("attnc", "run", "x.attn", "--head-dims=2", status=2)
    assert "cannot read `none.attn`" in run("attnc", "check", "none.attn", status=1)


def test_the_doctor_says_what_is_there(tmp_path):
    text = run("attnc.doctor", ATTNC_CACHE_DIR=str(tmp_path / "cache"), ATTNC_CUDA_DRIVER="/none/libcuda.so")
    assert [line.split(":")[0] for line in text.splitlines()[:-1]] == ["library", "packages", "CPU", "GPU", "cache", "gallery", "kernel"]
    assert text.endswith("all is well\n") and "no CUDA driver (/none/libcuda.so" in text and f"{tmp_path}/cache, not there yet" in text
    assert "agrees with its definition" in text


def test_the_doctor_finds_the_emulated_device():
    driver = os.path.join(os.path.dirname(_library.path()), "libattnc_emu_cuda.so")
    if os.path.exists(driver):
        assert "(compute capability 9.0)" in run("attnc.doctor", ATTNC_CUDA_DRIVER=driver, ATTNC_EMU_DEVICE="sm_90a")


def test_the_doctor_says_what_is_wrong(tmp_path):
    text = run("attnc.doctor", status=1, ATTNC_LIBRARY=str(tmp_path / "none.so"))
    assert "library:   FAILED: libattnc.so not found" in text and "checks failed" in text

# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The path of CUDA tensors without a GPU: the PTX emulator is the driver, and tensors in its memory come by DLPack."""
import os
import pathlib
import subprocess
import sys

import pytest
from attnc import _library
from conftest import ROOT


def test_device_memory():
    driver = pathlib.Path(os.environ.get("ATTNC_TEST_EMULATOR") or
                          pathlib.Path(_library.path()).parent / "libattnc_emu_cuda.so")
    if not driver.is_file():
        pytest.skip("the emulator is not built")
    done = subprocess.run([sys.executable, str(ROOT / "test" / "Python" / "emulator_session.py")], capture_output=True,
                          text=True, timeout=300,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "ATTNC_CUDA_DRIVER": str(driver)})
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "device works", done.stdout + done.stderr

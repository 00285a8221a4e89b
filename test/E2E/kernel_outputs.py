# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What kernels make of a spec and of given inputs, for tests that compare it themselves."""
import pathlib
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXECUTORS = ["host", "emulator"]


def outputs(folder, text, inputs, names, device, *options):
    """The outputs `names` of a spec, by name; `folder` takes files."""
    (folder / "spec.attn").write_text(text)
    command = [ROOT / "build/bin/attnc", "run", folder / "spec.attn", f"--device={device}", "--no-cache", *options]
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value)
        command.append(f"--input={name}={folder / name}.npy")
    command += [f"--output={name}={folder / name}.out.npy" for name in names]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr + result.stdout
    return {name: np.load(folder / f"{name}.out.npy") for name in names}

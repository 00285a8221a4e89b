# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# The lit suite. Substitutions name our tools by path, so that a test never runs one that happens to be installed;
# features say what the machine has, and tests that need more are reported as unsupported.
import os
import shutil
import subprocess

import lit.formats

config.name = "attnc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".attn", ".test"]
config.excludes = ["Inputs", "Unit", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)

build = lit_config.params.get("build_dir", os.path.join(config.test_source_root, "..", "build"))
build = os.path.realpath(build)
llvm_tools = lit_config.params.get("llvm_tools_dir", "/usr/lib/llvm-22/bin")
config.test_exec_root = os.path.join(build, "test")

config.environment["PATH"] = os.pathsep.join([os.path.join(build, "bin"), llvm_tools, os.environ.get("PATH", "")])
# A cache of compiled code must not make a test pass.
config.environment["ATTNC_CACHE_DIR"] = os.path.join(config.test_exec_root, "cache")
# Every compilation of a test checks the contracts of its phases.
config.environment["ATTNC_VERIFY"] = "1"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions.append(("%source_root", os.path.realpath(os.path.join(config.test_source_root, ".."))))
config.substitutions.append(("%specs", os.path.realpath(os.path.join(config.test_source_root, "..", "specs"))))
config.substitutions.append(("%build", build))
config.substitutions.append(("%python", shutil.which("python3") or "python3"))

ptxas = lit_config.params.get("ptxas") or shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
if ptxas:
    config.available_features.add("ptxas")
    config.substitutions.append(("%ptxas", ptxas))

# A device node is not enough: the driver must answer.
if shutil.which("nvidia-smi"):
    query = subprocess.run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], capture_output=True, text=True)
    if query.returncode == 0 and query.stdout.strip():
        config.available_features.add("gpu")
        config.available_features.add("gpu-sm" + query.stdout.split()[0].replace(".", ""))

with open("/proc/cpuinfo") as file:
    if {"avx2", "fma", "f16c"} <= set(file.read().split()):
        config.available_features.add("host-avx2")

# Sanitizers reserve more addresses than any limit leaves, and an ordinary Python cannot load a library that they instrument
# (scripts/sanitize runs the Python tests with their runtime loaded first).
if "ASAN_OPTIONS" not in os.environ:
    config.available_features.update(["address-limit", "python-library"])

for tool in ("attnc", "attnc-opt", "attnc-spec", "ptx-emu"):
    if os.path.exists(os.path.join(build, "bin", tool)):
        config.available_features.add(tool)

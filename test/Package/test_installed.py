# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The installed package, as a program outside the tree sees it: CMake, pkg-config, the runtime library without LLVM,
artefacts for the host and for a GPU that is not here. Environment: ATTNC_BUILD, the build folder."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTSIDE = ROOT / "test" / "Package" / "outside"
BUILD = pathlib.Path(os.environ.get("ATTNC_BUILD", ROOT / "build"))


def run(*command, expect=0, **environment):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == expect, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", BUILD, "--prefix", folder, "--strip")
    return folder


def library_folder(prefix):
    return next(folder for folder in prefix.glob("lib/**/") if (folder / "libattnc_runtime.so").exists())


@pytest.fixture(scope="module")
def programs(prefix, tmp_path_factory):
    """Built by find_package, in a copy of the project that knows nothing of attnc's tree."""
    source, build = tmp_path_factory.mktemp("outside") / "source", tmp_path_factory.mktemp("build")
    shutil.copytree(OUTSIDE, source)
    run("cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def artefacts(prefix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts")
    for target in ("host", "sm_90a"):
        run(prefix / "bin" / "attnc", "compile", ROOT / "specs" / "causal.attn", f"--target={target}", "--dtype=f32",
            "--head-dim=32", "--emit=artifact", "-o", folder / target, ATTNC_CUDA_DRIVER="/none")
    return folder


def test_exported_names(prefix):
    """attnc_* and nothing else, and all that the headers declare."""
    declared = {name: set(re.findall(r"ATTNC_API [^;]*?(attnc_\w+)\(", (prefix / "include" / "attnc" / name).read_text()))
                for name in ("attnc.h", "runtime.h")}
    for name, expected in (("libattnc.so", declared["attnc.h"] | declared["runtime.h"]),
                           ("libattnc_runtime.so", declared["runtime.h"])):
        found = run("nm", "-D", "--defined-only", library_folder(prefix) / name).split()[2::3]
        assert set(found) == expected


def test_versioned_names(prefix):
    for name in ("libattnc.so", "libattnc_runtime.so"):
        dynamic = run("readelf", "-d", library_folder(prefix) / name)
        assert f"Library soname: [{name}.0.1]" in dynamic


def test_the_runtime_has_no_llvm(prefix):
    """Not as a library that it needs, and not inside: the unstripped one has no name of LLVM's or MLIR's."""
    assert "LLVM" not in run("ldd", library_folder(prefix) / "libattnc_runtime.so")
    symbols = run("nm", "-C", BUILD / "lib" / "libattnc_runtime.so")
    assert "attnc::LoadedCode" in symbols and not re.search(r"\b(llvm|mlir)::", symbols)
    assert (library_folder(prefix) / "libattnc_runtime.so").stat().st_size <= 1_000_000
    assert "llvm::" in run("nm", "-C", BUILD / "lib" / "libattnc.so"), "the check would see LLVM"


def test_a_program_serves_an_artefact(programs, artefacts):
    linked = run("ldd", programs / "serve")
    assert "libattnc_runtime.so.0.1" in linked and "libattnc.so" not in linked and "LLVM" not in linked
    for where in ("host", "parallel"):
        assert run(programs / "serve", artefacts / "host", where) == f"attnc 0.1.0 (runtime) on {where}: 0 failures\n"


def test_a_gpu_artefact_runs_on_the_emulated_driver(programs, artefacts, prefix):
    text = run(programs / "serve", artefacts / "sm_90a", "cuda", ATTNC_EMU_DEVICE="sm_90a",
               ATTNC_CUDA_DRIVER=str(prefix / "lib" / "libattnc_emu_cuda.so"))
    assert text == "attnc 0.1.0 (runtime) on cuda: 0 failures\n"


def test_artefacts_are_refused_where_they_do_not_fit(programs, artefacts, tmp_path):
    text = run(programs / "serve", artefacts / "sm_90a", "host", expect=1)
    assert text == f"`{artefacts}/sm_90a` is code for sm_90a\n"
    text = run(programs / "serve", tmp_path / "none", "host", expect=1)
    assert text == f"cannot read `{tmp_path}/none`: No such file or directory\n"
    damaged = bytearray((artefacts / "host").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    text = run(programs / "serve", tmp_path / "damaged", "host", expect=1)
    assert text == f"`{tmp_path}/damaged`: it is damaged: its checksum does not fit\n"


def test_an_artefact_of_another_cpu_is_refused(programs, prefix, tmp_path):
    """One with all that this CPU lacks: of a feature that no x86-64 CPU has together with this one's."""
    lacking = next(name for name in ("avx10.2", "amx-fp8", "xop", "sse4a", "tbm")
                   if name not in pathlib.Path("/proc/cpuinfo").read_text().replace("_", "."))
    run(prefix / "bin" / "attnc", "compile", ROOT / "specs" / "causal.attn", "--target=host", "--dtype=f32", "--head-dim=32",
        f"--host-features=x86-64-v3,+{lacking}", "--emit=artifact", "-o", tmp_path / "other")
    text = run(programs / "serve", tmp_path / "other", "host", expect=1)
    assert re.match(rf"the code was compiled for another CPU: this one lacks .*{re.escape(lacking)}.*; compile the spec here\n", text)


def test_a_c_program_compiles_to_a_file(programs, tmp_path):
    for target, where in (("host", "host"), ("sm_90a", None)):
        text = run(programs / "compiler", ROOT / "specs" / "causal.attn", target, tmp_path / target)
        assert re.fullmatch(r"attnc 0\.1\.0 \(LLVM 22\.[0-9.]+\)\n", text)
        if where:
            run(programs / "serve", tmp_path / target, where)
    text = run(programs / "compiler", ROOT / "specs" / "causal.attn", "sm_12x", tmp_path / "none", expect=1)
    assert "sm_12x" in text and not (tmp_path / "none").exists()


def test_pkg_config(prefix, artefacts, tmp_path):
    found = {"PKG_CONFIG_PATH": str(library_folder(prefix) / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "attnc-runtime", **found).split()
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++-22"))))
    run(compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", OUTSIDE / "serve.cpp", "-o", tmp_path / "serve", *flags, "-pthread",
        f"-Wl,-rpath,{library_folder(prefix)}")
    assert run(tmp_path / "serve", artefacts / "host", "host") == "attnc 0.1.0 (runtime) on host: 0 failures\n"
    assert run("pkg-config", "--modversion", "attnc", **found) == "0.1.0\n"


def test_the_gallery_is_found(prefix):
    assert "sliding_window" in run(prefix / "bin" / "attnc", "list")


def test_the_documented_commands(prefix, tmp_path):
    """docs/Embedding.md, from the second block on: the first is how `prefix` came to be."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "Embedding.md").read_text(), re.M | re.S)
    assert len(blocks) == 3 and blocks[0] == "cmake --install build --prefix $PREFIX --strip\n"
    shutil.copy(OUTSIDE / "serve.cpp", tmp_path)
    (tmp_path / "run").write_text("set -e\ncd " + str(tmp_path) + "\n" + "".join(blocks[1:]))
    folder = library_folder(prefix).relative_to(prefix)
    text = (tmp_path / "run").read_text().replace("$PREFIX/lib", f"$PREFIX/{folder}")
    assert "0 failures" in run("bash", "-c", text, PREFIX=str(prefix), PATH=f"{prefix}/bin:{os.environ['PATH']}")

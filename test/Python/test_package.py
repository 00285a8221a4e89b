# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The package as such: its names, its types, the C structs, and the search for the library."""
import ast
import ctypes
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys

import attnc
import capi
import pytest
from attnc import _library
from conftest import ROOT

SOURCES = sorted((ROOT / "python" / "attnc").glob("*.py"))


def test_public_names():
    assert sorted(attnc.__all__) == attnc.__all__
    public = {n for n, value in vars(attnc).items() if not n.startswith("_") and not inspect.ismodule(value)}
    assert public == set(attnc.__all__)
    for name in attnc.__all__:
        value = getattr(attnc, name)
        assert value.__doc__, name
        members = vars(value).values() if inspect.isclass(value) else [value]
        for function in (m.fget if isinstance(m, property) else m for m in members):
            if inspect.isfunction(function) and not function.__name__.startswith("__"):
                assert function.__doc__ or function.__name__.startswith("_"), function


def test_every_function_is_annotated():
    assert (ROOT / "python" / "attnc" / "py.typed").exists()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                missing = [a.arg for a in given if a.annotation is None and a.arg != "self"]
                assert node.returns is not None and not missing, f"{path.name}:{node.lineno}: {node.name} {missing}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_syntax_of_the_oldest_python(path):
    ast.parse(path.read_text(), feature_version=(3, 10))


def test_versions_agree():
    assert attnc.library_version().startswith(f"attnc {attnc.__version__} (LLVM ")
    assert f'version = "{attnc.__version__}"' in (ROOT / "pyproject.toml").read_text()


STRUCTS = {"DLTensor": capi.DLTensor, "attnc_param": capi.Param, "attnc_tensor": capi.Tensor,
           "attnc_compile_options": capi.CompileOptions, "DLDataType": capi.DLDataType, "DLDevice": capi.DLDevice}


def test_structs_are_those_of_the_header(tmp_path):
    """Sizes and offsets as a C compiler sees them: a field added to the header must be added here."""
    compiler = next(filter(None, map(shutil.which, ("clang-22", "clang", "cc", "gcc"))), None)
    if compiler is None:
        pytest.skip("no C compiler")
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("%zu ", sizeof({name}));')
        lines += [f'printf("%zu ", offsetof({name}, {field}));' for field, _ in struct._fields_]
    (tmp_path / "layout.c").write_text("#include <attnc/attnc.h>\n#include <stdio.h>\nint main(void) {" + "\n".join(lines) +
                                       "return 0; }\n")
    subprocess.run([compiler, "-I", ROOT / "include", "-o", tmp_path / "layout", tmp_path / "layout.c"], check=True)
    found = [int(x) for x in subprocess.run([tmp_path / "layout"], capture_output=True, check=True).stdout.split()]
    wanted = []
    for struct in STRUCTS.values():
        wanted += [ctypes.sizeof(struct)] + [getattr(struct, field).offset for field, _ in struct._fields_]
    assert found == wanted


def test_declared_functions_are_those_of_the_header():
    header = "".join((ROOT / "include" / "attnc" / name).read_text() for name in ("attnc.h", "runtime.h"))
    exported = set(re.findall(r"ATTNC_API [^;]*?(attnc_\w+)\(", header))
    used = set(re.findall(r'"(attnc_\w+)": \(', (ROOT / "test" / "Python" / "capi.py").read_text()))
    assert used and used <= exported


def test_ctypes_is_no_part_of_the_package():
    """There is one way to the C API. Only the doctor uses ctypes: it asks the CUDA driver, and not through attnc."""
    assert [p.name for p in (ROOT / "python" / "attnc").rglob("*.py") if "ctypes" in p.read_text()] == ["doctor.py"]


def run_python(code, **environment):
    clean = {n: v for n, v in os.environ.items() if n != "ATTNC_LIBRARY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=clean | {"PYTHONPATH": str(ROOT / "python")} | environment)
    return done.stdout + done.stderr


def test_library_search(tmp_path):
    """The variable wins; without it the search ends in an error that says where it looked and what to do."""
    code = "import attnc; print(attnc.library_version())"
    extension = pathlib.Path(_library.native.__file__)
    assert "attnc 0.1.0" in run_python(code, ATTNC_LIBRARY=_library.path())
    (tmp_path / extension.name).symlink_to(extension)  # beside the library, if nowhere else
    missing = run_python(code, ATTNC_LIBRARY=str(tmp_path / "none.so"))
    assert f"LibraryError: libattnc.so not found; looked at {tmp_path}/none.so. Build it" in missing
    (tmp_path / "bad.so").write_text("no library")
    assert f"LibraryError: cannot use {tmp_path}/bad.so" in run_python(code, ATTNC_LIBRARY=str(tmp_path / "bad.so"))
    # A copy of the package without a checkout around it finds the library next to itself.
    package = tmp_path / "site" / "attnc"
    shutil.copytree(ROOT / "python" / "attnc", package, ignore=shutil.ignore_patterns("__pycache__"))
    missing = run_python("import attnc", PYTHONPATH=str(package.parent))
    assert "LibraryError: the extension module _native.abi3.so was not found; looked at " in missing
    assert "Build it (ninja -C build attnc_native attnc_capi), or install attnc from a wheel" in missing
    (package / extension.name).write_text("no module")
    assert f"LibraryError: cannot use {package}/{extension.name}" in run_python("import attnc", PYTHONPATH=str(package.parent))
    (package / extension.name).unlink()
    (package / extension.name).symlink_to(extension)
    assert "libattnc.so not found" in run_python(code, PYTHONPATH=str(package.parent))
    (package / "libattnc.so").symlink_to(pathlib.Path(_library.path()).resolve())
    assert "attnc 0.1.0" in run_python(code, PYTHONPATH=str(package.parent))


def test_signature():
    spec = attnc.Spec("attention probe(cap: f32 = 2.5, sinks: const int = -4, far: f32 = 1e300) {\n  align bottom_right\n"
                      "  input table: f16[32, h], doc: i32[b, kv], keep: bool[b, q], z: bf16[h], one: f32[]\n"
                      "  score cap * tanh(s) + table[kv, h] + one + far mask kv <= q + sinks and keep[b, q] and doc[b, kv] > 0\n"
                      "  sink z[h]\n}")
    assert spec.name == "probe" and list(spec.params) == ["cap", "sinks", "far"]
    assert spec.params["cap"] == attnc.Param("cap", "f32", False, 2.5)
    assert spec.params["sinks"] == attnc.Param("sinks", "int", True, -4)
    assert [str(t) for t in spec.inputs.values()] == [
        "Q[b, h, q, d]: dtype of Q", "K[b, g, kv, d]: dtype of Q", "V[b, g, kv, e]: dtype of Q", "table[32, h]: f16",
        "doc[b, kv]: i32", "keep[b, q]: bool", "z[h]: bf16", "one[]: f32"]
    assert list(spec.outputs) == ["out"] and "lse" in attnc.load("full").outputs
    assert "const sinks: int = -4" in repr(spec)
    with pytest.raises(TypeError):
        spec.params["cap"] = 1


def test_gallery():
    assert set(attnc.specs()) == {p.stem for p in (ROOT / "specs").rglob("*.attn")} and len(attnc.specs()) >= 181
    for name, path in attnc.specs().items():
        assert attnc.load(name).name == attnc.load(path).name == attnc.load(str(path)).name == name

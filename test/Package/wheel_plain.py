# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/test-wheel: what a wheel is for without PyTorch. Run in the environment that it is installed in."""
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import zipfile

import numpy as np

import attnc

BIN = pathlib.Path(sys.executable).parent


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def sections(library):
    """The names of an ELF file's sections."""
    data = library.read_bytes()
    start, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, start + i * size) for i in range(count)]
    table = data[headers[names][4]:headers[names][4] + 4096]
    return [table[h[0]:].split(b"\0", 1)[0].decode() for h in headers]


def check_contents(wheel):
    """The extension, for every Python from 3.10 on, and one library, both stripped, with no second LLVM; the gallery, the types,
    the licences."""
    assert "-cp310-abi3-manylinux" in wheel, wheel
    names = [info.filename for info in zipfile.ZipFile(wheel).infolist()]
    assert sorted(name for name in names if ".so" in name) == ["attnc/_native.abi3.so", "attnc/libattnc.so"], names
    for name in ("attnc/py.typed", "attnc/specs/causal.attn", "attnc/licences/attnc.txt", "attnc/licences/llvm-22-dev.txt",
                 "attnc/licences/zlib1g-dev.txt", "attnc/licences/libzstd-dev.txt"):
        assert name in names, name
    assert not [name for name in names if name.startswith(("attnc/test", "include/", "lib/"))]
    installed = pathlib.Path(attnc.__file__).parent
    assert BIN.parent in installed.parents, installed
    for file in ("_native.abi3.so", "libattnc.so"):
        assert not {".symtab", ".debug_info"} & set(sections(installed / file)), file
    print(f"{os.path.getsize(wheel) / 1e6:.1f} MB, installed {sum(f.stat().st_size for f in installed.rglob('*')) / 1e6:.1f} MB")


def check_runs():
    rng = np.random.default_rng(0)
    q = rng.standard_normal((2, 4, 50, 64)).astype(np.float32)
    k, v = (rng.standard_normal((2, 2, 70, 64)).astype(np.float32) for _ in range(2))
    assert len(attnc.specs()) > 50
    spec = attnc.load("sliding_window")
    out, lse = spec(q, k, v, window=20, return_lse=True)
    want, want_lse = spec.reference(q, k, v, window=20, return_lse=True)
    assert np.linalg.norm(out - want) <= 1e-6 * np.linalg.norm(want) and np.allclose(lse, want_lse, atol=1e-5)
    again = pickle.loads(pickle.dumps(spec))
    assert np.array_equal(again(q, k, v, window=20), out)
    try:
        attnc.Spec("attention wrong { mask kv <= q }")
    except attnc.SpecError as error:
        assert "`q`" in str(error)
    else:
        raise AssertionError("an error was not found")


def check_programs():
    assert "sliding_window" in run(BIN / "attnc", "list")
    gallery = pathlib.Path(attnc.__file__).parent / "specs"
    text = run(BIN / "attnc", "run", gallery / "causal.attn", "--device=host", "--check", "--q-len=40", "--heads=2")
    assert re.search(r"^out .* ok$", text, re.M), text
    assert run(sys.executable, "-m", "attnc", "list") == run(BIN / "attnc", "list")
    done = subprocess.run([BIN / "attnc", "frobnicate"], capture_output=True, text=True)
    assert done.returncode != 0
    doctor = run(sys.executable, "-m", "attnc.doctor")
    assert doctor.endswith("all is well\n") and "libattnc.so" in doctor and "agrees with its definition" in doctor
    print(doctor, end="")


def check_tools():
    """Drawings, the language server, and attnc-reduce, whose commands start the package that is installed."""
    drawing = attnc.load("sliding_window").show(q_len=64, window=16)
    assert drawing._repr_svg_().startswith("<svg") and drawing.counts["partial"] > 0
    assert "key tile" in attnc.load("causal").explain()
    body = b'{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"a","text":"attention x { mask q }"}}}'
    served = subprocess.run([BIN / "attnc-lsp"], input=b"Content-Length: %d\r\n\r\n" % len(body) + body, capture_output=True)
    assert b'"severity": 1' in served.stdout, served
    pathlib.Path("big.attn").write_text("attention big {\n  align bottom_right\n  score 2.0 * s\n  mask kv <= q\n}\n")
    run(BIN / "attnc-reduce", "big.attn", "-o", "small.attn", "--contains=score", "--", "cat", "{}")
    assert pathlib.Path("small.attn").read_text().split() == ["score"]
    print("drawings, attnc-lsp and attnc-reduce work")


def check_types():
    """A program of a user, checked against the types that the package has."""
    pathlib.Path("user.py").write_text("import attnc\nspec: attnc.Spec = attnc.load('causal')\nnames: list[str] = list(spec.params)\n")
    run(sys.executable, "-m", "mypy", "--strict", "user.py")
    pathlib.Path("wrong.py").write_text("import attnc\nspec: int = attnc.load('causal')\n")
    assert subprocess.run([sys.executable, "-m", "mypy", "wrong.py"], capture_output=True).returncode == 1


if __name__ == "__main__":
    check_contents(sys.argv[1])
    check_runs()
    check_programs()
    check_tools()
    check_types()
    print("plain: passed")

# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where the extension module and the library are, and their loading.

The extension (python/native) is the one way to the C API (include/attnc/attnc.h). It uses the limited API of Python, so that
one file serves every version from 3.10 on, and is not linked to the library, so that $ATTNC_LIBRARY can name another one.
"""
from __future__ import annotations

import atexit
import functools
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import sysconfig
from typing import Any

from .errors import LibraryError

VERSION = "0.1.0"
EXTENSION = "_native.abi3.so"


def _folders() -> list[pathlib.Path]:
    """The package's own folders (an editable install has two), then the build folders of the checkout that it lies in."""
    root = pathlib.Path(__file__).resolve().parents[2]
    return [*map(pathlib.Path, sys.modules[__package__].__path__), root / "build-release" / "lib", root / "build" / "lib"]


def _chosen() -> pathlib.Path | None:
    chosen = os.environ.get("ATTNC_LIBRARY")
    return pathlib.Path(chosen) if chosen else None


def candidates() -> list[pathlib.Path]:
    """Where the library is looked for: $ATTNC_LIBRARY alone if it is set, else in the folders."""
    chosen = _chosen()
    return [chosen] if chosen else [folder / "libattnc.so" for folder in _folders()]


def extensions() -> list[pathlib.Path]:
    """Where the extension is looked for: in the package, beside the library, and in the build folders."""
    folders, chosen = _folders(), _chosen()
    if chosen:
        folders.insert(len(folders) - 2, chosen.absolute().parent)
    return [folder / EXTENSION for folder in folders]


def _extension() -> Any:
    """The module attnc._native. Raises LibraryError, so that `import attnc` says what to do without it."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise LibraryError("this Python is free-threaded, and attnc has no build for it yet: use the usual build of the same version")
    paths = extensions()
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise LibraryError(f"the extension module {EXTENSION} was not found; looked at " + ", ".join(map(str, paths)) +
                           ". Build it (ninja -C build attnc_native attnc_capi), or install attnc from a wheel")
    name = f"{__package__}._native"
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    try:
        module: Any = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise LibraryError(f"cannot use {path}: {error}") from error
    if module.VERSION != VERSION:
        raise LibraryError(f"{path} is of attnc {module.VERSION}, this package is attnc {VERSION}: build or install both from one source")
    sys.modules[name] = module
    # Objects that live until the end stay: the process gives everything back, in an order of its own.
    atexit.register(module.keep_handles)
    return module


native = _extension()


@functools.lru_cache(maxsize=None)
def path() -> str:
    """The file of the library, which is loaded by the first call that needs it."""
    paths = candidates()
    found = next((p for p in paths if p.is_file()), None)
    if found is None:
        raise LibraryError("libattnc.so not found; looked at " + ", ".join(map(str, paths)) +
                           ". Build it (ninja -C build attnc_capi) or set ATTNC_LIBRARY to its path")
    try:
        native.load(str(found))
    except OSError as error:
        raise LibraryError(f"cannot use {found}: {error}") from error
    version = native.version()
    if version.split()[1].rsplit(".", 1)[0] != VERSION.rsplit(".", 1)[0]:
        raise LibraryError(f"{found} is {version}, this package is for attnc {VERSION}")
    return str(found)


def load() -> Any:
    """The extension, with the library loaded."""
    path()
    return native

# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`Spec.explain` and `Spec.show`: what the command line says and draws, for notebooks."""
from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _command
from ._kernel import dtype_name
from ._signature import number
from .errors import ArgumentError

if TYPE_CHECKING:
    from ._spec import Spec

_OPTIONS = {"target": "--target", "batch": "--batch", "heads": "--heads", "kv_heads": "--kv-heads", "q_len": "--q-len", "kv_len": "--kv-len",
            "head_dim": "--head-dim", "v_head_dim": "--v-head-dim", "chunk": "--chunk", "head": "--head", "entry": "--entry", "seed": "--seed"}


class Drawing:
    """A mask and its tiles. A notebook shows the picture; `svg` is its text, `str()` says what it counts."""

    def __init__(self, svg: str, counts: Mapping[str, Any]) -> None:
        self.svg = svg
        #: spec, head, entry, tile_q, tile_kv, visible_fraction, and how many tiles are full, partial and empty
        self.counts = dict(counts)

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        c = self.counts
        return (f"{c['spec']}, head {c['head']}, batch entry {c['entry']}: {100 * c['visible_fraction']:.1f} % visible; tiles of "
                f"{c['tile_q']} x {c['tile_kv']}: {c['full']} full, {c['partial']} partial, {c['empty']} empty")

    __repr__ = __str__


def _run(spec: Spec, command: str, folder: pathlib.Path, options: Mapping[str, Any], dtype: Any, params: Mapping[str, float],
         more: list[str]) -> str:
    """What the command prints. Errors are the command's."""
    name = pathlib.PurePath(spec._definition.source[1].decode(errors="replace")).name
    file = folder / ("spec.mlir" if name.endswith(".mlir") else "spec.attn")
    file.write_text(spec.text)
    arguments = [command, file.name, f"--variant={spec.name}", f"--dtype={dtype_name(dtype)}", *more]
    arguments += [f"{_OPTIONS[key]}={value}" for key, value in options.items() if value is not None]
    for name, value in params.items():
        if name not in spec.params:
            raise ArgumentError(f"`{name}` is not a parameter of `{spec.name}`; it has {', '.join(spec.params) or 'none'}")
        arguments.append(f"--param={name}={number(value)!r}")
    done = _command.attnc(arguments, folder=str(folder))
    if done.returncode != 0:
        raise ArgumentError(done.stderr.strip().removeprefix("attnc: error: "))
    return done.stdout


def explain(spec: Spec, options: Mapping[str, Any], dtype: Any, params: Mapping[str, float]) -> str:
    with tempfile.TemporaryDirectory(prefix="attnc-") as name:
        return _run(spec, "explain", pathlib.Path(name), options, dtype, params, [])


def show(spec: Spec, inputs: Mapping[str, Any], options: Mapping[str, Any], dtype: Any, params: Mapping[str, float]) -> Drawing:
    with tempfile.TemporaryDirectory(prefix="attnc-") as name:
        folder, bound = pathlib.Path(name), []
        for index, (key, tensor) in enumerate(inputs.items()):
            if key not in spec.inputs:
                raise ArgumentError(f"`{key}` is not an input of `{spec.name}`; it has {', '.join(spec.inputs)}")
            np.save(folder / f"{index}.npy", np.asarray(tensor))
            bound.append(f"--input={key}={index}.npy")
        counts = json.loads(_run(spec, "show", folder, options, dtype, params, [*bound, "--svg=drawing.svg", "--json"]))
        return Drawing((folder / "drawing.svg").read_text(), counts)

# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A parsed spec in the library: what it takes and yields, the shapes of its outputs, and its evaluation in float64.

Spec and Kernel share one: a kernel asks it for the shapes of what it is about to write.
"""
from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from . import _library
from ._arguments import checked_threads, pack_tensors
from ._program import Op, parse
from ._signature import Signature, plainly_fit, shape_of, sizes_of
from ._tensors import CPU, View, view
from .errors import OutOfMemoryError, SpecError


class Definition:
    """A handle of the library; released when nothing refers to it any more."""

    def __init__(self, text: str, name: str, variant: str | None) -> None:
        source = text.encode("utf-8", "surrogateescape")
        if b"\0" in source:
            raise SpecError(f"{name}: error: the text has a NUL character")
        if "\0" in name or "\0" in (variant or ""):
            raise SpecError("the name of a spec or variant has a NUL character")
        self.text, self.variant = text, variant
        self.source = (source, os.fsencode(name), (variant or "").encode())
        self._handle = _library.load().Spec(*self.source)
        self.signature = Signature.parse(self._handle.signature_json())

    @functools.cached_property
    def program(self) -> tuple[Op, ...]:
        """The ops that define the outputs."""
        text = self._handle.definition_json()
        if text is None:
            raise OutOfMemoryError(f"no memory for the definition of `{self.signature.name}`")
        return parse(text)

    def output_shapes(self, views: Mapping[str, View], params: Mapping[str, float]) -> dict[str, tuple[int, ...]]:
        """The shape of each output of a call. Raises ArgumentError where the shapes of inputs disagree."""
        outputs, sizes = self.signature.outputs, sizes_of(self.signature, views)
        is_known = all(axis in sizes or isinstance(axis, int) for decl in outputs.values() for axis in decl.axes)
        if is_known and plainly_fit(self.signature, views, sizes):
            return {name: shape_of(decl, sizes) for name, decl in outputs.items()}
        return self.computed_shapes(views, params)

    def computed_shapes(self, views: Mapping[str, View], params: Mapping[str, float]) -> dict[str, tuple[int, ...]]:
        """The same by the library, which knows the sizes of index spaces that the spec declares too."""
        # It takes tensors in host memory here and looks at their shapes alone.
        on_host = {name: replace(found, device=(CPU, 0)) for name, found in views.items()}
        text = self._handle.output_shapes_json(pack_tensors(on_host), dict(params))
        return {name: tuple(shape) for name, shape in json.loads(text).items()}

    def evaluate(self, views: Mapping[str, View], params: Mapping[str, float], shapes: Mapping[str, tuple[int, ...]],
                 num_threads: int) -> dict[str, np.ndarray]:
        """Every output in float64, by the reference."""
        arrays = {name: np.empty(shape) for name, shape in shapes.items()}
        written = pack_tensors({name: view(name, array) for name, array in arrays.items()})
        self._handle.reference(pack_tensors(views), dict(params), written, checked_threads(num_threads))
        return arrays

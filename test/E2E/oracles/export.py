# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a case to a folder: inputs/NAME.npy, outputs/NAME.npy, case.json (params, bound, source).

    python -m oracles.export K6 odd out/            # from test/E2E; seed 0
    python -m oracles.export K6 odd out/ --seed 3
"""
import argparse
import json
import pathlib

import numpy as np

from . import catalogue, core


def write(case, folder, **about):
    for part in ("inputs", "outputs"):
        place = pathlib.Path(folder) / part
        place.mkdir(parents=True, exist_ok=True)
        for name, value in getattr(case, part).items():
            np.save(place / f"{name}.npy", value)
    about.update(params=case.params, bound=case.bound)
    (pathlib.Path(folder) / "case.json").write_text(json.dumps(about, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=catalogue.ROWS, metavar="row")
    parser.add_argument("size", choices=core.SIZES)
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    catalogue.load()
    write(core.make_case(args.row, args.size, args.seed), args.folder, row=args.row, size=args.size, seed=args.seed,
          source=core.formula(args.row).source)


if __name__ == "__main__":
    main()

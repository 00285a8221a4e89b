# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`attnc-reduce`, `python -m attnc.reduce`: the smallest spec for which a command still does what it does.

    attnc-reduce failing.attn -o small.attn -- attnc run {} --device=host --check
    attnc-reduce failing.attn --contains "shared memory" -- attnc compile {} --target=sm_80

`{}` is the file that is tried. A spec is interesting if it is correct and the command ends on it with the status that it has for the whole one,
which is not 0; or, with --contains, if the command prints that text. Parts are taken out as long as what is left is: statements, terms, arguments, tokens; numbers become small.
"""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from . import _command
from ._spec import Spec
from .errors import SpecError

_TOKEN = re.compile(r'//[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|<=|>=|==|!=|<<|>>|\s+|.', re.S)
_OPEN, _CLOSE = "([{", ")]}"


def tokens_of(text: str) -> list[str]:
    """The tokens, and the blanks between them; joined they are the text."""
    return _TOKEN.findall(text)


def _join(tokens: list[str]) -> str:
    """With a blank where two words would run together, and no line twice empty."""
    text = ""
    for token in tokens:
        if text and token and re.match(r"\w", token) and re.search(r"\w$", text):
            text += " "
        text += token
    return re.sub(r"\n\s*\n+", "\n", re.sub(r"[ \t]+\n", "\n", text))


def _groups(tokens: list[str]) -> Iterator[tuple[int, int]]:
    """Brackets with what is in them: from the opening one to behind the closing one."""
    opened: list[int] = []
    for i, token in enumerate(tokens):
        if token in _OPEN:
            opened.append(i)
        elif token in _CLOSE and opened:
            yield opened.pop(), i + 1


def _parts(tokens: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Places [begin, end) and what may stand there instead, roughly the largest first."""
    lines, at = [], 0
    for i, token in enumerate(tokens):
        if "\n" in token:
            lines.append((at, i + 1))
            at = i + 1
    lines.append((at, len(tokens)))
    for count in (16, 8, 4, 2, 1):
        for first in range(0, len(lines) - count + 1):
            yield lines[first][0], lines[first + count - 1][1], []
    groups = sorted(_groups(tokens), key=lambda group: group[0] - group[1])
    for begin, end in groups:
        name = begin - 1 if begin and re.fullmatch(r"\w+", tokens[begin - 1]) else begin
        yield begin, end, []                            # an index, parameters
        yield begin, end, tokens[begin + 1:end - 1]     # brackets alone
        if name != begin:
            yield name, end, tokens[begin + 1:end - 1]  # a function of one argument is its argument
            yield name, end, ["1"]
        depth, start = 0, begin + 1
        for i in range(begin + 1, end):                 # one argument, with a comma beside it
            depth += (tokens[i] in _OPEN) - (tokens[i] in _CLOSE)
            if (depth == 0 and tokens[i] == ",") or i == end - 1:
                yield start, i + (tokens[i] == ","), []
                yield max(start - 1, begin + 1), i, []
                start = i + 1
    solid = [i for i, token in enumerate(tokens) if token.strip()]
    for count in range(14, 0, -1):                      # operators with an operand, clauses
        for first in range(0, len(solid) - count + 1):
            yield solid[first], solid[first + count - 1] + 1, []
    for i in solid:
        if re.fullmatch(r"\w.*", tokens[i]):            # a number for a name, or a small one for a large one
            for smaller in ("1", "2", "4", "16"):
                yield i, i + 1, [smaller]


def _weight(text: str) -> tuple[int, int, str]:
    """What becomes less: tokens, then characters, then digits."""
    return sum(1 for token in tokens_of(text) if token.strip()), len(text), text


def reduce(text: str, is_interesting: Callable[[str], bool], say: Callable[[str], None] = lambda line: None) -> str:
    """The text without what it can do without. `is_interesting` is asked once for each text, and is true of `text`."""
    asked: dict[str, bool] = {}

    def ask(candidate: str) -> bool:
        if candidate not in asked:
            asked[candidate] = bool(candidate.strip()) and is_interesting(candidate)
        return asked[candidate]

    found = True
    while found:
        found = False
        tokens, number = tokens_of(text), 0
        parts = list(_parts(tokens))
        while number < len(parts):
            begin, end, instead = parts[number]
            candidate = _join([*tokens[:begin], *instead, *tokens[end:]])
            number += 1
            if _weight(candidate) < _weight(text) and ask(candidate):
                text, found = candidate, True
                tokens = tokens_of(text)
                parts = list(_parts(tokens))
                number = min(number - 1, len(parts))  # what was in vain before is tried again in the next round
                say(f"{_weight(text)[0]} tokens after {len(asked)} runs")
    return text


def _is_correct(text: str, name: str) -> bool:
    """Whether a text is a spec. What is taken out of one mostly leaves none, and the command need not be asked."""
    try:
        Spec(text, name=name)
    except SpecError:
        return False
    return True


def _refuse(why: str) -> int:
    print(f"attnc-reduce: {why}", file=sys.stderr)
    return 1


def _is_whole(command: list[str]) -> None:
    if not command:
        raise SystemExit("attnc-reduce: name the command behind `--`, with {} for the file: -- attnc run {} --check")
    if not any("{}" in part for part in command):
        raise SystemExit("attnc-reduce: the command has no {} for the file that is tried")


def main() -> int:
    """Reduces a file; 1 if the command does not fail on it, so that there is nothing to keep."""
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(prog="attnc-reduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, help="where the result goes (default: standard output)")
    parser.add_argument("--contains", metavar="TEXT", help="interesting is what prints this, whatever the status")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="a run that takes longer is not interesting (default 60)")
    args, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    _is_whole(command)  # argparse has had the rest
    text = args.spec.read_text()
    with tempfile.TemporaryDirectory(prefix="attnc-reduce-") as folder:
        file = os.path.join(folder, args.spec.name)

        def run(candidate: str) -> subprocess.CompletedProcess[str] | None:
            pathlib.Path(file).write_text(candidate)
            try:
                return subprocess.run([part.replace("{}", file) for part in command], stdin=subprocess.DEVNULL, capture_output=True,
                                      text=True, errors="replace", timeout=args.timeout)
            except subprocess.TimeoutExpired:
                return None

        first = run(text)
        if first is None:
            return _refuse(f"the command takes longer than {args.timeout:g} s on {args.spec}: give more with --timeout")
        if args.contains is None and first.returncode == 0:
            return _refuse(f"the command ends with status 0 on {args.spec}; there is nothing to keep")
        if args.contains is None and not _is_correct(text, args.spec.name):
            return _refuse(f"{args.spec} has errors of its own: say with --contains which message is to stay")

        def is_interesting(candidate: str) -> bool:
            if args.contains is None:
                if not _is_correct(candidate, args.spec.name):
                    return False
                done = run(candidate)
                return done is not None and done.returncode == first.returncode
            done = run(candidate)
            return done is not None and args.contains in done.stdout + done.stderr

        if not is_interesting(text):
            return _refuse(f"the command does not print `{args.contains}` on {args.spec}; there is nothing to keep")
        result = reduce(text, is_interesting, lambda line: print(line, file=sys.stderr))
        formatted = _command.attnc(["fmt", "-"], stdin=result)
        if formatted.returncode == 0 and is_interesting(formatted.stdout):
            result = formatted.stdout
    if args.output:
        args.output.write_text(result)
    else:
        print(result, end="" if result.endswith("\n") else "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

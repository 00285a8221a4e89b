# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The words that editors know are those of the parser: in attnc._words, and in the TextMate grammar."""
import json
import re

import pytest
from attnc import _words
from conftest import ROOT

FRONTEND = ROOT / "lib" / "Frontend"
GRAMMAR = json.loads((ROOT / "tools/editors/vscode/attn.tmLanguage.json").read_text())
SPECS = sorted((ROOT / "specs").rglob("*.attn"))


def between(file, begin, end):
    text = (FRONTEND / file).read_text()
    start = text.index(begin)
    return text[start:text.index(end, start)]


def quoted(text):
    return set(re.findall(r'"(\w+)"', text))


def statements():
    return quoted(between("ParseStatement.cpp", "attnc::frontend::statementKind(", "Default"))


def reserved():
    return quoted(between("ParseStatement.cpp", "attnc::frontend::isReserved(", "word);"))


def clauses():
    """Words that the parser asks for somewhere."""
    return set().union(*(re.findall(r'(?:takeWord|isWord)\("(\w+)"\)', path.read_text()) for path in FRONTEND.glob("Parse*.cpp")))


def functions():
    call = (FRONTEND / "EmitCall.cpp").read_text()
    plain = quoted(call[call.index('"min",  "max"'):call.index('"i32"};')])
    special = quoted(between("EmitCall.cpp", 'if (name == "size")', "if (name == \"silu\""))
    rows = quoted(between("EmitStage.cpp", '{"softmax", "cumsum"', "name);"))
    enums = (ROOT / "dialects/Attn/AttnAttrs.td").read_text()
    reductions = set(re.findall(r'def Attn_Reduction\w+\s*: I32EnumAttrCase<"\w+", \d+, "(\w+)">', enums))
    return plain | special | rows | reductions | {"merge"}


def test_words_are_those_of_the_parser():
    assert set(_words.STATEMENTS) == statements()
    assert set(_words.RESERVED) == reserved() - statements()
    assert set(_words.CLAUSES) == clauses() - statements() - reserved()
    types = quoted(between("EmitVariant.cpp", '.Case("f32", builder.getF32Type())', "Default")) | {"int"}
    assert set(_words.TYPES) == types
    assert set(_words.FUNCTIONS) == functions() - types - {"size"}


def test_every_word_is_in_the_page():
    page = (ROOT / "docs/Language.md").read_text()
    for word in _words.WORDS:
        assert re.search(rf"\b{word}\b", page), word


def words_of(scope):
    """The words of a scope in the grammar, whose pattern is one list of them."""
    found = set()
    for pattern in GRAMMAR["patterns"]:
        if pattern.get("name") == scope:
            for group in re.findall(r"\(\?:([a-z0-9|]+)\)", pattern["match"]):
                found |= set(group.split("|"))
    return found


def test_the_grammar_has_the_same_words():
    control = words_of("keyword.control.attn")
    assert control == set(_words.STATEMENTS) | {"attention", "if", "then", "else"}
    assert words_of("keyword.operator.word.attn") == {"and", "or", "not"}
    assert words_of("constant.language.attn") == {"true", "false", "inf"}
    assert words_of("keyword.other.attn") == (set(_words.CLAUSES) - {"size"}) | {"over", "def", "let", "input", "attention", "recurrence"}
    assert words_of("support.function.attn") == set(_words.FUNCTIONS) | {"size"}
    assert words_of("storage.type.attn") == set(_words.TYPES)
    assert words_of("variable.language.attn") == set(_words.SPACES)
    assert set(_words.RESERVED) <= control | words_of("keyword.operator.word.attn") | words_of("constant.language.attn")


def scopes(line):
    """(text, scope) of each token of a line, as an editor finds them: at each place the pattern that matches first in the line, and of
    those the first in the list."""
    at, compiled = 0, [(re.compile(pattern["match"]), pattern) for pattern in GRAMMAR["patterns"]]
    while at < len(line):
        found = [(match.start(), order, match, pattern) for order, (regex, pattern) in enumerate(compiled)
                 if (match := regex.search(line, at)) and match.end() > at]
        if not found:
            break
        _, _, match, pattern = min(found, key=lambda item: item[:2])
        if "name" in pattern:
            yield match[0].strip("{ \t"), pattern["name"], line[at:match.start()]
        else:
            for number, scope in pattern["captures"].items():
                yield match[int(number)], scope["name"], line[at:match.start()] if number == "1" else ""
        at = match.end()
    yield "", "", line[at:]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_grammar_colours_the_gallery(path):
    """Nothing but blanks and brackets is left without a colour, comments are comments, and what begins a line is a statement."""
    body = False
    for line in path.read_text().splitlines():
        tokens = list(scopes(line))
        for _, _, skipped in tokens:
            assert not skipped.strip(" {}()[],:.'"), (line, skipped)
        if "//" in line:
            assert tokens[-2][1].startswith("comment") and tokens[-2][0] == line[line.index("//"):], line
        first, scope, _ = tokens[0]
        if re.match(r"  \w+", line) and not line.startswith("   ") and body and first in _words.STATEMENTS:
            assert scope == "keyword.control.attn", line
        body = True


def test_words_that_are_names_elsewhere():
    assert [token[:2] for token in scopes("  let keys = mask + out[e]")][:2] == [("let", "keyword.control.attn"), ("keys", "variable.other.attn")]
    assert ("mask", "variable.other.attn") in [token[:2] for token in scopes("  let keys = mask + 1")]
    assert ("window", "entity.name.function.attn") in [token[:2] for token in scopes("attention window(n: int = 4) {")]
    assert ("1e-5", "constant.numeric.attn") in [token[:2] for token in scopes("  score s + 1e-5")]

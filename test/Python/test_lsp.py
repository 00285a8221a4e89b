# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The language server, over its standard input and output as an editor has it."""
import json
import os
import subprocess
import sys

import pytest
from attnc import _words, lsp
from conftest import ROOT

GOOD = "attention  small {\n align bottom_right\n  mask kv<=q\n}\n"
BAD = "// Ä😀\nattention bad {\n  score foo(s) // Ä\n  mask q < kv\n}\n"


class Editor:
    """Sends messages and keeps what comes back."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-m", "attnc.lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
        self.number = 0

    def send(self, method, params=None, **more):
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def receive(self):
        return lsp.read_message(self.process.stdout)

    def ask(self, method, params=None):
        self.number += 1
        self.send(method, params, id=self.number)
        answer = self.receive()
        assert answer["id"] == self.number
        return answer

    def open(self, text, uri="file:///a.attn", change=False):
        if change:
            self.send("textDocument/didChange", {"textDocument": {"uri": uri}, "contentChanges": [{"text": text}]})
        else:
            self.send("textDocument/didOpen", {"textDocument": {"uri": uri, "text": text, "languageId": "attn", "version": 1}})
        answer = self.receive()
        assert answer["method"] == "textDocument/publishDiagnostics" and answer["params"]["uri"] == uri, answer
        return answer["params"]["diagnostics"]


def at(line, character):
    return {"textDocument": {"uri": "file:///a.attn"}, "position": {"line": line, "character": character}}


@pytest.fixture
def editor():
    editor = Editor()
    answer = editor.ask("initialize", {"capabilities": {}})
    assert answer["result"]["capabilities"]["documentFormattingProvider"] is True
    editor.send("initialized", {})
    yield editor
    assert editor.ask("shutdown")["result"] is None
    editor.send("exit")
    assert editor.process.wait(20) == 0


def test_a_session(editor):
    assert editor.open(GOOD) == []
    found = editor.open(BAD, change=True)
    assert sorted((d["range"]["start"]["line"], d["range"]["start"]["character"], d["severity"]) for d in found) == [(2, 8, 1), (3, 7, 1)]
    function = next(d for d in found if d["range"]["start"]["line"] == 2)
    assert "`foo` is not a function" in function["message"] and function["range"]["end"]["character"] == 11
    position = next(d for d in found if d["range"]["start"]["line"] == 3)
    assert "add `align bottom_right`" in position["message"]  # its note
    # A text that is no spec stays; another one is put into its layout.
    assert len(editor.open("attention x {\n", change=True)) == 1
    assert editor.ask("textDocument/formatting", {"textDocument": {"uri": "file:///a.attn"}})["result"] == []
    editor.open(GOOD, change=True)
    edit, = editor.ask("textDocument/formatting", {"textDocument": {"uri": "file:///a.attn"}})["result"]
    assert edit["newText"] == "attention small {\n  align bottom_right\n  mask kv <= q\n}\n" and edit["range"]["end"]["line"] > 3
    assert editor.ask("textDocument/hover", at(1, 3))["result"]["contents"]["value"] == _words.STATEMENTS["align"]
    assert editor.ask("textDocument/hover", at(0, 12))["result"] is None
    labels = {item["label"] for item in editor.ask("textDocument/completion", at(2, 2))["result"]}
    assert set(_words.WORDS) | {"small", "bottom_right"} <= labels
    editor.send("textDocument/didClose", {"textDocument": {"uri": "file:///a.attn"}})
    assert editor.receive()["params"]["diagnostics"] == []


def test_requests_that_cannot_be_answered(editor):
    assert editor.ask("textDocument/rename", {})["error"]["code"] == -32601
    assert "error" in editor.ask("textDocument/hover", at(0, 0))  # not open
    assert editor.open(GOOD) == []                                # and it goes on


def test_warnings_are_shown(editor):
    found = editor.open("attention x {\n  align bottom_right\n  mask q // 4 < kv\n}\n")
    assert 2 in [d["severity"] for d in found]


def test_columns_are_units_of_utf16():
    text = 'mask "Ä😀" x\n'
    column = len('mask "Ä😀" '.encode()) + 1
    printed = f"<stdin>:1:{column}: error: wrong\n  mask\n  ^\n"
    found, = lsp.diagnostics(text, printed)
    assert found["range"]["start"] == {"line": 0, "character": len('mask "Ä') + 2 + len('" ')}


def test_the_end_of_input_ends_the_server():
    process = subprocess.run([sys.executable, "-m", "attnc.lsp"], stdin=subprocess.DEVNULL, capture_output=True,
                             env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    assert process.returncode == 1 and not process.stdout and not process.stderr

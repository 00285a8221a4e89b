# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`attnc-lsp`, `python -m attnc.lsp`: a language server for `.attn` on standard input and output.

Diagnostics with their notes as the compiler prints them, completion of the language's words and the names of the file, what a word
means where the pointer is, and formatting. The compiler runs in a process of its own, so that nothing it does can end the server.
"""
from __future__ import annotations

import json
import re
import sys
from typing import IO, Any

from . import _command, _words
from ._library import VERSION

#: "<stdin>:3:8: error: text"; then the line of the file, and what is marked in it.
_HEAD = re.compile(r"^<stdin>:(\d+):(\d+): (error|warning|note): (.*)$")
_SEVERITY = {"error": 1, "warning": 2, "note": 3}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(r"//.*")


def _utf16(line: str, count: int) -> int:
    """The protocol counts UTF-16 units, the compiler bytes of UTF-8: of the first `count` bytes."""
    return len(line.encode()[:count].decode(errors="replace").encode("utf-16-le")) // 2


def diagnostics(text: str, printed: str) -> list[dict[str, Any]]:
    """What the compiler has printed on `text`. A note belongs to the message in front of it."""
    found: list[dict[str, Any]] = []
    lines, source = printed.splitlines(), text.split("\n")
    for i, line in enumerate(lines):
        match = _HEAD.match(line)
        if not match:
            continue
        row, column, kind, message = int(match[1]) - 1, int(match[2]) - 1, match[3], match[4]
        shown = source[row] if row < len(source) else ""
        # The line, then a caret under the column and tildes behind it, but not under a line that is not all ASCII: then the word there.
        if i + 2 < len(lines) and re.fullmatch(r"[ \t]*~*\^~*[ \t~]*", lines[i + 2]):
            marked = len(lines[i + 2].strip()) - lines[i + 2].strip().index("^")
        else:
            word = _NAME.match(shown.encode()[column:].decode(errors="replace"))
            marked = len(word[0]) if word else 1
        span = {"start": {"line": row, "character": _utf16(shown, column)}, "end": {"line": row, "character": _utf16(shown, column + marked)}}
        if kind == "note" and found:
            found[-1]["message"] += f"\n{message}"
        else:
            found.append({"range": span, "severity": _SEVERITY[kind], "source": "attnc", "message": message})
    return found


def check(text: str) -> list[dict[str, Any]]:
    """The errors and warnings of a text. Raises RuntimeError if the compiler says what is not understood."""
    done = _command.attnc(["check", "-"], stdin=text)
    found = diagnostics(text, done.stderr)
    if done.returncode != 0 and not found:
        raise RuntimeError(done.stderr.strip() or f"attnc check ended with status {done.returncode}")
    return found


class Server:
    """The documents that are open, and answers to requests."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._documents: dict[str, str] = {}
        self._is_shut_down = False

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._output.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._output.flush()

    def _publish(self, uri: str) -> None:
        found = check(self._documents[uri]) if uri in self._documents else []
        self._send({"method": "textDocument/publishDiagnostics", "params": {"uri": uri, "diagnostics": found}})

    def _line(self, params: dict[str, Any]) -> tuple[str, int]:
        """The line that a position is on, and how many characters are in front of it."""
        position, lines = params["position"], self._documents[params["textDocument"]["uri"]].split("\n")
        line = lines[position["line"]] if position["line"] < len(lines) else ""
        return line, len(line.encode("utf-16-le")[:2 * position["character"]].decode("utf-16-le", errors="replace"))

    def _completion(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        line, at = self._line(params)
        if "//" in line[:at]:
            return []
        text = _COMMENT.sub("", self._documents[params["textDocument"]["uri"]])
        typed = re.search(r"\w*$", line[:at])
        names = set(_NAME.findall(text)) - set(_words.WORDS) - {typed[0] if typed else ""}
        begins = not line[:at].strip().strip("abcdefghijklmnopqrstuvwxyz_")
        items = [{"label": word, "kind": 3 if word in _words.FUNCTIONS else 14, "documentation": {"kind": "markdown", "value": meaning},
                  "sortText": f"{'0' if begins and word in _words.STATEMENTS else '1'}{word}"} for word, meaning in _words.WORDS.items()]
        return items + [{"label": name, "kind": 6, "sortText": f"1{name}"} for name in sorted(names)]

    def _hover(self, params: dict[str, Any]) -> dict[str, Any] | None:
        line, at = self._line(params)
        for match in _NAME.finditer(_COMMENT.sub("", line)):
            if match.start() <= at < match.end() and match[0] in _words.WORDS:
                return {"contents": {"kind": "markdown", "value": _words.WORDS[match[0]]}}
        return None

    def _formatting(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One edit of all lines; none where the text cannot be parsed, which is shown anyway."""
        text = self._documents[params["textDocument"]["uri"]]
        done = _command.attnc(["fmt", "-"], stdin=text)
        if done.returncode != 0 or done.stdout == text:
            return []
        whole = {"start": {"line": 0, "character": 0}, "end": {"line": text.count("\n") + 1, "character": 0}}
        return [{"range": whole, "newText": done.stdout}]

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        if method == "initialize":
            return {"capabilities": {"textDocumentSync": 1, "completionProvider": {}, "hoverProvider": True, "documentFormattingProvider": True},
                    "serverInfo": {"name": "attnc-lsp", "version": VERSION}}
        if method == "shutdown":
            self._is_shut_down = True
            return None
        answer = {"textDocument/completion": self._completion, "textDocument/hover": self._hover, "textDocument/formatting": self._formatting}
        return answer[method](params)

    def _note(self, method: str, params: dict[str, Any]) -> None:
        document = params.get("textDocument", {})
        if method == "textDocument/didOpen":
            self._documents[document["uri"]] = document["text"]
        elif method == "textDocument/didChange":
            self._documents[document["uri"]] = params["contentChanges"][-1]["text"]
        elif method == "textDocument/didClose":
            self._documents.pop(document["uri"], None)
        else:
            return
        self._publish(document["uri"])

    def handle(self, message: dict[str, Any]) -> int | None:
        """Takes one message. Returns the exit status with the last one."""
        method, params = message.get("method", ""), message.get("params") or {}
        if method == "exit":
            return 0 if self._is_shut_down else 1
        try:
            if "id" not in message:
                self._note(method, params)
            else:
                self._send({"id": message["id"], "result": self._answer(method, params)})
        except KeyError as error:
            if "id" in message:
                self._send({"id": message["id"], "error": {"code": -32601, "message": f"{method}: {error} is not known"}})
        except Exception as error:  # a server that ends takes the editor's other requests with it
            if "id" in message:
                self._send({"id": message["id"], "error": {"code": -32603, "message": f"{method}: {error}"}})
            else:
                self._send({"method": "window/showMessage", "params": {"type": 1, "message": f"attnc: {error}"}})
        return None


def read_message(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message; None at the end of the stream."""
    length = None
    while (line := stream.readline()).strip():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    if length is None:
        return None
    message = json.loads(stream.read(length))
    return message if isinstance(message, dict) else {}


def main() -> int:
    """Serves until the client says `exit` or is gone."""
    server = Server(sys.stdout.buffer)
    while (message := read_message(sys.stdin.buffer)) is not None:
        status = server.handle(message)
        if status is not None:
            return status
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Hides secrets in texts: errors of connectors, logs of jobs, reasons of failures. Standard library only.

A secret is looked for in each way that programs write it down: as it is, escaped as in JSON and in Python, escaped
twice (a JSON document in a log message that is JSON), and as in a URL. A secret of several lines, such as a PEM key,
is hidden as a whole and line by line, since programs indent lines, number them, or write only some of them; one that
is a JSON document, such as a service account's key, is hidden with the texts that are in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "**********"
"""What Airbyte shows instead of a secret (``AirbyteSecretConstants``)."""
SHORTEST = 4
"""Characters of the shortest text that is hidden. Hiding shorter ones would garble every text, and give them away."""
LONGEST_LINE = 1_000_000
"""Characters of a line after which `RedactedLines` passes it on in pieces."""

_LINE_ENDS = re.compile(r"\r\n|\r|\n|\\r\\n|\\n")
_ARMOUR = re.compile(r"-----[A-Z0-9 ]+-----")


class Redactor:
    """Replaces secrets in texts by `MASK`.

    Args:
        secrets: The secret values: texts, numbers, and what a JSON document can hold besides. Texts of less than
            `SHORTEST` characters are left out.
    """

    def __init__(self, secrets: Iterable[Any]) -> None:
        forms = {form for secret in secrets for text in _texts(secret) for form in _forms(text)}
        self._forms = sorted((form for form in forms if len(form.strip()) >= SHORTEST), key=len, reverse=True)
        self._longest = len(self._forms[0]) if self._forms else 0
        self._beginnings: dict[str, list[tuple[str, int]]] = {}
        """By each line of a secret but its last: the secret, and how far it goes with this line."""
        self._firsts: list[str] = []
        """The first lines of secrets, which may begin anywhere in a line."""
        for form in self._forms:
            size = 0
            for number, line in enumerate(form.split("\n")[:-1]):
                size += len(line) + 1
                if number == 0:
                    self._firsts.append(f"{line}\n")
                else:
                    self._beginnings.setdefault(f"{line}\n", []).append((form, size))

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} texts)"

    def text(self, text: str) -> str:
        """A whole text, of one or several lines, without the secrets."""
        parts, position = [], 0
        for start, end in self._spans(text):
            parts += [text[position:start], MASK]
            position = end
        return "".join([*parts, text[position:]]) if position else text

    def stream(self, write: Callable[[str], object]) -> RedactedLines:
        """A writer for a text that comes in pieces; ``write`` gets it line by line, see `RedactedLines`."""
        return RedactedLines(self, write)

    def _held(self, text: str, end: int) -> int:
        """How much of a text that ends with a line may be the beginning of a secret that the next lines complete."""
        last = text[text.rfind("\n", 0, max(end - 1, 0)) + 1 : end]
        firsts = [len(line) for line in self._firsts if text.endswith(line, 0, end)]
        longer = [size for form, size in self._beginnings.get(last, ()) if text.endswith(form[:size], 0, end)]
        return max([*firsts, *longer], default=0)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets are in a text: begins and ends, in order; secrets that overlap or touch are one."""
        found: list[tuple[int, int]] = []
        for form in self._forms:
            start, first, last = text.find(form), -1, -1
            while start >= 0:
                if start > last:
                    found.append((first, last))
                    first = start
                last = start + len(form)
                start = text.find(form, start + 1)
            found.append((first, last))
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if start < 0:  # nothing was found of this form
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _ready(self, text: str) -> int:
        """How much of a text can be passed on: no secret goes on after it, whatever comes next.

        That is a number of whole lines, unless what has no end yet is longer than `LONGEST_LINE`.
        """
        end = text.rfind("\n") + 1
        is_endless = len(text) - end > LONGEST_LINE
        ready = max(len(text) - self._longest + 1, 0) if is_endless else end - self._held(text, end)
        spans = self._spans(text[: max(ready, end) + self._longest])
        while True:
            if not is_endless:
                ready = text.rfind("\n", 0, ready) + 1
            inside = next((start for start, stop in spans if start < ready < stop), None)
            if inside is None:
                return ready
            ready = inside


class RedactedLines:
    """Takes a text in pieces and passes its lines on without the secrets, also those that span several lines or pieces.

    A line waits while it may be the beginning of a secret that the next lines complete. Memory is bounded by the
    longest secret and `LONGEST_LINE`, after which a line is passed on in pieces.

    Args:
        redactor: Knows the secrets.
        write: Gets each line, without its end.
    """

    def __init__(self, redactor: Redactor, write: Callable[[str], object]) -> None:
        self._redactor = redactor
        self._write = write
        self._kept = ""

    def write(self, text: str) -> None:
        """Add a piece of the text, which may end anywhere."""
        self._kept += text
        if "\n" in text or len(self._kept) > LONGEST_LINE:
            self._pass_on(self._redactor._ready(self._kept))  # noqa: SLF001 - two halves of one thing

    def close(self) -> None:
        """Pass on what waits; the text has ended."""
        self._pass_on(len(self._kept))

    def _pass_on(self, end: int) -> None:
        ready, self._kept = self._kept[:end], self._kept[end:]
        if ready:
            for line in self._redactor.text(ready).removesuffix("\n").split("\n"):
                self._write(line)


def _texts(secret: Any) -> Iterator[str]:
    """The texts that a secret value consists of."""
    if isinstance(secret, dict):
        secret = list(secret.values())
    if isinstance(secret, list | tuple):
        for part in secret:
            yield from _texts(part)
    elif isinstance(secret, str):
        yield secret.strip()
        if secret.lstrip().startswith(("{", "[")):
            try:
                document = json.loads(secret)
            except (ValueError, RecursionError):
                return
            # Addresses in a service account's key are the provider's, and errors are hard to read without them.
            yield from (text for text in _texts(document) if not text.startswith(("https://", "http://")))
    elif isinstance(secret, int | float) and not isinstance(secret, bool):
        yield str(secret)


def _forms(text: str) -> Iterator[str]:
    """The ways in which a text is written down."""
    lines = [line.strip() for line in _LINE_ENDS.split(text)]
    if len(lines) > 1:
        for line in ("\n".join(lines), "\r\n".join(lines), *lines):
            yield from _escaped(line)
    if _ARMOUR.search(text):  # in a PEM key that was put into one line, spaces stand for the ends of lines
        yield from _ARMOUR.sub(" ", text).replace("\\n", " ").split()
    yield from _escaped(text)


def _escaped(text: str) -> Iterator[str]:
    yield text
    for safe in ("", "/"):
        yield quote(text, safe=safe, errors="replace")
    yield quote_plus(text, errors="replace")
    for once in _quoted(text):
        yield once
        yield from _quoted(once)


def _quoted(text: str) -> set[str]:
    """A text as it is between the quotes of JSON, and of Python, which takes the quotes that the rest leaves it."""
    python = repr(f'"{text}')[2:-1]
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], python, python.replace("\\'", "'")}

"""Secrets in texts: hidden however they are written, and wherever a text is cut."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.local import redaction
from airbyte_dagster.local.redaction import LONGEST_LINE, MASK, Redactor

PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\nabc=\n-----END PRIVATE KEY-----\n"
)
ODD = 'pä"ss\\wörd/+ €'


def lines_of(redactor: Redactor, *pieces: str) -> list[str]:
    lines: list[str] = []
    stream = redactor.stream(lines.append)
    for piece in pieces:
        stream.write(piece)
    stream.close()
    return lines


@pytest.mark.parametrize("secret", [ODD, f"{ODD}'s"])
@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps(json.dumps({"key": secret})),
        lambda secret: repr(repr({"key": secret, "other": "it's"})),
        lambda secret: repr(json.dumps({"key": secret, "other": "it's"})),
        lambda secret: f"https://user:{quote_plus(secret)}@host/",
    ],
)
def test_each_way_of_writing(write: Callable[[str], str], secret: str) -> None:
    """As it is, as JSON, as JSON in JSON, as Python, as Python in Python and as a URL write it."""
    shown = Redactor([secret]).text(f"before {write(secret)} after")
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    for part in ("ss", "rd"):
        assert part not in shown


@pytest.mark.parametrize(
    "written",
    [
        PEM,
        PEM.strip(),
        PEM.replace("\n", "\r\n"),
        json.dumps({"key": PEM}),
        repr(PEM),
        PEM.replace("\n", "\n    "),
        "\n".join(f"2026-01-01 INFO {line}" for line in PEM.splitlines()),
        PEM.replace("\n", " "),
        PEM.replace("\n", ""),
    ],
)
@pytest.mark.parametrize("given_as", [PEM, PEM.replace("\n", "\r\n"), PEM.replace("\n", "\\n"), PEM.replace("\n", " ")])
def test_keys_of_several_lines(written: str, given_as: str) -> None:
    """A PEM key is hidden with other ends of lines, with indentation, with each line's time, and in one line."""
    redactor = Redactor([given_as])
    for shown in (redactor.text(f"key: {written} end"), "\n".join(lines_of(redactor, f"key: {written} end\n"))):
        for part in ("MIIEv", "AQEF", "abc="):
            assert part not in shown
        assert shown.endswith("end")


def test_numbers_and_what_is_in_documents() -> None:
    """A secret that is a number, an object or a text that holds JSON is hidden with all that is in it."""
    account = json.dumps({"private_key": PEM, "client_id": "123456789", "token_uri": "https://oauth2.example/token"})
    redactor = Redactor([987654321, 2.71828, {"deep": ["hidden-in-list"]}, account, True, None])
    text = f"987654321 2.71828 hidden-in-list True None {PEM} 123456789 https://oauth2.example/token"
    assert redactor.text(text) == f"{MASK} {MASK} {MASK} True None {MASK}\n {MASK} https://oauth2.example/token"
    assert "hidden" not in repr(redactor)


def test_short_texts_stay() -> None:
    """Hiding what is shorter than four characters would garble everything."""
    assert Redactor(["a", "", "abc", "   ", 12]).text("a abc 12") == "a abc 12"


def test_secrets_that_overlap_are_both_hidden() -> None:
    """Where one begins in another, nothing of either stays."""
    assert Redactor(["abcd", "bcdefgh"]).text("xabcdefghx") == f"x{MASK}x"


def test_a_secret_of_short_lines_is_caught_over_lines() -> None:
    """Lines that are too short to be hidden by themselves wait for those that complete the secret."""
    redactor = Redactor(["a\nb\nc\nd"])
    assert lines_of(redactor, "1 a\n", "b\n", "c\n", "d\n", "2\n") == [f"1 {MASK}", "2"]
    assert lines_of(redactor, "1 a\n", "b\n", "x\n") == ["1 a", "b", "x"]
    assert lines_of(redactor, "1 a\n", "b\n") == ["1 a", "b"]
    assert lines_of(redactor, "1 a\n", "a\n", "b\n", "c\n", "d\n", "2\n") == ["1 a", MASK, "2"]
    assert lines_of(Redactor(["a\na\na\nb"]), *("a\n" * 7), "b\n") == ["a"] * 4 + [MASK]


def test_a_secret_of_many_lines_takes_no_more_than_its_size() -> None:
    """A bundle of certificates, or a whole document, is no burden: neither its lines nor its beginnings are copied."""
    secret = "\n".join(f"{number:060}" for number in range(3000))
    tracemalloc.start()
    try:
        redactor = Redactor([secret])
        assert lines_of(redactor, f"a\n{secret}\n", "b") == ["a", MASK, "b"]
        assert tracemalloc.get_traced_memory()[1] < 30 * len(secret)
    finally:
        tracemalloc.stop()


def test_lines_come_as_soon_as_they_are_whole() -> None:
    """What can't be the beginning of a secret is not held back."""
    lines: list[str] = []
    stream = Redactor(["planted", "a\nb\nc\nd"]).stream(lines.append)
    stream.write("one\nplan")
    assert lines == ["one"]
    stream.write("ted\n\nlast")
    assert lines == ["one", MASK, ""]
    stream.close()
    assert lines == ["one", MASK, "", "last"]


def test_an_endless_line_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and a secret on the cut is hidden all the same."""
    monkeypatch.setattr(redaction, "LONGEST_LINE", 100)
    assert LONGEST_LINE >= 1_000_000
    lines: list[str] = []
    stream = Redactor(["planted-secret"]).stream(lines.append)
    for _ in range(100):
        stream.write("xxplanted-secretyy")
        assert len(stream._kept) < 150
    stream.close()
    assert len(lines) > 10
    assert "".join(lines) == f"xx{MASK}yy" * 100


TEXTS = st.text(alphabet='ab\n\r\\"é ', max_size=12)


@given(secrets=st.lists(TEXTS, max_size=3), parts=st.lists(TEXTS, max_size=8), data=st.data())
def test_nothing_passes_however_a_text_is_cut(secrets: list[str], parts: list[str], data: Any) -> None:
    """Pieces give what the whole gives, and no secret is in either."""
    mixed = [data.draw(st.sampled_from([part, *secrets, *map(json.dumps, secrets)])) for part in parts]
    redactor, text = Redactor(secrets), "".join(mixed)
    whole = redactor.text(text)
    assert "\n".join(lines_of(redactor, *mixed)) in (whole, whole.removesuffix("\n"))
    assert whole == redactor.text(whole)
    for secret in secrets:
        if len(secret.strip()) >= redaction.SHORTEST:
            assert secret.strip() not in whole

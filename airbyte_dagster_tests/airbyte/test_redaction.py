"""Hiding secrets in texts."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from airbyte_dagster.airbyte.redaction import HIDDEN, redact, secrets_of


def test_what_counts_as_a_secret() -> None:
    """Strings of six characters and more at, or below, keys that look like secrets; no others."""
    configuration = {
        "host": "db.example.com",
        "password": "hunter22",
        "pin": "123456789",
        "api_key": "short",
        "credentials": {"auth_type": "Client credentials", "client_secret": "s3cret-1", "extra": ["s3cret-2"]},
        "tunnel": [{"ssh_key": "s3cret-3"}],
        "service_account_info": '{"a": "s3cret-4"}',
        "token": None,
        "tokens": 123456789,
    }
    assert set(secrets_of(configuration)) == {"hunter22", "s3cret-1", "s3cret-2", "s3cret-3", '{"a": "s3cret-4"}'}


def test_short_secrets_hide_whole_words_only() -> None:
    """A password of one letter doesn't blank out the message."""
    assert redact("a bad idea: a", ["a"]) == "[hidden] bad idea: [hidden]"


def test_longer_secrets_first() -> None:
    """A secret that contains another is hidden as a whole."""
    assert redact("got abcdefgh-ijkl", ["abcdefgh", "abcdefgh-ijkl"]) == "got [hidden]"


def test_nothing_to_hide() -> None:
    """Without secrets, or with empty ones, a text stays as it is."""
    assert redact("a text", ["", " "]) == "a text"


@given(st.text(alphabet="abXY12/+%&\"'\\ é\n", min_size=6, max_size=30), st.sampled_from(["", "(", " before "]))
def test_every_spelling(secret: str, around: str) -> None:
    """A secret is found as it is, within JSON, within a URL and within HTML."""
    assume(len(secret.strip()) >= 6)
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), html.escape(secret)):
        assert redact(f"{around}{form}{around}", [secret]) == f"{around}{HIDDEN}{around}"

"""Values as YAML in which no text is a template, and comments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

_MARKS = ("{{", "{%")
_LINE = 116


class _Dumper(yaml.SafeDumper):
    """Writes block style, with lists indented below their key, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow=flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = "'" not in text and text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _represent_text)


def dumped(value: Any) -> str:
    """Return YAML in block style, one line for each scalar, keys in their order."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**20)
    )


def indented(text: str) -> str:
    """Return lines one level further in."""
    return textwrap.indent(text, "  ")


def comment(text: str) -> str:
    """Return comment lines, in which nothing of the text can end them."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    indent = "#   " if text.startswith("-") else "# "
    lines = textwrap.wrap(
        printable, _LINE, initial_indent="# ", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in lines)


def escaped(value: Any) -> Any:
    """Return a value in which no text is a template."""
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, str) and any(mark in value for mark in _MARKS):
        return f"{{{{ {value!r} }}}}"
    return value

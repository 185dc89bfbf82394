"""Looks for planted secrets: in files, databases, texts, command lines and environments, however they are written."""

from __future__ import annotations

import base64
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import sqlalchemy as sa
from typing_extensions import Self

#: Where a text is, and the text.
Text = tuple[str, str]


def planted(name: str) -> str:
    """The secret of a place: distinct, and the same whether it is escaped, or quoted for a URL, or not."""
    return f"PLANTED-{re.sub('[^A-Za-z0-9]', '-', name)}-5e3c7e7"


def forms(secret: str) -> set[str]:
    """How a secret may be written: as it is, and in base64 wherever it begins there, as credentials are sent."""
    found = {secret}
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        # What the bytes before and after it have a part in is left out.
        found.add(coded[(offset * 4 + 2) // 3 : len(coded) - 4])
    return found


def found_in(texts: Iterable[Text], secrets: Iterable[str]) -> set[tuple[str, str]]:
    """Where secrets are in texts: pairs of a place and a secret."""
    by_form = {form: secret for secret in secrets for form in forms(secret)}
    any_form = re.compile("|".join(re.escape(form) for form in sorted(by_form, key=len, reverse=True)))
    return {(where, by_form[match[0]]) for where, text in texts for match in any_form.finditer(text)}


def texts_of(directory: Path) -> Iterator[Text]:
    """Everything readable below a directory, by path; what databases hold compressed, too, by table and column."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            name, content = str(path.relative_to(directory)), path.read_bytes()
            yield name, content.decode("latin-1")
            if content.startswith(b"SQLite format 3"):
                for where, text in texts_of_database(f"sqlite:///{path}"):
                    yield f"{name}: {where}", text


def texts_of_database(url: str | sa.URL) -> Iterator[Text]:
    """Every value of every table, by table and column."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                quoted = connection.dialect.identifier_preparer.quote(table)
                for row in connection.exec_driver_sql(f"SELECT * FROM {quoted}").mappings():  # noqa: S608
                    for column, value in row.items():
                        for text in _readable(value):
                            yield f"{table}.{column}", text
    finally:
        engine.dispose()


def _readable(value: Any) -> Iterator[str]:
    """A value as text, and what it is when it is unpacked."""
    content = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
    yield content.decode("latin-1")
    # As Dagster keeps snapshots, and as this package keeps the state of a workspace.
    for unpack in (zlib.decompress, lambda packed: zlib.decompress(base64.b85decode(packed.partition(b"\n")[2]))):
        try:
            yield unpack(content).decode("latin-1")
        except (zlib.error, ValueError):
            continue


def assert_nowhere(secrets: Iterable[str], directory: Path, *texts: str) -> None:
    """No secret is below a directory, nor in any of the texts."""
    assert found_in([*texts_of(directory), *(("output", text) for text in texts)], secrets) == set()


class Processes:
    """Looks again and again at all that some processes start, for the time of a block.

    Attributes:
        command_lines: Of all that were seen.
        environments: By command line.

    Args:
        roots: Ids of the processes, which are looked at, too.
        every: Seconds between two looks.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], *, every: float = 0.5) -> None:
        self.command_lines: set[str] = set()
        self.environments: dict[str, set[str]] = {}
        self._roots = roots
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def look(self) -> None:
        """Look now."""
        for root in self._roots():
            try:
                process = psutil.Process(root)
                family = [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for one in family:
                try:
                    line = " ".join(one.cmdline())
                    environment = {f"{name}={value}" for name, value in one.environ().items()}
                except psutil.Error:  # it has ended meanwhile
                    continue
                self.command_lines.add(line)
                self.environments.setdefault(line, set()).update(environment)

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

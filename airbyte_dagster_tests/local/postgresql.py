"""A private PostgreSQL server from the system's packages, as the ``postgres`` user if the tests run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "p@ss/w:o r%d#"


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: Where it listens, on 127.0.0.1.
    """

    port: int

    @property
    def configuration(self) -> dict[str, Any]:
        """A destination's configuration, in Airbyte's keys."""
        return {
            "destinationType": "postgres",
            "host": "127.0.0.1",
            "port": self.port,
            "database": "postgres",
            "schema": "raw",
            "username": "airbyte",
            "password": PASSWORD,
            "ssl_mode": {"mode": "prefer"},
        }

    def query(self, sql: str) -> list[list[str]]:
        """The rows of a query, as texts; NULL is ``~``."""
        address = f"host=127.0.0.1 port={self.port} dbname=postgres user=airbyte"
        command = ["psql", "-X", "-A", "-t", "-F", "|", "-P", "null=~", "-v", "ON_ERROR_STOP=1", address, "-c", sql]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        return [line.split("|") for line in printed.splitlines()]


def _program(name: str) -> str:
    found = [*sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)]
    program = str(found[0]) if found else shutil.which(name)
    assert program, f"{name} is not there: `make test` installs the package postgresql"
    return program


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Make a cluster in a directory of its own and run it for the time of the block."""
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}

    def run(*command: str | Path) -> None:
        # Not into a pipe: the server would keep it open.
        with (directory / "output").open("ab") as output:
            code = subprocess.run(command, stdout=output, stderr=output, cwd=directory, check=False, **who)
        assert code.returncode == 0, (directory / "output").read_text()

    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        directory = Path(name)
        data, secret = directory / "data", directory / "secret"
        secret.write_text(PASSWORD)
        if user:
            for path in (directory, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        make: list[str | Path] = [
            "--auth",
            "scram-sha-256",
            "--username",
            "airbyte",
            "--pwfile",
            secret,
            "--encoding",
            "UTF8",
            "--no-sync",
        ]
        run(_program("initdb"), "--pgdata", data, *make)
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory} -c fsync=off"
        run(_program("pg_ctl"), "--pgdata", data, "--wait", "--options", options, "start")
        try:
            yield Postgres(port)
        finally:
            run(_program("pg_ctl"), "--pgdata", data, "--wait", "--mode", "immediate", "stop")

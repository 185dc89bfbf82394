"""A private MariaDB server from the system's packages, as the ``mysql`` user if the tests run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from airbyte_dagster_tests.local.postgresql import PASSWORD

_PATIENCE = 120


def _program(name: str) -> str:
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    assert program, f"{name} is not there: `make test` installs the package mariadb-server"
    return program


@contextmanager
def running_mariadb() -> Iterator[int]:
    """Make a data directory and run a server for the time of the block; its port, where ``airbyte`` may do all."""
    user = pwd.getpwnam("mysql") if os.geteuid() == 0 else None
    who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    with tempfile.TemporaryDirectory(prefix="maria-") as name:
        directory = Path(name)
        if user:
            os.chown(directory, user.pw_uid, user.pw_gid)
        subprocess.run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={directory / 'data'}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            capture_output=True,
            cwd=directory,
            **who,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = directory / "start.sql"
        start.write_text(
            f"CREATE USER airbyte@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO airbyte@'127.0.0.1' WITH GRANT OPTION;\nCREATE DATABASE raw;\n"
        )
        # It says by systemd's protocol when it takes connections, so nothing is polled.
        address = directory / "ready"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(address))
            address.chmod(0o777)
            told.settimeout(_PATIENCE)
            server = subprocess.Popen(
                [
                    _program("mariadbd"),
                    "--no-defaults",
                    f"--datadir={directory / 'data'}",
                    f"--socket={directory / 'socket'}",
                    f"--init-file={start}",
                    f"--port={port}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0",
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(address)},
                stdout=subprocess.DEVNULL,
                stderr=(directory / "output").open("w"),
                cwd=directory,
                **who,
            )
            try:
                while b"READY=1" not in told.recv(4096):
                    pass
                yield port
            finally:
                server.kill()
                server.wait()


def query(port: int, *statements: str) -> None:
    """Run statements as ``airbyte``."""
    with pymysql.connect(host="127.0.0.1", port=port, user="airbyte", password=PASSWORD, autocommit=True) as connection:
        for statement in statements:
            connection.cursor().execute(statement)

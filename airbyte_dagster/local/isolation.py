"""What processes that run other people's code get of this one: few variables, and no core files. Standard library only.

They run as the same user, so this keeps secrets from being handed to them, or written down by them, by accident.
"""

from __future__ import annotations

import os
import resource

_FOR_PROGRAMS = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("JAVA_HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
}
"""The variables that a program gets, with those that begin with ``LC_``; any other may hold a secret."""
_FOR_UV = ("UV_", "XDG_", "PYENV_")
"""How those begin that uv gets besides: for an index of one's own, its cache, and where Pythons are."""
_ALSO_FOR_UV = {"TMPDIR", "NETRC", "CC", "CXX", "CFLAGS", "LDFLAGS"}


def connector_environment(scratch: str) -> dict[str, str]:
    """The environment of a connector's process: what programs need of the server's own, and nothing else of it.

    Args:
        scratch: A private directory for its temporary files.
    """
    return {**_for_programs(), "TMPDIR": scratch, "DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}


def uv_environment() -> dict[str, str]:
    """The environment of uv, which may run the build of a package: of no Airbyte and no warehouse."""
    own = {key: value for key, value in os.environ.items() if key.startswith(_FOR_UV) or key in _ALSO_FOR_UV}
    return {**_for_programs(), **own, "VIRTUAL_ENV": ""}


def forbid_core_files() -> None:
    """Have this process, and all that it starts from now on, leave no core file: its memory has secrets and rows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _for_programs() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key in _FOR_PROGRAMS or key.startswith("LC_")}

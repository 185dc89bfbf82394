"""Look for known vulnerabilities of pinned packages: ``python scripts/audit.py FILE…``, run by ``make audit``.

pip-audit passes over a package that the advisory service does not answer for, and ends well. Here that is no pass:
exit code 0 says that the service knew each package and no vulnerability of it, 1 that there are some, 3 that nothing
can be said, as where the network does not reach the service.
"""
# ruff: noqa: INP001, T201 - a program, of an environment that has nothing of this project's

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

VULNERABLE = 1
COULD_NOT_LOOK = 3
_MOST_NAMED = 5


def judge(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit code, and lines that say why.

    Args:
        dependencies: As pip-audit's JSON has them: ``name``, and ``version`` with ``vulns``, or ``skip_reason``.
    """
    known = [
        f"{item['name']} {item['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for item in dependencies
        for found in item.get("vulns", ())
    ]
    skipped = [item["name"] for item in dependencies if "skip_reason" in item]
    lines = list(known)
    if skipped or not dependencies:
        more = ", …" if len(skipped) > _MOST_NAMED else ""
        named = f" ({', '.join(skipped[:_MOST_NAMED])}{more})" if skipped else ""
        lines.append(
            f"Could not look: the advisory service gave no answer for {len(skipped)} of {len(dependencies)} "
            f"packages{named}. This says nothing of them."
        )
    if known:
        return VULNERABLE, lines
    return (COULD_NOT_LOOK, lines) if lines else (0, [f"No known vulnerability in {len(dependencies)} packages."])


def audited(file: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of the packages of a requirements file that this Python would get.

    Raises:
        LookupError: It gave no report.
    """
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--disable-pip"]
    done = subprocess.run([*command, "--requirement", file], capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise LookupError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]) from None
    return found


def main(files: list[str]) -> int:
    """Audit the packages of requirements files."""
    try:
        code, lines = judge([item for file in files for item in audited(file)])
    except LookupError as error:
        code, lines = COULD_NOT_LOOK, [f"Could not look: pip-audit gave no report: {error}"]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

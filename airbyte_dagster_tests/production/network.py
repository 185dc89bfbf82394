"""Hosts of their own on one machine: Linux namespaces, joined by a bridge.

Each host has an address, a file system in memory, and process ids of its own. Nothing has a name in the system: when
the first process of a host ends, the kernel takes away all that belongs to it, and that process ends with this one.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airbyte_dagster_tests.production.image import Image

_Found = TypeVar("_Found")

_PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "mount")
_START_SECONDS = 20.0
#: What `unshare` makes besides the network, which the switch has, too.
_OWN = ("--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private")


def missing() -> str | None:
    """What is not there that hosts need, for people; ``None`` if all is."""
    if os.geteuid() != 0:
        return "Hosts of their own are Linux network namespaces, which need root."
    programs = [name for name in _PROGRAMS if shutil.which(name) is None]
    if programs:
        return f"These programs are missing: {', '.join(programs)} (Debian: iproute2, util-linux)."
    tried = subprocess.run(["unshare", "--net", *_OWN, "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"The system gives no namespaces: {tried.stderr.strip()}"


def eventually(condition: Callable[[], _Found | None], what: str, seconds: float = 60.0, every: float = 0.1) -> _Found:
    """Ask again and again until the answer is truthy, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"never came within {seconds:.0f} s: {what}"
        threading.Event().wait(every)


def run(*command: str) -> str:
    """Run a command that has to succeed, and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@dataclass(eq=False)
class Program:
    """A process on a host, whose output goes into a file.

    Attributes:
        pid: As this machine knows it, not the host.
    """

    name: str
    log: Path
    pid: int
    _entered: subprocess.Popen[bytes]

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._entered.poll()

    def stop(self, sign: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> None:
        """End it, and what it has started as far as it does that itself."""
        _kill(self.pid, sign)
        try:
            self._entered.wait(seconds)
        except subprocess.TimeoutExpired:
            _kill(self.pid, signal.SIGKILL)
            self._entered.wait(seconds)


def _kill(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


@dataclass(eq=False)
class Host:
    """One host; it is there after `boot`.

    Attributes:
        address: Its own; the names of all are in the ``/etc/hosts`` of each.
        image: What it finds on its disk when it boots.
        volume: A directory that survives its crash, if it has one, and nobody else sees; at ``/data``.
    """

    network: Network
    name: str
    number: int
    image: Image
    volume: Path | None = None
    programs: dict[str, Program] = field(default_factory=dict)
    _first: subprocess.Popen[bytes] | None = None
    _pid: int = 0

    @property
    def address(self) -> str:
        return self.network.address(self.number)

    def boot(self) -> None:
        """Start it, with an empty disk."""
        assert self._first is None
        root = self.network.directory / f"{self.name}.root"
        root.mkdir(exist_ok=True)
        script = self.image.script(root, self.name, self.network.hosts_file, self.volume)
        with (self.network.directory / f"{self.name}.boot.log").open("ab") as log:
            self._first = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", *_OWN, "sh", "-euc", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        first = self._first
        self._pid = eventually(lambda: _child_of(first.pid), f"{self.name} starts", _START_SECONDS, 0.01)
        # The script ends by becoming this program.
        eventually(lambda: _command_of(self._pid)[:1] == ["sleep"], f"{self.name} boots", _START_SECONDS, 0.01)
        self.network.plug_in(self)

    def crash(self) -> None:
        """End it as a power cut does: all its processes at once, and its disk."""
        assert self._first is not None
        _kill(self._pid, signal.SIGKILL)
        self._first.wait()
        self._first = None
        self.programs.clear()

    def reboot(self) -> None:
        """Crash, and boot again; nothing is started."""
        self.crash()
        self.boot()

    @property
    def is_up(self) -> bool:
        return self._first is not None and self._first.poll() is None

    def enter(self, *command: str, user: tuple[int, int] | None = None) -> list[str]:
        """The command that runs another one there."""
        who = [] if user is None else ["--setuid", str(user[0]), "--setgid", str(user[1])]
        flags = ["--mount", "--net", "--pid", "--ipc", "--uts"]
        return ["nsenter", "--target", str(self._pid), *flags, *who, "--", *command]

    def run(self, *command: str) -> str:
        """Run a command there that has to succeed, and return what it prints."""
        return run(*self.enter("env", "-i", *self._variables({}), *command))

    def popen(self, *command: str, user: tuple[int, int] | None = None) -> subprocess.Popen[bytes]:
        """Run a command there, on pipes."""
        full = self.enter("env", "-i", *self._variables({}), *command, user=user)
        pipe = subprocess.PIPE
        return subprocess.Popen(full, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)

    def listens(self, port: int) -> bool:
        """Whether something there listens on a port."""
        inside = ["nsenter", "--target", str(self._pid), "--net", "--"]
        return bool(run(*inside, "ss", "-Hltn", f"sport = :{port}").strip())

    def start(
        self,
        name: str,
        *command: str,
        environment: Mapping[str, str] | None = None,
        user: tuple[int, int] | None = None,
    ) -> Program:
        """Start a program there that goes on running."""
        log = self.network.directory / f"{self.name}.{name}.log"
        full = self.enter("env", "-i", *self._variables(environment or {}), *command, user=user)
        with log.open("ab") as output:
            entered = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *full],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        def begun() -> int | None:
            assert entered.poll() is None, f"{name} of {self.name}: {log.read_text()[-2000:]}"
            return _child_of(entered.pid)

        pid = eventually(begun, f"{name} starts", _START_SECONDS, 0.01)
        program = self.programs[name] = Program(name, log, pid, entered)
        return program

    def _variables(self, environment: Mapping[str, str]) -> list[str]:
        return [f"{name}={value}" for name, value in {**self.image.variables, **environment}.items()]

    def processes(self) -> dict[int, list[str]]:
        """All processes there, by the id that this machine has for them, and their commands."""
        if not self.is_up:
            return {}
        own = _namespace_of(self._pid)
        ids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return {pid: _command_of(pid) for pid in ids if _namespace_of(pid) == own}

    def kill(self, pid: int) -> None:
        """Kill one of its processes."""
        if _namespace_of(pid) == _namespace_of(self._pid):
            _kill(pid, signal.SIGKILL)

    def cut_off(self) -> None:
        """Take it off the network; what it has open stays open, and silent."""
        self.network.switch("ip", "link", "set", f"h{self.number}", "down")

    def reconnect(self) -> None:
        self.network.switch("ip", "link", "set", f"h{self.number}", "up")


class Network:
    """A switch, and the hosts on it. This process is on it, too, as number 1.

    Args:
        directory: For logs and volumes.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts: dict[str, Host] = {}
        self.prefix = f"ad{random.getrandbits(32):08x}"
        self.hosts_file = directory / "hosts"
        self._subnet = _free_subnet()
        self._first = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"], start_new_session=True
        )
        eventually(lambda: _command_of(self._first.pid)[:1] == ["sleep"], "the switch", _START_SECONDS, 0.01)
        self.switch("ip", "link", "add", "br0", "type", "bridge")
        self.switch("ip", "link", "set", "br0", "up")
        run("ip", "link", "add", self.prefix, "type", "veth", "peer", "name", "h1", "netns", str(self._first.pid))
        self.switch("ip", "link", "set", "h1", "master", "br0", "up")
        run("ip", "address", "add", f"{self.address(1)}/24", "dev", self.prefix)
        run("ip", "link", "set", self.prefix, "up")

    def address(self, number: int) -> str:
        return f"{self._subnet}.{number}"

    def add(self, name: str, image: Image, volume: Path | None = None) -> Host:
        """Add a host, which does not boot yet; names have to be known before the first one boots."""
        host = self.hosts[name] = Host(self, name, len(self.hosts) + 2, image, volume)
        lines = ["127.0.0.1 localhost", *(f"{host.address} {host.name}" for host in self.hosts.values())]
        self.hosts_file.write_text("\n".join(lines) + "\n")
        return host

    def switch(self, *command: str) -> None:
        """Run a command in the switch."""
        run("nsenter", "--target", str(self._first.pid), "--net", "--", *command)

    def plug_in(self, host: Host) -> None:
        """Give a host that has booted its cable and address."""
        port = f"h{host.number}"
        # The same card as before the crash, or the others would send to the old one for half a minute.
        card = f"02:00:00:00:00:{host.number:02x}"
        peer = ["peer", "name", "eth0", "address", card, "netns", str(host._pid)]
        # The kernel takes the cable of a crashed host away in its own time.
        self.switch("sh", "-c", f"ip link delete {port} 2>/dev/null || true")
        self.switch("ip", "link", "add", port, "type", "veth", *peer)
        self.switch("ip", "link", "set", port, "master", "br0", "up")
        inside = ["nsenter", "--target", str(host._pid), "--net", "--", "ip"]
        run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def close(self) -> None:
        """End all hosts, and the switch."""
        for host in self.hosts.values():
            if host.is_up:
                host.crash()
        self._first.kill()
        self._first.wait()


@contextmanager
def running_network(directory: Path) -> Iterator[Network]:
    """A network for the time of a block."""
    network = Network(directory)
    try:
        yield network
    finally:
        network.close()


def _free_subnet() -> str:
    """Three bytes of a private network that this machine does not know."""
    known = run("ip", "-o", "-4", "address") + run("ip", "-o", "-4", "route")
    taken = set(re.findall(r"\b(10\.\d+\.\d+)\.\d+", known))
    tried = (f"10.{random.randint(1, 254)}.{random.randint(1, 254)}" for _ in range(100))
    return next(subnet for subnet in tried if subnet not in taken)


def _child_of(pid: int) -> int | None:
    return next(iter(children_of(pid)), None)


def children_of(pid: int) -> list[int]:
    """The processes that another one has started, and that still run."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def _command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _namespace_of(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        return None

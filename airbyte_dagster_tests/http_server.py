"""A small HTTP server in a thread, whose answers tests script.

    with HttpServer() as server:
        server.on("POST", "/api/public/v1/jobs", Reply(502), Reply(200, {"jobId": 1}))   # in turn; the last one stays
        server.on("GET", "/api/public/v1/jobs/{id}", lambda request: Reply(200, {"jobId": int(request.parts["id"])}))
        ...
        assert [request.path for request in server.requests] == [...]

What has no route is answered as Airbyte does: 404 with the text ``Object not found.``
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

_LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class Request:
    """One request that arrived.

    Attributes:
        query: Every value of every key.
        headers: Under lower-case names.
        parts: What stood where the route has ``{name}``.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body as JSON; ``None`` if it is empty."""
        return json.loads(self.body) if self.body else None

    @property
    def form(self) -> dict[str, str]:
        """The body as a form, the last value of each key."""
        return {key: values[-1] for key, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        body: Bytes and text are sent as they are, anything else as JSON; ``None`` is no body.
        drop: Close the connection in place of the answer, or in the middle of its body.
        wait_for: Answer only when this is set, or the server closes.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: Literal["before", "middle"] | None = None
    wait_for: threading.Event | None = None


Answer = Reply | Callable[[Request], Reply]


class HttpServer:
    """The server; a context manager, or `start` and `close`.

    Args:
        tls: Serve TLS with this context.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._routes: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(self)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Set the answers to a method and a path, replacing former ones: one after another, the last one stays."""
        with self._lock:
            self._routes[method, path] = list(answers)

    def sent(self, method: str, path: str) -> list[Request]:
        """Return the requests so far that had this method and path; ``{name}`` stands for any part of a path."""
        return [item for item in list(self.requests) if item.method == method and _match(path, item.path) is not None]

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop: waiting answers are given up, open connections closed, the port freed."""
        self._closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join(_LONGEST_WAIT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, request: Request) -> Reply:
        """Record a request and return its answer."""
        with self._lock:
            self.requests.append(request)
            found = self._next(request)
        if found is None:
            return Reply(404, "Object not found.", {"Content-Type": "text/plain"})
        route, answer = found
        if callable(answer):
            parts = _match(route, request.path) or {}
            answer = answer(Request(**{**request.__dict__, "parts": parts}))
        if answer.wait_for is not None:
            self._wait(answer.wait_for)
        return answer

    def _next(self, request: Request) -> tuple[str, Answer] | None:
        candidates = [(request.method, request.path)]
        candidates += [
            (method, path)
            for method, path in self._routes
            if method == request.method and _match(path, request.path) is not None
        ]
        for key in candidates:
            answers = self._routes.get(key)
            if answers:
                return key[1], answers.pop(0) if len(answers) > 1 else answers[0]
        return None

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(0.01) and not self._closing.is_set():
            pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: HttpServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the delayed acknowledgement of its headers
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            # Who uses this server as a proxy sends the whole address.
            path=f"{url.scheme}://{url.netloc}{url.path}" if url.scheme else url.path,
            query=parse_qs(url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        self._reply(self.server.owner.answer(request))

    def _reply(self, reply: Reply) -> None:
        if reply.drop == "before":
            self.close_connection = True
            _shut(self.connection)
            return
        body, content_type = _encode(reply.body)
        headers = {"Content-Type": content_type, **reply.headers}
        self.send_response_only(reply.status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (100 if reply.drop == "middle" else 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if reply.drop == "middle":
            self.close_connection = True
            _shut(self.connection)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _encode(body: Any) -> tuple[bytes, str]:
    if body is None:
        return b"", ""
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain"
    return json.dumps(body).encode(), "application/json"


def _match(route: str, path: str) -> dict[str, str] | None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route))
    found = re.fullmatch(pattern, path)
    return found.groupdict() if found else None


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return

"""One call of Airbyte's API: sent, its answer read as JSON, its failure explained; and lists read page by page."""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import httpx

from airbyte_dagster.airbyte.policy import Call, classify
from airbyte_dagster.airbyte.problems import Explainer
from airbyte_dagster.airbyte.reasons import is_html
from airbyte_dagster.airbyte.redaction import secrets_of
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import configuration_api_url
from airbyte_dagster.errors import UnexpectedAnswer, WrongBasePath

_LOG = logging.getLogger("airbyte_dagster")

PAGE_SIZE = 100
"""The largest page that Airbyte gives."""


_MOST_SIDE_BY_SIDE = 4
"""Airbyte answers nearly all calls from five threads by default; others want some of them."""
_FIRST_WAVES = (1, 1, 1, 2, 2)
"""Pages that are asked for at once at first: how long a list is, only its last page tells."""


class HasId(Protocol):
    """A record with an id."""

    @property
    def id(self) -> Any:
        """Airbyte's id."""


Record = TypeVar("Record", bound=HasId)
Parsed = TypeVar("Parsed")


class Caller:
    """Calls the API through an authenticated client.

    Args:
        http: Signs in and retries.
        settings: Of the same server.
        known_secrets: Secrets that come and go: the tokens.
    """

    def __init__(
        self, http: httpx.Client, settings: ClientSettings, *, known_secrets: Callable[[], tuple[str, ...]]
    ) -> None:
        self._http = http
        self._settings = settings
        self._known_secrets = known_secrets

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        workspace_id: str | None = None,
        configuration_api: bool = False,
        secrets: Collection[str] = (),
    ) -> Any:
        """Send one call and return its JSON; ``None`` for an empty answer.

        Args:
            method: HTTP method.
            path: Below the base path, such as ``/sources``.
            params: Query.
            json: Body.
            workspace_id: The workspace that the call is about, to explain a refusal.
            configuration_api: Send it to the configuration API.
            secrets: Kept out of messages, besides those that the body has under names that say so.

        Raises:
            WrongBasePath: Where the configuration API is, is not known.
            AirbyteError: The fitting one of the tree.
        """
        base = configuration_api_url(self._settings.server_url) if configuration_api else self._settings.server_url
        if base is None:
            raise WrongBasePath(f"The configuration API that belongs to {self._settings.server_url} is not known.")
        url = httpx.URL(f"{base}{path}")
        call = classify(method, url, self._settings)

        def explainer() -> Explainer:
            # Made after the call, which may have fetched the token that is to be kept out of the message.
            return Explainer(
                self._settings,
                secrets=(*self._known_secrets(), *secrets_of(json), *secrets),
                workspace_id=workspace_id,
            )

        try:
            response = self._http.request(method, url, params=params, json=json, headers={"Accept": "application/json"})
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict) as error:
            # httpx may quote a header in its text; a chain that shows a secret is cut.
            is_clean = explainer().clean(str(error)) == str(error)
            raise explainer().of_exception(error, call) from (error if is_clean else None)
        if not response.is_success or (is_html(response) and response.content):
            raise explainer().of_response(response, call)
        return self._json(response, call)

    def record(self, parse: Callable[[Any], Parsed], method: str, path: str, **options: Any) -> Parsed:
        """Send one call, with the options of `call`, and return what its answer is parsed to.

        Raises:
            UnexpectedAnswer: It isn't what was promised; the message says what was asked.
        """
        return parsed(parse, self.call(method, path, **options), f"{method} {path}")

    def read_all(
        self,
        path: str,
        parse: Callable[[Any], Record],
        *,
        params: Mapping[str, Any],
        workspace_id: str | None = None,
        wanted: Collection[Any] | None = None,
    ) -> list[Record]:
        """Return all items of a list, each once. Pages of a long list are read side by side.

        Airbyte's lists have no order of their own (its queries have no ORDER BY), so an item may move to another page
        while they are read: one is then seen twice, and another perhaps not at all. Seeing one twice is taken as the
        sign of that; the list is read once more, and the two readings are merged.

        Args:
            path: The list.
            parse: Makes a record of an item.
            params: Query.
            workspace_id: The workspace that the call is about, to explain a refusal.
            wanted: Ids; no more is read once all of them are found.
        """
        found: dict[Any, Record] = {}
        remaining = None if wanted is None else set(wanted)
        pages = functools.partial(
            self._pages_side_by_side, path, params=params, workspace_id=workspace_id, remaining=remaining
        )
        if not _read_into(found, pages(), parse, path, remaining) and remaining != set():
            _LOG.warning(
                "GET %s showed an item on two pages: the list changed, or has no fixed order. It is read once more.",
                path,
            )
            _read_into(found, pages(), parse, path, remaining)
        return list(found.values())

    def _pages_side_by_side(
        self, path: str, *, params: Mapping[str, Any], workspace_id: str | None, remaining: Collection[Any] | None
    ) -> Iterator[list[Any]]:
        """Yield the pages of a list in their order; see `pages`.

        Two hundred items, and a thousand, cost no more calls than one after another; other lists cost a few at most.
        Pages that were asked for after the last one are yielded, too: they are empty, unless the list has moved.

        Args:
            path: The list.
            params: Query.
            workspace_id: As for `call`.
            remaining: Ids that are to be found yet, which the reader takes out; it ends when there are none.
        """
        offsets = itertools.count(0, PAGE_SIZE)
        first = [] if remaining is None else [math.ceil(len(remaining) / PAGE_SIZE)]
        with ThreadPoolExecutor(_MOST_SIDE_BY_SIDE) as pool:

            def read(offset: int) -> list[Any]:
                return self._page(path, params=params, limit=PAGE_SIZE, offset=offset, workspace_id=workspace_id)

            for count in itertools.chain(first, _FIRST_WAVES, itertools.repeat(_MOST_SIDE_BY_SIDE)):
                if remaining is not None and not remaining:
                    return
                wave = list(itertools.islice(offsets, count))
                pages = list(pool.map(read, wave)) if count > 1 else [read(wave[0])]
                yield from pages
                if any(len(page) < PAGE_SIZE for page in pages):
                    return

    def pages(
        self,
        path: str,
        *,
        params: Mapping[str, Any],
        page_size: int = PAGE_SIZE,
        offset: int = 0,
        workspace_id: str | None = None,
    ) -> Iterator[list[Any]]:
        """Yield the pages of a list, by offset, from the given one on.

        The answer's ``next`` is not followed: its host is often not reachable, it loses filters, and it is there even
        after the last page. A short page is the last one.
        """
        while True:
            items = self._page(path, params=params, limit=page_size, offset=offset, workspace_id=workspace_id)
            yield items
            if len(items) < page_size:
                return
            offset += len(items)

    def _page(
        self, path: str, *, params: Mapping[str, Any], limit: int, offset: int, workspace_id: str | None
    ) -> list[Any]:
        query = {**params, "limit": limit, "offset": offset}
        answer = self.call("GET", path, params=query, workspace_id=workspace_id)
        items = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(items, list):
            raise UnexpectedAnswer(f"GET {path} answered without a list `data`.", request=f"GET {path}")
        return items

    def _json(self, response: httpx.Response, call: Call) -> Any:
        if not response.content.strip():
            return None
        try:
            return response.json()
        except ValueError:
            kind = response.headers.get("content-type", "no content type")
            raise UnexpectedAnswer(
                f"{call.label} was answered {response.status_code} with something that is not JSON ({kind}).",
                request=call.label,
                guidance="Check server_url, and whether a proxy answers in Airbyte's place.",
            ) from None


def _read_into(
    found: dict[Any, Record],
    pages: Iterator[list[Any]],
    parse: Callable[[Any], Record],
    path: str,
    remaining: set[Any] | None,
) -> bool:
    """Add what is not known yet, take it out of what remains; return whether the list stood still in this reading."""
    seen: set[Any] = set()
    is_stable = True
    ended = False
    for page in pages:
        before = len(seen)
        for record in (parsed(parse, item, f"GET {path}") for item in page):
            is_stable = is_stable and record.id not in seen and not ended
            seen.add(record.id)
            found.setdefault(record.id, record)
            if remaining is not None:
                remaining.discard(record.id)
        if len(page) == PAGE_SIZE and len(seen) == before:
            # A server that ignores `offset` would show its first page for ever.
            break
        ended = ended or len(page) < PAGE_SIZE
    return is_stable


def parsed(parse: Callable[[Any], Parsed], answer: Any, request: str) -> Parsed:
    """Parse an answer, or a part of one; a failure to do so says what was asked."""
    try:
        return parse(answer)
    except UnexpectedAnswer as error:
        raise UnexpectedAnswer(f"{request}: {error.message}", request=request) from None

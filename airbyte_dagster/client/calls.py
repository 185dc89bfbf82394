"""One call of Airbyte's API: sent, its answer read as JSON, its failure explained; and lists read page by page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import httpx

from airbyte_dagster.client.policy import Call, classify
from airbyte_dagster.client.problems import Explainer
from airbyte_dagster.client.reasons import is_html
from airbyte_dagster.client.redaction import secrets_of
from airbyte_dagster.client.settings import ClientSettings
from airbyte_dagster.client.urls import configuration_api_url
from airbyte_dagster.errors import UnexpectedAnswer

_LOG = logging.getLogger("airbyte_dagster")

PAGE_SIZE = 100
"""The largest page that Airbyte gives."""


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
    ) -> Any:
        """Send one call and return its JSON; ``None`` for an empty answer.

        Args:
            method: HTTP method.
            path: Below the base path, such as ``/sources``.
            params: Query.
            json: Body.
            workspace_id: The workspace that the call is about, to explain a refusal.
            configuration_api: Send it to the configuration API, which must be known.

        Raises:
            AirbyteError: The fitting one of the tree.
        """
        base = configuration_api_url(self._settings.server_url) if configuration_api else self._settings.server_url
        url = httpx.URL(f"{base}{path}")
        call = classify(method, url, self._settings)

        def explainer() -> Explainer:
            # Made after the call, which may have fetched the token that is to be kept out of the message.
            return Explainer(
                self._settings,
                secrets=(*self._known_secrets(), *secrets_of(json)),
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
        self, path: str, parse: Callable[[Any], Record], *, params: Mapping[str, Any], workspace_id: str | None = None
    ) -> list[Record]:
        """Return all items of a list, each once.

        Airbyte's lists have no order of their own (its queries have no ORDER BY), so an item may move to another page
        while they are read: one is then seen twice, and another perhaps not at all. Seeing one twice is taken as the
        sign of that; the list is read once more, and the two readings are merged.
        """
        found: dict[Any, Record] = {}
        if not self._read_into(found, path, parse, params=params, workspace_id=workspace_id):
            _LOG.warning(
                "GET %s showed an item on two pages: the list changed, or has no fixed order. It is read once more.",
                path,
            )
            self._read_into(found, path, parse, params=params, workspace_id=workspace_id)
        return list(found.values())

    def _read_into(
        self,
        found: dict[Any, Record],
        path: str,
        parse: Callable[[Any], Record],
        *,
        params: Mapping[str, Any],
        workspace_id: str | None,
    ) -> bool:
        """Add what is not known yet; return whether no item was seen twice in this reading."""
        seen: set[Any] = set()
        is_stable = True
        for page in self.pages(path, params=params, workspace_id=workspace_id):
            before = len(seen)
            for record in (parsed(parse, item, f"GET {path}") for item in page):
                is_stable = is_stable and record.id not in seen
                seen.add(record.id)
                found.setdefault(record.id, record)
            if len(seen) == before:
                # A server that ignores `offset` would show its first page for ever.
                break
        return is_stable

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
            query = {**params, "limit": page_size, "offset": offset}
            answer = self.call("GET", path, params=query, workspace_id=workspace_id)
            items = answer.get("data") if isinstance(answer, Mapping) else None
            if not isinstance(items, list):
                raise UnexpectedAnswer(f"GET {path} answered without a list `data`.", request=f"GET {path}")
            yield items
            if len(items) < page_size:
                return
            offset += len(items)

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


def parsed(parse: Callable[[Any], Parsed], answer: Any, request: str) -> Parsed:
    """Parse an answer, or a part of one; a failure to do so says what was asked."""
    try:
        return parse(answer)
    except UnexpectedAnswer as error:
        raise UnexpectedAnswer(f"{request}: {error.message}", request=request) from None

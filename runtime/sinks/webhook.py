"""Records to a web address, one POST each."""

import base64
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from amr_edge.errors import ConfigError
from amr_edge.runtime.sinks.async_sink import Record, RefusedError
from amr_edge.terminal import to_json

ANSWER_S = 10.0
AGAIN = frozenset([408, 425, 429])  # refusals that a later try can change; everything from 500 on is one, too


class _NoDetours(HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without the record: say so instead."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Webhook:
    """POSTs every record as JSON. Any 2xx is a yes, 4xx is a no for good, everything else is tried again."""

    def __init__(self, address: str) -> None:
        """A sink.

        Args:
            address: http:// or https://, with user:password@ if required.

        Raises:
            ConfigError: If it names no host.
        """
        parts = urlsplit(address)
        # The path of a hook is often its password.
        self.title = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "") + "/..."
        if not parts.hostname:
            raise ConfigError(f"{parts.scheme}://: a webhook needs a host, such as https://host/path")
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        self._headers = {"Content-Type": "application/json", "User-Agent": "amr-edge"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._opener: OpenerDirector = build_opener(_NoDetours)

    def open(self) -> None:
        """Nothing to do: every record is a request of its own."""

    def send(self, item: Record) -> None:
        """POST a record."""
        body = to_json(item).encode()
        request = Request(self._address, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                answer.read()
        except HTTPError as answer:
            code, reason = answer.code, answer.reason
            answer.close()
            if code < 500 and code not in AGAIN:
                raise RefusedError(f"it answered {code} {reason}") from answer
            raise ConnectionError(f"it answered {code} {reason}") from answer
        except HTTPException as cause:
            raise ConnectionError(f"it answered no HTTP ({type(cause).__name__})") from cause

    def drop(self) -> None:
        """Nothing is kept open."""

    def close(self) -> None:
        """Nothing is kept open."""

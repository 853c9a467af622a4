"""HTTP as a good guest: one session, verified TLS, time-outs, retries only of what another try can mend.

Belongs here: sending requests and judging status and connection. Does not: what an answer means (arcgis, wfs, downloads).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
import tenacity

from resources.errors import CertificateProblem, Refused, TransientSourceError

logger = logging.getLogger(__name__)

USER_AGENT = "Mozilla/5.0 (compatible; restauracion-peru/0.1; restoration data warehouse)"
SANDBOX_HEADER = "x-sandbox"
RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 60.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A body with what the manifest keeps of its headers."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    is_sandbox: bool


@dataclass
class Http:
    """Requests to institutions. `hosts` sends an institution's host to another address (the sandbox).

    connect_timeout and read_timeout in seconds; `attempts` counts the first try.
    """

    hosts: dict[str, str] = field(default_factory=dict)
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    attempts: int = 4
    first_pause: float = 1.0

    def __post_init__(self) -> None:
        """One session a thread: requests does not promise that one may be shared."""
        self._local = threading.local()

    @classmethod
    def with_hosts_file(cls, path: Path | None, **options: Any) -> Http:
        """Read the host map of a running sandbox, when there is one."""
        hosts = json.loads(path.read_text()) if path else {}
        return cls(hosts=hosts, **options)

    @property
    def session(self) -> requests.Session:
        """This thread's session."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = USER_AGENT
            self._local.session = session
        return self._local.session  # type: ignore[no-any-return]

    def address(self, url: str) -> str:
        """Where a request for `url` really goes."""
        parts = urlsplit(url)
        base = self.hosts.get(parts.hostname or "")
        if base is None:
            return url
        there = urlsplit(base)
        return urlunsplit((there.scheme, there.netloc, parts.path, parts.query, ""))

    def retrying(self, source: str, work: Callable[[], T]) -> T:
        """Run `work` again while it fails with TransientSourceError: the only retry level there is."""

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = getattr(error, "retry_after", None)
            backoff = tenacity.wait_random_exponential(multiplier=self.first_pause, max=_LONGEST_PAUSE)(state)
            return min(_LONGEST_PAUSE, asked) if asked is not None else float(backoff)

        retryer = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientSourceError),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=pause,
            reraise=True,
            before_sleep=lambda state: logger.warning("%s: try %s failed, trying again", source, state.attempt_number),
        )
        return retryer(work)

    def open(
        self, source: str, url: str, *, params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None, stream: bool = False,
    ) -> requests.Response:  # fmt: skip
        """Send one request, without retry. Raises TransientSourceError, Refused or CertificateProblem."""
        try:
            response = self.session.request(
                "GET", self.address(url), params=params, headers=headers, stream=stream,
                timeout=(self.connect_timeout, self.read_timeout),
            )  # fmt: skip
        except requests.exceptions.SSLError as error:
            raise CertificateProblem(source, url, str(error)) from error
        except requests.exceptions.RequestException as error:
            raise TransientSourceError(
                source, f"no answer from {urlsplit(url).hostname}: {_root_cause(error)}"
            ) from error
        if response.status_code in RETRIED_STATUSES:
            response.close()
            raise TransientSourceError(source, f"HTTP {response.status_code} from {url}", _retry_after(response))
        if response.status_code >= 400:
            response.close()
            raise Refused(source, url, response.status_code)
        return response

    def get(self, source: str, url: str, params: Mapping[str, Any] | None = None) -> Answer:
        """The whole body of one request, without retry; a connection cut in the body is transient."""
        response = self.open(source, url, params=params)
        return Answer(url, response.content, response.headers, SANDBOX_HEADER in response.headers)


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _root_cause(error: BaseException) -> str:
    """The innermost reason, without the object addresses that urllib3 prints."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return f"{type(error).__name__}: {error}"

"""Considerate HTTP: one session per host, verified TLS, time-outs, retries only where a retry can help.

Belongs here: sending requests and judging status and connection. Does not: what an answer means (arcgis, wfs, downloads).
"""

from __future__ import annotations

import email.utils
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import certifi
import requests
import tenacity
from requests.adapters import HTTPAdapter

from resources.deadlines import limit_headers, pieces
from resources.errors import CertificateProblem, RedirectRefused, Refused, TokenRequired, TooHeavy, TransientSourceError

logger = logging.getLogger(__name__)

USER_AGENT = "Mozilla/5.0 (compatible; restauracion-peru/0.1; restoration data warehouse)"
SANDBOX_HEADER = "x-sandbox"
RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 60.0

T = TypeVar("T")


@dataclass(frozen=True)
class HostPolicy:
    """Settings of one host: parallel connections, seconds between requests, extra headers and authority.

    `answer_…` and `file_…` say what is too long and too large for one of its answers (in memory) and files (unpacked).
    """

    connections: int = 4
    pause_seconds: float = 0.0
    answer_seconds: float = 900.0
    answer_bytes: int = 192 << 20
    file_seconds: float = 4 * 3600.0
    file_bytes: int = 32 << 30
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None


@dataclass(frozen=True)
class Answer:
    """A body with the headers that the manifest keeps, and how long it took to receive."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    is_sandbox: bool
    seconds: float = 0.0


class HostAdapter(HTTPAdapter):
    """A connection pool of one host: no more connections than its policy, its own authorities beside the common ones."""

    def __init__(self, context: ssl.SSLContext, policy: HostPolicy) -> None:
        self._context, self._policy = context, policy
        super().__init__(pool_connections=1, pool_maxsize=policy.connections, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        """Pass the TLS context and the time limit of headers to urllib3."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        limit_headers(self.poolmanager, self._policy.answer_seconds)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave authorities to the context; only whether to verify is set here."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if verify:
            conn.ca_certs = None


class _Session(requests.Session):
    """A session that follows a redirect only to a host that is known, and never from https to http."""

    allowed: frozenset[str] = frozenset()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads. Raises RedirectRefused."""
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        here = urlsplit(resp.url)
        try:
            there = urlsplit(urljoin(resp.url, target))
            is_usual = there.port in {None, 80, 443}  # another port has to be named: `host:port`
            is_known = there.netloc in {here.netloc, *self.allowed} or (is_usual and there.hostname in self.allowed)
            is_safe = there.scheme in {"http", "https"} and not (here.scheme == "https" and there.scheme == "http")
            leads_to = f"{there.scheme}://{there.netloc}"
        except ValueError:  # no address at all
            is_known, is_safe, leads_to = False, False, repr(target)[:100]
        if not is_known or not is_safe:
            resp.close()  # or its connection is lost to the pool, which then waits for it without end
            raise RedirectRefused(here.hostname or "", resp.url.partition("?")[0], leads_to)
        return str(target)


class _Host:
    """The one session of a host and the moment of its last request."""

    def __init__(
        self, name: str, policy: HostPolicy, *, verify: bool, token: str | None, allowed: frozenset[str]
    ) -> None:
        self.policy, self._lock, self._next = policy, threading.Lock(), 0.0
        context = ssl.create_default_context(cafile=certifi.where())
        context.load_default_certs()  # and those that the machine's administrator trusts
        if policy.ca_file:
            context.load_verify_locations(cafile=str(policy.ca_file))
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            logger.warning(
                "TLS IS NOT VERIFIED for %s (RESTAURACION_INSECURE_HOSTS): anybody could answer in its place", name
            )
        self.session = _Session()
        self.session.allowed = allowed
        self.session.verify = verify
        self.session.headers["User-Agent"] = USER_AGENT
        self.session.headers.update(policy.headers)
        if token:  # as a header: addresses end in logs and manifests, headers do not; requests drops it for other hosts
            self.session.headers["Authorization"] = f"Bearer {token}"
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HostAdapter(context, policy))

    def wait_for_slot(self) -> None:
        """Keep the host's pause between the starts of two requests."""
        if not self.policy.pause_seconds:
            return
        with self._lock:
            now = time.monotonic()
            starts_at = max(now, self._next)
            self._next = starts_at + self.policy.pause_seconds
        time.sleep(starts_at - now)


@dataclass
class Http:
    """Requests to institutions. `hosts` sends an institution's host to another address (the sandbox).

    connect_timeout and read_timeout in seconds; `attempts` counts the first try. `policies`, `tokens` and
    `insecure_hosts` are by host name; a token is sent to its own host alone and never printed.
    """

    hosts: dict[str, str] = field(default_factory=dict)
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    attempts: int = 4
    first_pause: float = 1.0
    policies: Mapping[str, HostPolicy] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    insecure_hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._opened: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @classmethod
    def with_hosts_file(cls, path: Path | None, **options: Any) -> Http:
        """Read the host map of a running sandbox, when there is one."""
        hosts = json.loads(path.read_text()) if path else {}
        return cls(hosts=hosts, **options)

    def _host(self, url: str) -> _Host:
        name = urlsplit(url).hostname or ""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = _Host(
                    name,
                    self.policies.get(name, HostPolicy()),
                    verify=name not in self.insecure_hosts,
                    token=self.tokens.get(name),
                    allowed=frozenset(self.policies),
                )
            return self._opened[name]

    def policy(self, url: str) -> HostPolicy:
        """The policy of the url's host."""
        return self._host(url).policy

    def is_verified(self, url: str) -> bool:
        """Whether the certificate of the url's host is held against an authority."""
        return (urlsplit(url).hostname or "") not in self.insecure_hosts

    def address(self, url: str) -> str:
        """Where a request for `url` really goes; accents in paths are percent-encoded as UTF-8."""
        parts = urlsplit(url)
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
        base = self.hosts.get(parts.hostname or "")
        there = urlsplit(base) if base else parts
        return urlunsplit((there.scheme, there.netloc, path, parts.query, ""))

    def retrying(self, source: str, work: Callable[[], T], attempts: int | None = None) -> T:
        """Run `work` again while it fails with TransientSourceError: the only retry level there is."""

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = getattr(error, "retry_after", None)
            backoff = tenacity.wait_random_exponential(multiplier=self.first_pause, max=_LONGEST_PAUSE)(state)
            return min(_LONGEST_PAUSE, asked) if asked is not None else float(backoff)

        def reported(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            logger.warning("%s; try %s failed, trying again", error or source, state.attempt_number)

        retryer = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientSourceError),
            stop=tenacity.stop_after_attempt(attempts or self.attempts),
            wait=pause,
            reraise=True,
            before_sleep=reported,
        )
        return retryer(work)

    def open(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        body: bytes | None = None,
    ) -> requests.Response:
        """Send one request (POST where `data` or `body` is given), without retry.

        A `body` follows no redirect: what it says, and the key that goes with it, are for this host alone.

        Raises TransientSourceError, Refused, TokenRequired (401) or CertificateProblem.
        """
        host = self._host(url)
        host.wait_for_slot()
        try:
            response = host.session.request(
                "GET" if data is None and body is None else "POST",
                self.address(url),
                params=params,
                data=data if body is None else body,
                headers=headers,
                allow_redirects=body is None,
                stream=stream,
                timeout=(self.connect_timeout, self.read_timeout),
                verify=host.session.verify,  # said again: requests lets an environment variable overrule the session's "no"
            )
        except requests.exceptions.SSLError as error:
            raise CertificateProblem(source, url, _root_cause(error)) from error
        except requests.exceptions.RequestException as error:
            raise TransientSourceError(
                source,
                f"no answer from {urlsplit(url).hostname}: {_root_cause(error)}",
                by_size=isinstance(error, requests.exceptions.ReadTimeout),
            ) from error
        if response.status_code in RETRIED_STATUSES:
            response.close()
            raise TransientSourceError(
                source,
                f"HTTP {response.status_code} from {url}",
                _retry_after(response),
                by_size=response.status_code >= 500 and response.status_code != 503,
            )
        if response.status_code == 401:
            response.close()
            raise TokenRequired(source, 401, "credentials are asked for")
        if response.status_code >= 400:
            response.close()
            raise Refused(source, url, response.status_code)
        return response

    def get(
        self, source: str, url: str, params: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> Answer:
        """The complete body of one request, without retry; a connection cut in the body is transient.

        Raises TooHeavy for a body that would not fit in memory.
        """
        began, limits = time.monotonic(), self.policy(url)
        with self.open(source, url, params=params, data=data, stream=True) as response:
            body = bytearray()
            try:
                for chunk in pieces(response, limits.answer_seconds):
                    body += chunk
                    if len(body) > limits.answer_bytes:
                        raise TooHeavy(source, url, limits.answer_bytes)
            except OSError as error:  # requests' exceptions for a connection cut in the body derive from it
                raise TransientSourceError(
                    source, f"the connection broke in the body: {_root_cause(error)}", by_size=True
                ) from error
            return Answer(
                url, bytes(body), response.headers, SANDBOX_HEADER in response.headers, time.monotonic() - began
            )


def _retry_after(response: requests.Response) -> float | None:
    """Seconds, or the time until a date: the header allows both."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _root_cause(error: BaseException) -> str:
    """The innermost reason, without the object addresses that urllib3 prints."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    return f"{type(error).__name__}: {error}"

"""Messages to people: a webhook and e-mail, both by configuration.

Belongs here: sending. Does not: what is said and when (pipelines/operations/incidents.py, pipelines/operations/digest.py).

A message that cannot be sent is a line in the log and never fails a run.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import requests

from resources.secrets import secret

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 15
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True)
class Message:
    """What is said: a subject in one line and a text."""

    subject: str
    text: str


@dataclass(frozen=True)
class Notifier:
    """Where messages go. `smtp_url` is smtp://host:25, smtp+starttls://user:password@host:587 or smtps://…; secrets are never printed."""

    webhook_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Notifier:
        """As the environment says; without configuration nothing is sent."""
        people = tuple(a.strip() for a in env.get("RESTAURACION_MAIL_TO", "").split(",") if a.strip())
        return cls(
            secret("RESTAURACION_WEBHOOK_URL", env),
            secret("RESTAURACION_SMTP_URL", env),
            env.get("RESTAURACION_MAIL_FROM") or "",
            people,
        )

    def send(self, message: Message) -> list[str]:
        """Send to everyone configured; returns what went wrong, in words without secrets."""
        problems = []
        if self.webhook_url:
            try:
                self._post(message)
            except (requests.exceptions.RequestException, OSError) as error:
                problems.append(f"webhook {urlsplit(self.webhook_url).hostname}: {type(error).__name__}")
        if self.smtp_url and self.mail_to:
            try:
                self._mail(message)
            except (smtplib.SMTPException, OSError, ValueError) as error:
                problems.append(f"mail {urlsplit(self.smtp_url).hostname}: {type(error).__name__}")
        for problem in problems:
            logger.warning("%r could not be sent: %s", message.subject, problem)
        return problems

    def _post(self, message: Message) -> None:
        answer = requests.post(
            self.webhook_url or "",
            json={"text": f"*{message.subject}*\n{message.text}"},
            timeout=_TIMEOUT_SECONDS,
            allow_redirects=False,
        )
        answer.raise_for_status()

    def _mail(self, message: Message) -> None:
        parts = urlsplit(self.smtp_url or "")
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("smtp://, smtp+starttls:// or smtps:// and a host are expected")
        letter = EmailMessage()
        letter["Subject"] = message.subject.replace("\n", " ")
        letter["From"] = self.mail_from or f"restauracion@{parts.hostname}"
        letter["To"] = ", ".join(self.mail_to)
        letter.set_content(message.text)
        kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
        with kind(parts.hostname, parts.port or _PORTS[parts.scheme], timeout=_TIMEOUT_SECONDS) as server:
            if parts.scheme == "smtp+starttls":
                server.starttls()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(letter)

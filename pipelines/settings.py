"""Every setting that comes from the environment, read in one place.

Belongs here: names, defaults and checks of environment variables. Does not: using them.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from resources.warehouse import WarehouseFiles

NIGHTLY = "0 2 * * 1-6"
LIMA = ZoneInfo("America/Lima")
TOKEN_PREFIX = "RESTAURACION_TOKEN_"  # noqa: S105 - then the institution, as RESTAURACION_TOKEN_SERFOR


class SettingsError(ValueError):
    """An environment variable with a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What a run takes from its environment."""

    data_dir: Path
    hosts_file: Path | None
    last_fiscal_year: int
    connect_timeout_seconds: float
    read_timeout_seconds: float
    attempts: int
    insecure_hosts: tuple[str, ...] = ()
    token_variables: tuple[str, ...] = ()
    quality_url: str = ""
    lock_wait_seconds: float = 900
    min_free_mb: float = 500
    keep_snapshot_days: float = 730
    backups: Path | None = None
    nightly_cron: str = NIGHTLY

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment. Raises SettingsError naming variable, value and what would be valid."""
        hosts = env.get("RESTAURACION_HOSTS_FILE") or None
        if hosts and not Path(hosts).exists():
            raise SettingsError(f"RESTAURACION_HOSTS_FILE={hosts}: no such file; is the sandbox running?")
        this_year = dt.datetime.now(LIMA).year
        return cls(
            data_dir=Path(env.get("RESTAURACION_DATA_DIR") or "data").resolve(),
            hosts_file=Path(hosts).resolve() if hosts else None,
            last_fiscal_year=int(_number(env, "RESTAURACION_FISCAL_YEAR", this_year, 2012, this_year)),
            connect_timeout_seconds=_number(env, "RESTAURACION_CONNECT_TIMEOUT_SECONDS", 10, 0.1, 600),
            read_timeout_seconds=_number(env, "RESTAURACION_READ_TIMEOUT_SECONDS", 120, 0.1, 3_600),
            attempts=int(_number(env, "RESTAURACION_HTTP_ATTEMPTS", 4, 1, 20)),
            insecure_hosts=tuple(h.strip() for h in env.get("RESTAURACION_INSECURE_HOSTS", "").split(",") if h.strip()),
            lock_wait_seconds=_number(env, "RESTAURACION_LOCK_WAIT_SECONDS", 900, 0, 86_400),
            min_free_mb=_number(env, "RESTAURACION_MIN_FREE_MB", 500, 0, 1e7),
            nightly_cron=_cron(env, "RESTAURACION_NIGHTLY_CRON", NIGHTLY),
            keep_snapshot_days=_number(env, "RESTAURACION_KEEP_SNAPSHOT_DAYS", 730, 7, 36_500),
            backups=Path(folder).resolve() if (folder := env.get("RESTAURACION_BACKUPS")) else None,
            quality_url=env.get("RESTAURACION_QUALITY_URL") or "",
            token_variables=tuple(
                sorted({n.removesuffix("_FILE") for n in env if n.startswith(TOKEN_PREFIX) and env[n]})
            ),
        )

    @property
    def warehouse(self) -> WarehouseFiles:
        """The files of the warehouse."""
        return WarehouseFiles(self.data_dir / "warehouse")

    def fiscal_years(self, first: int) -> list[int]:
        """Fiscal years from `first` to the last one wanted."""
        return list(range(first, self.last_fiscal_year + 1))


def _cron(env: Mapping[str, str], name: str, default: str) -> str:
    text = env.get(name) or default
    if len(text.split()) != 5:  # Dagster looks at the rest when it loads the schedule
        raise SettingsError(f"{name}={text!r} is no cron expression; {default!r} is the default")
    return text


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is no number") from None
    if not low <= value <= high:
        raise SettingsError(f"{name}={text} must lie between {low:g} and {high:g}")
    return value

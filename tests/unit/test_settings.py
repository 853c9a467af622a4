"""Settings: defaults, and errors that name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.settings import Settings, SettingsError
from resources.data_folder import DataFolder
from resources.errors import MixedOrigin


def test_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.data_dir == Path("data").resolve()
    assert settings.hosts_file is None
    assert settings.fiscal_years(2020)[0] == 2020


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RESTAURACION_FISCAL_YEAR", "veinte", "no number"),
        ("RESTAURACION_FISCAL_YEAR", "1999", "must lie between 2012"),
        ("RESTAURACION_HTTP_ATTEMPTS", "0", "must lie between 1 and 20"),
        ("RESTAURACION_HOSTS_FILE", "/nowhere.json", "is the sandbox running"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{words}"):
        Settings.from_env({name: value})


def test_sandbox_and_live_data_never_share_a_folder(tmp_path: Path) -> None:
    DataFolder(data_dir=str(tmp_path), hosts_file="hosts.json").claim()
    DataFolder(data_dir=str(tmp_path), hosts_file="other.json").claim()
    with pytest.raises(MixedOrigin, match=r"holds sandbox data and this run is live.*RESTAURACION_DATA_DIR"):
        DataFolder(data_dir=str(tmp_path)).claim()

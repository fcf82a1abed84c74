"""Nobody's own contexts and working directory."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KOPS_CONTEXT", "KOPS_BOOTSTRAP_SERVERS", "KOPS_ZOOKEEPER", "KOPS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

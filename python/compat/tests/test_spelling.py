"""Tests of `redis: RedisClient` and `redis: RedisClient = Depends()`, on old and new FastAPI."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
import spelling
from fastapi import Depends
from fastapi.dependencies import utils

import fastapi_rc
import hotshelf
from fastapi_rc._spelling import accept_bare_depends

TARGET = Path(__file__).parent.parent / "target"


async def test_both_spellings_on_installed_fastapi() -> None:
    await spelling.answers()
    spelling.check_rejected_spellings()


@pytest.mark.parametrize("fastapi", ["fastapi==0.110.0", "fastapi"], ids=["oldest", "newest"])
def test_both_spellings_on_other_fastapi(fastapi: str, tmp_path: Path) -> None:
    python = environment(fastapi)
    for package in (fastapi_rc, hotshelf):
        directory = Path(str(package.__file__)).parent
        (tmp_path / directory.name).symlink_to(directory)
    ended = subprocess.run(
        [python, Path(__file__).with_name("spelling.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    if "==" in fastapi:
        assert fastapi.endswith(f"=={ended.stdout.strip()}")


def environment(fastapi: str) -> Path:
    """Creates an environment, once, and returns its Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    directory = TARGET / f"{fastapi.replace('==', '-')}-python{version}"
    made = directory / "made"
    if not made.exists():
        venv.create(directory, with_pip=True, clear=True)
        command = [directory / "bin/python", "-m", "pip", "install", "--quiet", fastapi, "httpx"]
        if subprocess.run(command).returncode != 0:
            pytest.skip(f"{fastapi} can't be installed")
        made.touch()
    return directory / "bin/python"


@pytest.mark.parametrize("change", ["gone", "other parameters"])
def test_unknown_fastapi_is_left_alone(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(param: Any) -> None: ...

    if change == "gone":
        monkeypatch.delattr(utils, "analyze_param")
    else:
        monkeypatch.setattr(utils, "analyze_param", other)
    assert accept_bare_depends(Depends(other)) is False
    assert getattr(utils, "analyze_param", other) is other

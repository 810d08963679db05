"""Tests that the package uses only public names of hotshelf."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastapi_rc
import hotshelf

MODULES = {path.stem: path for path in Path(fastapi_rc.__file__).parent.glob("*.py")}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> set[str]:
    """Returns the private attributes that a module defines for its own classes."""
    nodes = list(ast.walk(tree))
    methods = {it.name for it in nodes if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = {
        it.attr
        for it in nodes
        if isinstance(it, ast.Attribute)
        and isinstance(it.ctx, ast.Store)
        and isinstance(it.value, ast.Name)
        and it.value.id == "self"
    }
    return methods | stored


@pytest.mark.parametrize("name", MODULES)
def test_no_private_module_is_imported(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        match node:
            case ast.Import():
                paths = [alias.name for alias in node.names]
            case ast.ImportFrom():
                paths = [f"{node.module}.{alias.name}" for alias in node.names]
            case _:
                continue
        for path in paths:
            if path.split(".")[0] == "hotshelf":
                assert not any(private(part) for part in path.split(".")), path
    assert "hotshelf._" not in MODULES[name].read_text()


@pytest.mark.parametrize("name", MODULES)
def test_no_private_attribute_is_used(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text())
    own = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            assert isinstance(node.value, ast.Name) and node.value.id == "self", node.attr
            assert node.attr in own, node.attr


def test_client_overrides_no_private_attribute() -> None:
    base = hotshelf.RedisClient(hotshelf.CacheManager("memory://").store)
    own = defined(ast.parse(MODULES["_engine"].read_text()))
    assert not {name for name in own if private(name)} & set(dir(base))

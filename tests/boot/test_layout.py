"""The three packages come from one distribution, and the tree keeps its rules."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from appstrate.http.call import Route
from appstrate.http.openapi import answer_types, document
from appstrate.http.routes import every_route
from appstrate.paths import MIGRATIONS, ROOT, SYSTEM_PACKAGES

SOURCES = [p for name in ("actors", "adapters", "appstrate") for p in (ROOT / name).rglob("*.py")]
MAY_IMPORT_LATE = {
    *(ROOT / "appstrate" / "cli").glob("*.py"),  # help and mistakes answer at once
    ROOT / "appstrate" / "tiers.py",
    ROOT / "appstrate" / "agent" / "__main__.py",
}


def test_all_three_packages_are_ours() -> None:
    for name in ("actors", "adapters", "appstrate"):
        module = importlib.import_module(name)
        assert module.__file__ is not None
        assert Path(module.__file__).is_relative_to(ROOT), f"{name} is shadowed"


def test_shipped_data_is_found() -> None:
    assert (MIGRATIONS / "0001_initial.sql").is_file()
    assert list(SYSTEM_PACKAGES.glob("*.afps"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_import_at_the_top(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    inner = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert text.count("\n") <= 400
    assert ast.get_docstring(tree)
    assert not inner or path in MAY_IMPORT_LATE


def test_the_environment_is_read_in_few_places() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if "os.environ" in path.read_text() and "agent" not in path.relative_to(ROOT).parts
    }

    assert users == {
        "appstrate/environment.py",
        "appstrate/cli/access.py",  # the command line's own two variables
        "appstrate/cli/background.py",  # what the server behind the terminal inherits
        "adapters/local/executor.py",  # what runs inherit, and the mark of our own children
        "adapters/postgres/embedded.py",  # what PostgreSQL inherits
        "adapters/postgres/backup.py",  # what its programs inherit
    }


def test_help_does_not_import_a_web_server() -> None:
    code = "import sys; import appstrate.cli; print('aiohttp' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert said.strip() == "False"


@pytest.mark.parametrize(
    "route", [*every_route()], ids=lambda route: f"{route.method} {route.path}"
)
def test_every_route_says_what_it_does_and_answers(route: Route) -> None:
    assert (route.handler.__doc__ or "").strip()
    assert answer_types(route)
    assert document([route], "1")

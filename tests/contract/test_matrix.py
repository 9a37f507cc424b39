"""What is wired is tested: every implementation of a port is in the matrix of a contract suite."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from actors.runtime import Actor
from appstrate.tiers import Plan
from support.plans import TIERS, picked, planned, settings_of

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> list[type[Actor]]:
    """The classes in any tier's plan that implement a port of the model."""
    found: list[type[Actor]] = []
    for variables in TIERS:
        chosen = planned(settings_of(tmp_path_factory.mktemp("tier"), variables))
        found += [picked(getattr(chosen, each.name)) for each in fields(Plan)]
    return sorted(
        {each for each in found if each.__module__.startswith("adapters.")},
        key=lambda each: each.__name__,
    )


def in_a_matrix() -> dict[str, str]:
    """The fixtures that suites are parametrized over, and the module of each suite."""
    return {
        name: path.stem
        for path in HERE.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.fixture"
        for name in _params(decorator)
    }


def _params(fixture: ast.Call) -> Iterator[str]:
    for keyword in fixture.keywords:
        if keyword.arg == "params":
            for node in ast.walk(keyword.value):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param":
                    yield from (str(ast.literal_eval(e)) for e in node.args if _is_text(e))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def classes_made() -> dict[str, set[str]]:
    """The fixtures that make actors, and the names each mentions."""
    tree = ast.parse((HERE / "conftest.py").read_text())
    return {
        node.name: {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_class_that_is_wired_is_in_a_matrix(wired: list[type[Actor]]) -> None:
    made, suites = classes_made(), in_a_matrix()
    tested = {each for name in suites for each in made.get(name, ())}
    missing = [each.__name__ for each in wired if each.__name__ not in tested]

    assert {"LocalStorage", "LocalPubSub", "EmbeddedDatabase"} <= {e.__name__ for e in wired}
    assert not missing, f"give {missing} a fixture in conftest.py and a suite in {HERE}"


def test_a_suite_is_named_after_its_port(wired: list[type[Actor]]) -> None:
    made, suites = classes_made(), in_a_matrix()
    for each in wired:
        port = each.__module__.rpartition(".")[2]
        of = {suites[name] for name in suites if each.__name__ in made.get(name, ())}
        assert f"test_{port}" in of, each.__name__

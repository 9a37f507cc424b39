"""The page that tells which routes of the contract answer."""

from support.contract_routes import SUBJECTS
from support.coverage import FILE, Row, answers, coverage, registered, rows


def test_the_page_is_up_to_date() -> None:
    assert FILE.read_text() == coverage(), "docs/api-coverage.md is out of date: run `make docs`"


def test_the_table_says_nothing_twice_and_everything_in_it_is_read() -> None:
    table = list(rows())

    assert len(table) == len({(row.method, row.path) for row in table})
    assert {row.weight for row in table} == {"C", "S", "N"}
    assert {row.method for row in table} <= {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert len(table) >= sum(bool(line) and line[0] != "#" for line in SUBJECTS.splitlines())


def test_a_route_answers_when_its_method_and_path_are_registered() -> None:
    there = registered()

    assert answers(Row("", "C", "GET", "/api/runs/{anything}"), there)
    assert answers(Row("", "C", "GET", "/api/packages/{type}"), there)
    assert not answers(Row("", "C", "PATCH", "/api/runs/{anything}"), there)
    assert not answers(Row("", "C", "GET", "/api/nothing"), there)

"""The description of the REST API is valid, names every route, and what it promises is what is answered."""

from __future__ import annotations

import pytest
import requests
from openapi_spec_validator import validate

ROUTES = {
    "/v1/sql": {"post"}, "/v1/datasets": {"get"}, "/v1/datasets/{id}": {"get"}, "/v1/datasets/{id}/schema": {"get"},
    "/v1/datasets/{id}/preview": {"get"}, "/v1/datasets/{id}/query": {"get", "post"}, "/health": {"get"},
}
FORMATS = {"application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"}
METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}


@pytest.fixture(scope="module")
def document(door):
    response = requests.get(door.rest + "/openapi.json", timeout=30)
    assert response.status_code == 200
    return response.json()


def test_the_document_is_valid(document):
    validate(document)
    assert document["openapi"].startswith("3.")


def test_every_route_is_described_and_no_other(document):
    described = {path: METHODS & operations.keys() for path, operations in document["paths"].items()}
    assert described == ROUTES


def test_rows_are_promised_in_every_format(document):
    for path in ("/v1/sql", "/v1/datasets/{id}/query", "/v1/datasets/{id}/preview"):
        for method in ROUTES[path]:
            assert set(document["paths"][path][method]["responses"]["200"]["content"]) == FORMATS, path


def test_every_guarded_route_names_both_ways_in_and_its_problems(document):
    for path, methods in ROUTES.items():
        for method in methods:
            operation = document["paths"][path][method]
            assert operation["summary"] or operation["description"]
            if path.startswith("/v1"):
                assert {name for way in operation["security"] for name in way} == {"basic", "bearer"}
                problems = [answer for status, answer in operation["responses"].items() if status != "200"]
                assert problems and all("application/problem+json" in answer["content"] for answer in problems)


def test_the_examples_of_the_document_are_answered(document, rest):
    """What stands in the description as an example body is a request that works."""
    for path, schema in (("/v1/sql", "Statement"), ("/v1/datasets/lake.gold.lineitem/query", "Ask")):
        response = rest.post(path, document["components"]["schemas"][schema]["example"])
        assert response.status_code == 200, (schema, response.text)


def test_the_page_loads_nothing_from_elsewhere(door):
    page = requests.get(door.rest + "/docs/", timeout=30)
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "//cdn" not in page.text and "src=\"http" not in page.text and "href=\"http" not in page.text

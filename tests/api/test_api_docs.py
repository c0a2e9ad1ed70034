"""The API's description: valid, with true examples, and readable in the portal without scripts."""

import re
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from marketplace.partners.services import grants, hold_refusals, usage_answers
from portal.kernel.errors import DomainError
from portal.web import api_gateway_schemas
from portal.web.api_problems import PROBLEM_CODES
from portal.web.api_schema import TAGS, get_document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return get_document()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_the_document_is_valid_openapi_3_1_and_drawn_without_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from portal.web import api_schema

    api_schema._draw.cache_clear()
    document = get_document()

    validate_schema(document)
    assert document["openapi"] == "3.1.0"
    assert capsys.readouterr().err == ""


def test_every_operation_says_what_it_is_and_shows_an_example(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) == 52 + 1 + 9
    assert len({operation["operationId"] for _m, _p, operation in found}) == len(found)
    for _method, path, operation in found:
        assert operation["summary"], path
        assert operation["tags"][0] in TAGS, path
        if path.startswith("/.well-known/"):
            continue
        assert operation["security"] == [{"apiKey": []}], path
        contents = [operation.get("requestBody", {}).get("content", {})]
        good = next(a for s, a in operation["responses"].items() if s.startswith("2"))
        contents.append(good["content"])
        for content in contents:
            for media in content.values():
                shown = "example" in media or "examples" in media
                assert shown or media["schema"]["type"] == "string", path


def test_examples_are_what_the_schemas_say(document: dict[str, Any]) -> None:
    checked = 0
    for _method, path, operation in operations(document):
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for part in parts for media in part.get("content", {}).values()):
            schema = {**media["schema"], "components": document["components"]}
            validator = jsonschema_rs.validator_for(schema)
            values = [example["value"] for example in media.get("examples", {}).values()]
            values += [media["example"]] if "example" in media else []
            for value in values:
                errors = [str(error) for error in validator.iter_errors(value)]
                assert not errors, (path, errors[:2])
                checked += 1
    assert checked >= 50


def test_every_refusal_of_rest_is_a_problem_document(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if not path.startswith("/api/"):
            continue
        answers = operation["responses"]
        assert {"401", "403", "429"} <= set(answers), path
        if "{" in path:
            assert "404" in answers, path
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(answers), (method, path)
        for status, answer in answers.items():
            if status.startswith(("4", "5")):
                (media,) = answer["content"]
                assert media == "application/problem+json", path
        header = [p for p in operation.get("parameters", []) if p["name"] == "Idempotency-Key"]
        if header:
            assert {"409", "422"} <= set(answers), path


def test_what_is_sent_is_confined_to_what_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    loose = {*api_gateway_schemas.SCHEMAS, "UsageEventRequest"}
    strict = {name for name in schemas if name.endswith("Request")} - loose
    assert len(strict) > 8
    assert {
        name for name in strict if schemas[name].get("additionalProperties") is not False
    } == set()


def test_the_document_is_served_to_everybody(client: Client) -> None:
    response = client.get("/api/schema/")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json()["info"]["title"] == "Tokenworks API"


def test_the_reference_needs_no_script_and_explains_each_code(client: Client, db: None) -> None:
    response = client.get("/docs/api/")
    text = response.content.decode()

    assert response.status_code == 200
    assert "unsafe" not in response["Content-Security-Policy"]
    assert not re.search(r"<style|style=|onclick=|<script(?![^>]*src=)", text)
    for path in ("/v1/chat/completions", "/api/v1/wallet", "/api/provider/v1/usage-events"):
        assert path in text
    for problem in PROBLEM_CODES:
        assert text.count(f'id="{problem.code}"') == 1, problem.code


def test_the_page_to_try_requests_loads_only_own_files(client: Client, db: None) -> None:
    page = client.get("/docs/api/try/")
    text = page.content.decode()
    script = client.get("/docs/api/try/?script=")

    assert page.status_code == script.status_code == 200
    assert "unsafe" not in page["Content-Security-Policy"]
    assert not re.search(r"<style|<script(?![^>]*src=)|https?://(?!testserver|localhost)", text)
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


def test_codes_of_direct_mode_are_explained() -> None:
    refusals = {
        value.code
        for module in (grants, hold_refusals)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, DomainError)
        and value.__module__ == module.__name__
    } | set(usage_answers.REASONS)

    # Only items of a batch have this one; it is in the operation's description.
    refusals.discard("event_id_reused")
    refusals.discard("hold_closed")
    assert refusals <= {problem.code for problem in PROBLEM_CODES}

"""Logs carry the request id and never a secret, whoever writes the line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from portal.kernel import logs

KEY = "tw_live_3fT9aQkLm2XyZ8pR"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(stream))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)
    structlog.contextvars.clear_contextvars()


def test_both_kinds_of_logger_write_json_with_the_request_id(lines: io.StringIO) -> None:
    logs.bind_request_id("req_1")
    structlog.get_logger("ours").info("call_closed", cost=12)
    logging.getLogger("library").warning("slow %s", "query")

    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["event"], first["cost"], first["request_id"]) == ("call_closed", 12, "req_1")
    assert (second["event"], second["level"]) == ("slow query", "warning")
    assert second["request_id"] == "req_1"


def test_links_that_are_secrets_are_cut(lines: io.StringIO) -> None:
    log = structlog.get_logger("ours")
    for path in ("/reset/3-d4abc1-0123456789/", "/invite/SECRET0123456789/", "/verify/MQ:secret/"):
        log.info("request", path=path)
        logging.getLogger("django.request").warning("Not Found: %s", path)
    log.info("request", path="/reset/sent/")
    log.info("request", path="/sandbox/pay/sbx_secret0123456789/")
    text = lines.getvalue()
    for secret in ("d4abc1", "SECRET", "MQ:secret", "sbx_secret"):
        assert secret not in text
    assert "/reset/sent/" in text


def test_secrets_are_dropped_from_fields_texts_and_tracebacks(lines: io.StringIO) -> None:
    log = structlog.get_logger("ours")
    log.info("in", authorization="Bearer abc", headers={"Cookie": "sessionid=s3cret"}, note=KEY)
    log.info("request_started", request=f"GET /o/acme/?key={KEY}&token=s3cret")
    logging.getLogger("library").info("header was Authorization: Bearer %s", "s3cret")
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        log.exception("failed")

    written = lines.getvalue()
    assert "s3cret" not in written
    assert KEY not in written
    assert "abc" not in written
    assert "tw_live_[redacted]" in written
    assert "GET /o/acme/" in written
    assert "ValueError" in written


@pytest.mark.parametrize("kind", ["sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"])
def test_the_secrets_of_payment_processors_are_cut(lines: io.StringIO, kind: str) -> None:
    logging.getLogger("library").warning("Invalid API Key provided: %s", f"{kind}51HxS3cretS3cret")
    written = lines.getvalue()
    assert "S3cret" not in written
    assert f"{kind}[redacted]" in written

"""What answers of the API mean."""

from __future__ import annotations

import json
import pickle

import pytest

from lithops.backends.ibm_vpc.failures import ATTEMPTS, TOKEN, Failure, error_of, of_answer, pause_before
from lithops.errors import (
    CloudCapacityExceeded,
    CloudError,
    CloudNotFound,
    CloudQuotaExceeded,
    CloudUnauthorized,
    CloudUnreachable,
)


def answer(code: str, message: str = "the reason") -> str:
    return json.dumps({"errors": [{"code": code, "message": message}], "trace": "trace-1"})


def failure(status: int, code: str = "", operation: str = "create instance") -> Failure:
    return of_answer(operation, status, answer(code))


def test_both_services_are_understood() -> None:
    vpc = of_answer("create vpc", 400, answer("over_quota", "too many"), "2")
    assert vpc == Failure(
        operation="create vpc", status=400, code="over_quota", message="too many", trace="trace-1",
        retry_after=2.0,
    )  # fmt: skip
    iam = of_answer(TOKEN, 400, json.dumps({"errorCode": "BXNIM0415E", "errorMessage": "no such key"}))
    assert (iam.code, iam.message) == ("BXNIM0415E", "no such key")


@pytest.mark.parametrize("body", ["", "<html>bad gateway</html>", "[]", "null", '{"errors": [1]}', '"text"'])
def test_any_text_is_an_answer(body: str) -> None:
    assert of_answer("create vpc", 502, body).status == 502


@pytest.mark.parametrize(
    ("found", "repeatable", "pauses"),
    [
        (Failure(operation="x"), True, True),
        (Failure(operation="x"), False, False),
        (failure(500), True, True),
        (failure(500), False, False),
        (failure(501), True, False),
        (failure(429), False, True),
        (failure(429), True, True),
        (failure(400), True, False),
        (failure(403), True, False),
        (failure(404), True, False),
        (failure(409), True, False),
    ],
)
def test_what_may_have_been_done_is_not_done_again_blindly(
    found: Failure, repeatable: bool, pauses: bool
) -> None:
    assert (pause_before(found, 1, repeatable=repeatable) is not None) == pauses
    assert pause_before(found, ATTEMPTS, repeatable=repeatable) is None


def test_the_service_says_how_long_to_wait_within_reason() -> None:
    for text, pause in (("7", 7.0), ("0", 0.0), ("9999", 30.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.5)):
        found = of_answer("list vpcs", 429, answer("rate_limited"), text)
        assert pause_before(found, 1, repeatable=True) == pause


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (failure(401, "not_authenticated"), CloudUnauthorized),
        (failure(403, "not_authorized"), CloudUnauthorized),
        (of_answer(TOKEN, 400, '{"errorCode": "BXNIM0415E"}'), CloudUnauthorized),
        (failure(400, "over_quota"), CloudQuotaExceeded),
        (failure(403, "quota_exceeded"), CloudQuotaExceeded),
        (failure(503, "cannot_start_capacity"), CloudCapacityExceeded),
        (failure(404, "not_found"), CloudNotFound),
        (failure(500, "internal_error"), CloudUnreachable),
        (failure(429, "rate_limited"), CloudUnreachable),
        (Failure(operation="x", message="timed out"), CloudUnreachable),
        (failure(409, "conflict_in_use"), CloudError),
        (failure(400, "bad_field"), CloudError),
    ],
)
def test_each_failure_has_a_class_and_says_what_and_why(found: Failure, kind: type[CloudError]) -> None:
    error = error_of(found, "eu-de")
    assert type(error) is kind
    assert found.operation in str(error)
    assert found.message in str(error)
    assert error.status == found.status


def test_errors_of_the_cloud_travel_and_are_told_of_a_host() -> None:
    error = error_of(failure(400, "over_quota"), "eu-de").on("vm-1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is CloudQuotaExceeded
    assert (again.host, again.status, again.code) == ("vm-1", 400, "over_quota")
    assert str(again) == str(error)
    assert str(error).startswith("host vm-1: ")

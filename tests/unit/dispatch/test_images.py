"""How a host is asked for an image, and what becomes of its answers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, cast

import pytest

from lithops import errors
from lithops.dispatch.client import AgentClient, Refused
from lithops.dispatch.images import ImageRuntime, describe, image_error, prepare
from lithops.errors import HostError
from lithops_agent.protocol import ContainerOptions, Problem, RuntimeFailure

OPTIONS = ContainerOptions(name="me/image:1", python="3.11")
LOGIN = {"serveraddress": "reg", "username": "me", "password": "sesame"}
PULLING = {"ready": False, "doing": "pulling the image", "layers": [1, 3], "bytes": [5_000_000, 20_000_000]}
READY = {"ready": True, "image": "sha256:1d", "digest": "me/image@sha256:d1", "python": "3.11.2"}
FAILURES = [value for name, value in vars(RuntimeFailure).items() if name.isupper()]


class Client:
    """Gives the answers of an agent, one after the other."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self._answers = list(answers)

    def prepare(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(client: Client, runtime: ImageRuntime, wanted: bool = True) -> Any:
    return prepare(cast(AgentClient, client), runtime, runtime.options, "job", "web", lambda: wanted)


def test_the_job_is_tied_to_the_image_that_was_made_ready(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(PULLING, PULLING, READY)
    with caplog.at_level(logging.INFO, "lithops"):
        ready = ask(client, ImageRuntime(options=OPTIONS, pull=True, login=LOGIN))
    assert ready.options == dataclasses.replace(OPTIONS, image="sha256:1d")
    assert ready.digest == "me/image@sha256:d1"
    assert all(
        asked["request"] == "job" and asked["pull"] and asked["auth"] == LOGIN for asked in client.asked
    )
    assert "1 of 3 layers, 5.0 of 20.0 MB" in caplog.text
    assert "sesame" not in caplog.text


def test_an_image_that_is_ready_at_once_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lithops"):
        ask(Client(READY), ImageRuntime(options=OPTIONS))
    assert caplog.text == ""


def test_calls_of_a_function_go_to_its_own_container_without_a_question() -> None:
    known = dataclasses.replace(OPTIONS, image="sha256:1d")
    client = Client()
    assert ask(client, ImageRuntime(options=known)).options == known
    assert client.asked == []


def test_a_job_that_was_cancelled_is_not_waited_for() -> None:
    assert ask(Client(), ImageRuntime(options=OPTIONS), wanted=False) is None


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_is_a_class_with_the_cause(failure: str) -> None:
    refused = Refused("the cause (HTTP 422)", kind=Problem.RUNTIME)
    refused.details = {"failure": failure, "detail": "the cause"}
    with pytest.raises(HostError, match=r"host web: .*the cause") as raised:
        ask(Client(refused), ImageRuntime(options=OPTIONS))
    assert not raised.value.retryable
    assert raised.value.phase == "image"


def test_failures_have_classes_of_their_own() -> None:
    kinds = {failure: type(image_error(failure, "", OPTIONS, "web")) for failure in FAILURES}
    assert kinds[RuntimeFailure.NO_PYTHON] == kinds[RuntimeFailure.OTHER_PYTHON] == errors.ImagePythonError
    assert kinds[RuntimeFailure.ENGINE] == errors.ImageError
    assert len(set(kinds.values())) == len(FAILURES) - 1


def test_another_refusal_stays_what_it_is() -> None:
    with pytest.raises(Refused):
        ask(Client(Refused("ending", kind=Problem.DRAINING)), ImageRuntime(options=OPTIONS))


def test_a_login_is_not_shown() -> None:
    assert "sesame" not in repr(ImageRuntime(options=OPTIONS, login=LOGIN))


def test_without_layers_it_is_said_what_goes_on() -> None:
    assert describe({"doing": "starting", "layers": [0, 0], "bytes": [0, 0]}) == "(starting)"

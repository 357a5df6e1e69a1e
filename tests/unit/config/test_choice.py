"""Where functions run, by what is written and what is asked for."""

from __future__ import annotations

import pytest

from lithops.config.choice import Choice, Wish, choose
from lithops.config.kinds import Problem

LOCAL = ("localhost", "localhost")
IBM_VPC = ("standalone", "ibm_vpc")
VM = ("standalone", "vm")


@pytest.mark.parametrize(
    ("written", "arguments", "chosen"),
    [
        (Wish(), Wish(), LOCAL),
        (Wish(mode="localhost"), Wish(), LOCAL),
        (Wish(backend="vm"), Wish(), VM),
        (Wish(mode="standalone", backend="vm"), Wish(), VM),
        (Wish(mode="standalone", standalone_backend="vm"), Wish(), VM),
        (Wish(standalone_backend="vm"), Wish(), VM),
        (Wish(mode="standalone"), Wish(), IBM_VPC),
        (Wish(backend="vm"), Wish(backend="ibm_vpc"), IBM_VPC),
        (Wish(), Wish(mode="standalone"), IBM_VPC),
        (Wish(mode="localhost", standalone_backend="vm"), Wish(), LOCAL),
        (Wish(mode="localhost", standalone_backend="ibm_vpc"), Wish(), LOCAL),
        (Wish(mode="localhost"), Wish(backend="vm"), VM),
        (Wish(backend="vm"), Wish(backend="localhost"), LOCAL),
        (Wish(backend="vm"), Wish(mode="localhost"), LOCAL),
        (Wish(backend="vm"), Wish(mode="standalone"), VM),
        (Wish(mode="localhost", standalone_backend="vm"), Wish(mode="standalone"), VM),
        (Wish(mode="serverless", backend="aws_lambda"), Wish(backend="vm"), VM),
        (Wish(mode="standalone", standalone_backend="ibm_vpc"), Wish(backend="vm"), VM),
        (Wish(mode="localhost", backend="vm"), Wish(backend="vm"), VM),
        (Wish(), Wish(mode="standalone", backend="vm"), VM),
        (Wish(backend="localhost"), Wish(mode="standalone", standalone_backend="vm"), VM),
        (Wish(backend="localhost"), Wish(standalone_backend="vm"), VM),
    ],
)
def test_what_is_chosen(written: Wish, arguments: Wish, chosen: tuple[str, str]) -> None:
    assert choose(written, arguments) == Choice(mode=chosen[0], backend=chosen[1])


@pytest.mark.parametrize(
    ("written", "arguments", "path", "says", "not_yet"),
    [
        (
            Wish(mode="standalone", standalone_backend="aws_ec2"),
            Wish(),
            "standalone.backend",
            "`aws_ec2`",
            True,
        ),
        (
            Wish(mode="serverless"),
            Wish(),
            "lithops.mode",
            "the mode `serverless`; what is: `localhost`",
            True,
        ),
        (Wish(backend="code_engine"), Wish(), "lithops.backend", "`code_engine`; what is: `localhost`", True),
        (Wish(backend="vm"), Wish(backend="aws_ec2"), "lithops.backend", "`aws_ec2`", True),
        (Wish(mode="localhost", backend="vm"), Wish(), "lithops.mode", "contradicts lithops.backend", False),
        (Wish(), Wish(mode="localhost", backend="vm"), "lithops.mode", "contradicts", False),
        (
            Wish(backend="vm", standalone_backend="ibm_vpc"),
            Wish(),
            "standalone.backend",
            "contradicts",
            False,
        ),
    ],
)
def test_what_can_not_be(written: Wish, arguments: Wish, path: str, says: str, not_yet: bool) -> None:
    problem = choose(written, arguments)
    assert isinstance(problem, Problem)
    assert (problem.path, problem.not_yet) == (path, not_yet)
    assert says in problem.text

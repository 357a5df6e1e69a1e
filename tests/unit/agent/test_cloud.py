"""A machine asks its cloud to end it: what is asked, what answers mean, and the bytes on the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_agent import cloud
from lithops_agent.cloud import (
    AGAIN,
    DONE,
    REFUSED,
    RENEW,
    Answer,
    CloudIdentity,
    CloudRefused,
    Conversation,
    Request,
    explain,
    judge,
    profile_of,
    requests,
)

PRIVATE, PUBLIC, METADATA = "http://private/v1", "http://public/v1", "http://metadata"
PROFILE = "Profile-8b5f"
IDENTITY = CloudIdentity(
    instance_id="0717_i",
    endpoint=PUBLIC,
    private_endpoint=PRIVATE,
    floating_ip_id="r006-f",
    profile=PROFILE,
    metadata=METADATA,
    version="2025-01-01",
)
DELETE, RELEASE = "DELETE /instances/0717_i", "DELETE /floating_ips/r006-f"
STOP = "POST /instances/0717_i/actions"


# ---- decisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "private", "floating_ip", "asked"),
    [
        ("delete", True, "r006-f", [[RELEASE], [DELETE]]),
        ("delete", False, "r006-f", [[RELEASE, DELETE]]),
        ("delete", True, "", [[DELETE]]),
        ("delete", False, "", [[DELETE]]),
        ("stop", True, "r006-f", [[STOP]]),
        ("stop", False, "", [[STOP]]),
    ],
)
def test_what_is_asked(how: str, private: bool, floating_ip: str, asked: list[list[str]]) -> None:
    identity = CloudIdentity(instance_id="0717_i", endpoint=PUBLIC, floating_ip_id=floating_ip)
    given = requests(identity, how, private=private)
    assert [[f"{request.method} {request.path}" for request in group] for group in given] == asked
    assert given[-1][-1].body == ({"type": "stop"} if how == "stop" else None)


@pytest.mark.parametrize(
    ("method", "status", "verdict"),
    [
        ("DELETE", 204, DONE),
        ("DELETE", 202, DONE),
        ("POST", 201, DONE),
        ("DELETE", 404, DONE),
        ("POST", 404, REFUSED),
        ("DELETE", 401, RENEW),
        ("DELETE", 403, REFUSED),
        ("POST", 400, REFUSED),
        ("DELETE", 409, AGAIN),
        ("DELETE", 429, AGAIN),
        ("POST", 500, AGAIN),
        ("POST", 503, AGAIN),
        ("DELETE", 302, REFUSED),
    ],
)
def test_what_an_answer_means(method: str, status: int, verdict: str) -> None:
    assert judge(Request(method, "/x"), status) == verdict


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"errors": [{"code": "forbidden", "message": "no"}], "trace": "t"}', "HTTP 403 (forbidden: no)"),
        (b'{"errorCode": "BXNIM0415E", "errorMessage": "no key"}', "HTTP 403 (BXNIM0415E: no key)"),
        (b'{"errors": []}', "HTTP 403"),
        (b'{"errors": [5]}', "HTTP 403"),
        (b"[1]", "HTTP 403"),
        (b"<html>", "HTTP 403"),
        (b"", "HTTP 403"),
    ],
)
def test_what_the_service_says_is_told(body: bytes, told: str) -> None:
    assert explain(Answer(403, body)) == told


@pytest.mark.parametrize(
    ("profile", "named"),
    [(PROFILE, {"id": PROFILE}), ("crn:v1:x", {"crn": "crn:v1:x"}), ("my-profile", {"name": "my-profile"})],
)
def test_how_a_profile_is_named(profile: str, named: dict[str, str]) -> None:
    assert profile_of(profile) == named


def test_an_identity_survives_its_text() -> None:
    assert CloudIdentity.from_text(IDENTITY.to_text()) == IDENTITY
    newer = json.dumps({**json.loads(IDENTITY.to_text()), "colour": 3})
    assert CloudIdentity.from_text(newer) == IDENTITY


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"instance_id": "x"}', '{"instance_id": 5, "endpoint": "x"}']
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        CloudIdentity.from_text(text)


# ---- the conversation -------------------------------------------------------------------------------


class World:
    """A cloud whose answers a test has prepared; time passes in pauses and in answers."""

    def __init__(self, private: bool = True) -> None:
        self.now = 0.0
        self.private = private
        self.asked: list[str] = []
        self.answers: dict[str, list[Answer | OSError]] = {}
        self.tokens = 0

    def say(self, what: str, *answers: Answer | OSError) -> World:
        self.answers[what] = list(answers)
        return self

    def end(self, how: str = "delete", identity: CloudIdentity = IDENTITY) -> None:
        Conversation(identity, self.send, clock=lambda: self.now, pause=self.pause).end(how)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,
        sent: Callable[[], None],
    ) -> Answer:
        self.now += 0.1
        place, _, rest = url.partition("/v1") if "/v1/" in url and METADATA not in url else (url, "", "")
        if url.startswith(METADATA):
            return self.metadata(method, url, headers, body)
        assert rest.endswith("?version=2025-01-01&generation=2"), url
        what = f"{method} {rest.partition('?')[0]}"
        if place == "http://private" and not self.private:
            self.now += timeout
            raise OSError("no route")
        if what == "GET /regions":
            return Answer(401)
        assert place == ("http://private" if self.private else "http://public")
        self.asked.append(what)
        sent()
        prepared = self.answers.get(what)
        if prepared:
            answer = prepared.pop(0) if len(prepared) > 1 else prepared[0]
            if isinstance(answer, OSError):
                raise answer
            return answer
        if headers["Authorization"] != f"Bearer iam-{self.tokens}":
            return Answer(401)
        return Answer(204)

    def metadata(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        path = url[len(METADATA) :]
        assert headers["Metadata-Flavor"] == "ibm"
        for answer in self.answers.get(path.partition("?")[0], []):
            if isinstance(answer, OSError):
                raise answer
            return answer
        if path == "/instance_identity/v1/token?version=2022-03-01":
            assert (method, body) == ("PUT", b'{"expires_in": 300}')
            return Answer(200, b'{"access_token": "own"}')
        assert path == "/instance_identity/v1/iam_token?version=2022-03-01"
        assert (method, headers["Authorization"]) == ("POST", "Bearer own")
        assert json.loads(body or b"") == {"trusted_profile": {"id": PROFILE}}
        self.tokens += 1
        return Answer(201, json.dumps({"access_token": f"iam-{self.tokens}"}).encode())


def test_it_is_deleted_with_its_address() -> None:
    world = World()
    world.end()
    assert world.asked == [RELEASE, DELETE]
    assert world.tokens == 1


def test_it_is_stopped() -> None:
    world = World()
    world.end("stop")
    assert world.asked == [STOP]


def test_without_a_way_into_the_private_network_the_public_one_is_taken() -> None:
    world = World(private=False)
    world.end()
    assert world.asked == [RELEASE, DELETE], "the address is on its way when the instance is asked for"
    assert world.now < 6


def test_without_a_profile_nothing_is_asked() -> None:
    world = World()
    with pytest.raises(CloudRefused, match=r"no trusted profile is set \(ibm_vpc\.profile_id\)"):
        world.end(identity=CloudIdentity(instance_id="i", endpoint=PUBLIC))
    assert (world.asked, world.tokens) == ([], 0)


def test_it_is_asked_again_until_it_works() -> None:
    world = World().say(
        DELETE, Answer(500), OSError("reset"), Answer(409), Answer(429, b"", 3.0), Answer(204)
    )
    world.end()
    assert world.asked == [RELEASE] + [DELETE] * 5
    assert 0.5 + 1 + 2 + 3 < world.now < 10


def test_a_token_that_is_not_taken_is_renewed_once() -> None:
    world = World().say(DELETE, Answer(401), Answer(204))
    world.end()
    assert (world.asked, world.tokens) == ([RELEASE, DELETE, DELETE], 2)
    with pytest.raises(CloudRefused, match="DELETE /instances/0717_i: HTTP 401"):
        World().say(DELETE, Answer(401)).end()


def test_a_refusal_is_told_at_once() -> None:
    world = World().say(DELETE, Answer(403, b'{"errors": [{"code": "forbidden", "message": "not you"}]}'))
    with pytest.raises(CloudRefused, match=r"DELETE /instances/0717_i: HTTP 403 \(forbidden: not you\)"):
        world.end()
    assert world.now < 1


def test_an_address_that_stays_does_not_keep_the_instance() -> None:
    world = World().say(RELEASE, Answer(403))
    with pytest.raises(CloudRefused, match="floating_ips"):
        world.end()
    assert world.asked == [RELEASE, DELETE]


@pytest.mark.parametrize("fault", [Answer(500), OSError("reset"), Answer(429, b"", 600.0)])
@pytest.mark.parametrize("where", [DELETE, "/instance_identity/v1/token", "/instance_identity/v1/iam_token"])
def test_what_never_works_has_an_end(where: str, fault: Answer | OSError) -> None:
    world = World().say(where, fault)
    with pytest.raises(CloudRefused):
        world.end()
    assert world.now < cloud.PATIENCE + 1


def test_a_metadata_service_that_is_not_there_is_given_up_soon() -> None:
    world = World().say("/instance_identity/v1/token", OSError("refused"))
    with pytest.raises(CloudRefused, match="the metadata service: http://metadata can't be reached: refused"):
        world.end()
    assert world.now < 11


def test_a_metadata_service_that_refuses_is_named() -> None:
    world = World().say(
        "/instance_identity/v1/iam_token", Answer(400, b'{"errors": [{"message": "no link"}]}')
    )
    with pytest.raises(CloudRefused, match=r"iam_token of the metadata service: HTTP 400 \(no link\)"):
        world.end()
    assert world.asked == []


_ANSWERS = st.one_of(
    st.builds(Answer, st.sampled_from([204, 400, 401, 403, 404, 409, 429, 500, 503])), st.builds(OSError)
)


@given(
    release=st.lists(_ANSWERS, max_size=6),
    delete=st.lists(_ANSWERS, max_size=6),
    how=st.sampled_from(["delete", "stop"]),
    private=st.booleans(),
)
def test_whatever_the_cloud_says_it_ends_in_time_and_says_so(
    release: list[Answer | OSError], delete: list[Answer | OSError], how: str, private: bool
) -> None:
    """The instance is asked for in any case, and success is told only when all of it was."""
    world = World(private).say(RELEASE, *release).say(DELETE, *delete).say(STOP, *delete)
    last = STOP if how == "stop" else DELETE
    try:
        world.end(how)
    except CloudRefused:
        pass
    else:
        assert release == [] or how == "stop" or any(_is_done(answer, "DELETE") for answer in release)
        assert delete == [] or any(_is_done(answer, last.partition(" ")[0]) for answer in delete)
    assert last in world.asked
    assert world.now < cloud.PATIENCE + 1


def _is_done(answer: Answer | OSError, method: str) -> bool:
    return isinstance(answer, Answer) and judge(Request(method, "/x"), answer.status) == DONE


# ---- over the wire ----------------------------------------------------------------------------------


class Service(ThreadingHTTPServer):
    """The metadata service and the API of a region at one address, which note what they were asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.log: list[tuple[str, str, Any, str | None]] = []
        self.refusals = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.log.append((self.command, self.path, body, self.headers.get("Authorization")))
        if "token" in self.path:
            self.reply(200, {"access_token": "own" if "iam_token" not in self.path else "iam"})
        elif self.server.refusals:
            self.server.refusals -= 1
            self.reply(429, {"errors": [{"code": "too_many"}]}, {"Retry-After": "0"})
        else:
            self.reply(204, None)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def reply(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        text = b"" if body is None else json.dumps(body).encode()
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def kept(tmp_path: Path, service: Service, **changes: str) -> str:
    identity = CloudIdentity(
        instance_id="0717_i",
        endpoint=f"{service.address}/v1",
        **{"metadata": service.address, "profile": "mine", "floating_ip_id": "r006-f", **changes},
    )
    cloud.keep(str(tmp_path), identity)
    assert (tmp_path / "cloud.json").stat().st_mode & 0o777 == 0o600
    return str(tmp_path)


def test_the_requests_as_they_arrive(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    home = kept(tmp_path, service)
    assert cloud.end_instance(home, "delete") == "the cloud was asked to delete this instance (0717_i)"
    dated = f"version={cloud.API_VERSION}&generation=2"
    assert service.log[:2] == [
        ("PUT", "/instance_identity/v1/token?version=2022-03-01", {"expires_in": 300}, None),
        (
            "POST",
            "/instance_identity/v1/iam_token?version=2022-03-01",
            {"trusted_profile": {"name": "mine"}},
            "Bearer own",
        ),
    ]
    assert sorted(service.log[2:]) == [
        ("DELETE", f"/v1/floating_ips/r006-f?{dated}", None, "Bearer iam"),
        ("DELETE", f"/v1/instances/0717_i?{dated}", None, "Bearer iam"),
    ]


def test_a_refusal_that_says_when_to_come_again(tmp_path: Path, service: Service) -> None:
    service.refusals = 1
    home = kept(tmp_path, service, floating_ip_id="")
    assert cloud.end_instance(home, "delete").startswith("the cloud was asked")
    assert [asked[0] for asked in service.log[2:]] == ["DELETE", "DELETE"]


def test_a_stop_as_it_arrives(tmp_path: Path, service: Service) -> None:
    home = kept(tmp_path, service)
    assert cloud.end_instance(home, "stop") == "the cloud was asked to stop this instance (0717_i)"
    assert service.log[-1][1:3] == (
        f"/v1/instances/0717_i/actions?version={cloud.API_VERSION}&generation=2",
        {"type": "stop"},
    )


@pytest.mark.parametrize("text", [None, "{", '{"instance_id": "i"}'])
def test_a_machine_that_knows_nothing_of_a_cloud_says_so(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "cloud.json").write_text(text)
    told = cloud.end_instance(str(tmp_path), "delete")
    assert told.startswith("the cloud can't be asked to delete this instance: ")
    assert told.endswith("; the machine is switched off")


def test_what_nobody_thought_of_does_not_keep_the_machine_on(tmp_path: Path, service: Service) -> None:
    home = kept(tmp_path, service, metadata="http://host:port")
    assert "failed: InvalidURL" in cloud.end_instance(home, "delete")


def test_a_machine_without_a_profile_says_so(tmp_path: Path, service: Service) -> None:
    told = cloud.end_instance(kept(tmp_path, service, profile=""), "delete")
    assert told.startswith("the cloud did not delete this instance: no trusted profile is set")
    assert service.log == []

"""An instance of IBM VPC deletes or stops itself, by the identity that its cloud gives it.

The instance asks its metadata service for a token of its own, exchanges that for one of its trusted profile,
and uses it for one or two requests to the API of its region. No key of the user's is on the machine. Which
requests these are and what an answer means is decided in functions without a socket.

This module imports nothing but the standard library, and costs nothing to import.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

PATIENCE = 40.0
"""Seconds for all of it; then the machine is switched off, which is certain."""
GUARD = 60.0
"""Seconds after which whoever asks is taken for dead: the look-up of a name heeds no deadline."""
METADATA = "http://169.254.169.254"
API_VERSION = "2025-09-02"
"""The date by which the region's API is asked, unless the identity names another one."""
FILE = "cloud.json"
"""In the home of an agent: the identity of its machine."""

_IDENTITY_VERSION = "2022-03-01"
_TOKEN_LIFETIME = 300
_ANSWER_TIMEOUT = 8.0
_REACH_TIMEOUT = 4.0
"""Seconds that the private endpoint may take to answer at all."""
_IDENTITY_PATIENCE = 10.0
"""Seconds for a token: the metadata service is next to the machine, or switched off for good."""
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_LONGEST_PAUSE = 8.0
_BODY = 1 << 20


class CloudRefused(Exception):
    """The cloud did not do what it was asked to; the message says what, and why."""


@dataclasses.dataclass(frozen=True)
class CloudIdentity:
    """How a machine reaches the API that can end it. There is no secret in it.

    ``endpoint`` is the API of the region with ``/v1``; ``private_endpoint`` the same within the cloud's own
    network, which needs neither a public gateway nor a floating IP ("": there is none). ``profile`` is the
    trusted profile by its id, CRN or name ("": there is none, and the machine can only be switched off).
    ``floating_ip_id`` names what goes together with a deleted instance ("": nothing), ``metadata`` is the
    address of the metadata service, and ``version`` the date of the API.
    """

    instance_id: str
    endpoint: str
    private_endpoint: str = ""
    floating_ip_id: str = ""
    profile: str = ""
    metadata: str = METADATA
    version: str = API_VERSION

    def to_text(self) -> str:
        """What `from_text` reads."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> CloudIdentity:
        """Read what was written, ignoring keys that are new. Raises ValueError."""
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("the identity of a machine is a JSON object")
        known = {f.name for f in dataclasses.fields(cls)}
        values = {key: value for key, value in given.items() if key in known}
        if not all(isinstance(value, str) for value in values.values()):
            raise ValueError("the identity of a machine has values that are not strings")
        try:
            return cls(**values)
        except TypeError as exc:
            raise ValueError(f"the identity of a machine lacks keys: {exc}") from exc


# ---- decisions --------------------------------------------------------------------------------------


class Request(NamedTuple):
    """A request to the API: its path below the endpoint, and its body."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


class Answer(NamedTuple):
    """What came back: the status, the body, and for how many seconds to wait (Retry-After)."""

    status: int
    body: bytes = b""
    retry_after: float | None = None


def requests(identity: CloudIdentity, how: str, *, private: bool) -> list[list[Request]]:
    """What to ask for so that the instance is deleted or stopped: one list after the other, what is in a list
    at the same time.

    Through the cloud's own network the floating IP goes first, for nothing is left to do so when the instance
    is gone. Over the internet it may be the very way to the API, so neither can wait for the other.
    """
    instance = f"/instances/{identity.instance_id}"
    if how == "stop":
        return [[Request("POST", f"{instance}/actions", {"type": "stop"})]]
    delete = Request("DELETE", instance)
    if not identity.floating_ip_id:
        return [[delete]]
    release = Request("DELETE", f"/floating_ips/{identity.floating_ip_id}")
    return [[release], [delete]] if private else [[release, delete]]


DONE, AGAIN, RENEW, REFUSED = "done", "again", "renew", "refused"


def judge(request: Request, status: int) -> str:
    """What a status means: it was done, ask again, ask again with a new token, or it is no use."""
    if 200 <= status < 300 or (request.method == "DELETE" and status == 404):
        return DONE
    if status == 401:
        return RENEW
    if status in (408, 409, 425, 429) or status >= 500:
        return AGAIN  # 409: the instance, or its address, is in the middle of something else.
    return REFUSED


def explain(answer: Answer) -> str:
    """The status, and what the service says in any of its shapes of errors."""
    try:
        told = json.loads(answer.body)
        first = told["errors"][0] if told.get("errors") else told
        words = [str(first[key]) for key in ("code", "errorCode") if first.get(key)]
        words += [str(first[key]) for key in ("message", "errorMessage") if first.get(key)]
        said = ": ".join(words)
    except (ValueError, AttributeError, LookupError, TypeError):
        said = ""
    return f"HTTP {answer.status}" + (f" ({said[:500]})" if said else "")


def profile_of(profile: str) -> dict[str, str]:
    """A trusted profile as the metadata service wants to have it named."""
    if profile.startswith("crn:"):
        return {"crn": profile}
    return {"id" if profile.startswith("Profile-") else "name": profile}


# ---- asking -----------------------------------------------------------------------------------------

Send = Callable[[str, str, Mapping[str, str], "bytes | None", float, Callable[[], None]], Answer]
"""(method, URL, headers, body, seconds, what to call when it was sent) to an answer of any status; raises
OSError without one."""


def _nothing() -> None:
    pass


class Conversation:
    """Asks the cloud to end a machine, within a deadline."""

    def __init__(
        self,
        identity: CloudIdentity,
        send: Send | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self._identity = identity
        self._send = send or send_by_http
        self._clock = clock
        self._pause = pause
        self._deadline = clock() + patience
        self._token: str | None = None

    def end(self, how: str) -> None:
        """Have the instance deleted ("delete") or stopped ("stop"). Raises CloudRefused.

        What fails before the last request is no reason to leave the others out; the first failure is told.
        """
        if not self._identity.profile:
            raise CloudRefused(
                "no trusted profile is set (ibm_vpc.profile_id), so the machine may not end itself"
            )
        self._bearer(self._deadline)  # Without a token, nothing else is worth a try.
        endpoint, private = self._reach()
        failures: list[CloudRefused] = []

        def ask(request: Request, deadline: float, sent: Callable[[], None] = _nothing) -> None:
            try:
                self._ask(endpoint, request, deadline, sent)
            except CloudRefused as exc:
                failures.append(exc)
            finally:
                sent()

        groups = requests(self._identity, how, private=private)
        for place, group in enumerate(groups):
            deadline = self._clock() + (self._deadline - self._clock()) / (len(groups) - place)
            beside = []
            for request in group[:-1]:
                # The last one may be the end of this machine: the others are on their way by then.
                sent = threading.Event()
                beside.append(threading.Thread(target=ask, args=(request, deadline, sent.set)))
                beside[-1].start()
                sent.wait(_REACH_TIMEOUT)
            ask(group[-1], deadline)
            for thread in beside:
                thread.join()
        if failures:
            raise failures[0]

    def _reach(self) -> tuple[str, bool]:
        """The endpoint that answers, and whether it is that of the cloud's own network."""
        private = self._identity.private_endpoint
        if private:
            try:
                self._call(private, Request("GET", "/regions"), None, _REACH_TIMEOUT)
                return private, True
            except OSError:
                pass  # There is no way into that network from here.
        return self._identity.endpoint, False

    def _ask(
        self, endpoint: str, request: Request, deadline: float, sent: Callable[[], None] = _nothing
    ) -> None:
        """Ask until it is done, or the deadline. Raises CloudRefused."""
        what, why, renewed = f"{request.method} {request.path}", "", False
        for attempt in range(1_000):
            retry_after = None
            try:
                bearer = self._bearer(deadline)
                answer = self._call(endpoint, request, bearer, self._timeout(deadline), sent)
                verdict, why = judge(request, answer.status), explain(answer)
                retry_after = answer.retry_after
                if verdict == DONE:
                    return
                if verdict == REFUSED or (verdict == RENEW and renewed):
                    raise CloudRefused(f"{what}: {why}")
                if verdict == RENEW:
                    self._token, renewed = None, True
                    continue
            except OSError as exc:
                why = f"{endpoint} can't be reached: {exc}"
            wait = _pause(attempt, retry_after)
            if self._clock() + wait >= deadline:
                break
            self._pause(wait)
        raise CloudRefused(f"{what}: no success in time: {why}")

    def _bearer(self, deadline: float) -> str:
        """A token of the trusted profile. Raises CloudRefused."""
        if self._token is None:
            deadline = min(deadline, self._clock() + _IDENTITY_PATIENCE)
            own = self._identity_call(
                "PUT", "/instance_identity/v1/token", {"expires_in": _TOKEN_LIFETIME}, None, deadline
            )
            chosen = {"trusted_profile": profile_of(self._identity.profile)}
            self._token = self._identity_call(
                "POST", "/instance_identity/v1/iam_token", chosen, own, deadline
            )
        return self._token

    def _identity_call(
        self, method: str, path: str, body: Mapping[str, Any], token: str | None, deadline: float
    ) -> str:
        url = f"{self._identity.metadata}{path}?version={_IDENTITY_VERSION}"
        headers = {"Metadata-Flavor": "ibm", **_headers(token)}
        why = ""
        for attempt in range(1_000):
            retry_after = None
            try:
                answer = self._send(
                    method, url, headers, json.dumps(body).encode(), self._timeout(deadline), _nothing
                )
                if answer.status < 300:
                    return _access_token(answer, path)
                why, retry_after = explain(answer), answer.retry_after
                if answer.status not in (408, 429) and answer.status < 500:
                    break
            except OSError as exc:
                why = f"{self._identity.metadata} can't be reached: {exc}"
            wait = _pause(attempt, retry_after)
            if self._clock() + wait >= deadline:
                break
            self._pause(wait)
        raise CloudRefused(f"{method} {path} of the metadata service: {why}")

    def _timeout(self, deadline: float) -> float:
        return min(_ANSWER_TIMEOUT, max(deadline - self._clock(), 0.5))

    def _call(
        self,
        endpoint: str,
        request: Request,
        token: str | None,
        timeout: float,
        sent: Callable[[], None] = _nothing,
    ) -> Answer:
        url = f"{endpoint.rstrip('/')}{request.path}?version={self._identity.version}&generation=2"
        body = None if request.body is None else json.dumps(request.body).encode()
        return self._send(request.method, url, _headers(token), body, timeout, sent)


def _headers(token: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    return {**headers, "Authorization": f"Bearer {token}"} if token else headers


def _access_token(answer: Answer, path: str) -> str:
    try:
        token = json.loads(answer.body)["access_token"]
    except (ValueError, LookupError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        raise CloudRefused(f"{path} of the metadata service: the answer has no access_token")
    return token


def _pause(attempt: int, retry_after: float | None) -> float:
    if retry_after is not None and retry_after >= 0:  # Neither negative nor not a number.
        return min(retry_after, _LONGEST_PAUSE)
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]


def send_by_http(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: float,
    sent: Callable[[], None],
) -> Answer:
    """Send a request, over no proxy: the metadata service is on this machine's own link."""
    import http.client
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers))
        sent()
        response = connection.getresponse()
        return Answer(response.status, response.read(_BODY), _seconds(response.headers.get("Retry-After")))
    except http.client.HTTPException as exc:
        raise OSError(f"no answer of HTTP: {exc!r}") from exc
    finally:
        connection.close()


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None  # A date: the usual pause does as well.


# ---- on the machine ---------------------------------------------------------------------------------


def keep(home: str, identity: CloudIdentity) -> None:
    """Write the identity of the machine into the home of an agent."""
    path = os.path.join(home, FILE)
    temporary = f"{path}.{os.getpid()}"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(identity.to_text())
    os.rename(temporary, path)


def end_instance(home: str, how: str) -> str:
    """Ask the cloud to delete or stop this machine; a sentence about what came of it. Never raises."""
    try:
        with open(os.path.join(home, FILE)) as file:
            identity = CloudIdentity.from_text(file.read())
        Conversation(identity).end(how)
    except (OSError, ValueError) as exc:
        return f"the cloud can't be asked to {how} this instance: {exc}; the machine is switched off"
    except CloudRefused as exc:
        return f"the cloud did not {how} this instance: {exc}; the machine is switched off"
    except Exception as exc:  # noqa: BLE001 - Whatever it is, the machine is to be switched off.
        return f"asking the cloud to {how} this instance failed: {exc!r}; the machine is switched off"
    return f"the cloud was asked to {how} this instance ({identity.instance_id})"

"""The VPC API of a region through IBM's SDK: time-outs, retries and errors in one place."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lithops.backends.ibm_vpc.failures import TOKEN as _TOKEN
from lithops.backends.ibm_vpc.failures import Failure, error_of, of_answer, pause_before
from lithops.config.settings import IbmVpcSettings
from lithops.errors import CloudError

logger = logging.getLogger(__name__)

VERSION = "2025-09-02"
"""The date of the API that this was written for."""
_TIMEOUTS = (10.0, 30.0)
"""Seconds to connect, and between two parts of an answer."""
_PAGE = 100
_RENEWALS = 3
"""How often a request is made again with a new token: other threads may have got theirs just before."""
_POOL = 32

INSTANCE = "instance"
VPC = "vpc"
SUBNET = "subnet"
GATEWAY = "public_gateway"
GROUP = "security_group"
ADDRESS = "floating_ip"
VOLUME = "volume"
IMAGE = "image"
PROFILE = "instance_profile"
_PROTOTYPES = {INSTANCE, SUBNET, ADDRESS}
"""Kinds whose creation takes one argument; the others take a keyword for each field."""
WORDS = {VPC: "VPC", GATEWAY: "public gateway", GROUP: "security group", ADDRESS: "floating IP"}


def endpoint_of(settings: IbmVpcSettings) -> str:
    """Where the API of the region is."""
    return (settings.endpoint or f"https://{settings.region}.iaas.cloud.ibm.com/v1").rstrip("/")


class VpcApi:
    """Operations by the kind of the thing. Thread-safe; nothing is connected before the first one.

    Each raises CloudError. ``timeouts`` are for connecting and for reading, in seconds; ``pause`` waits.
    """

    def __init__(
        self,
        settings: IbmVpcSettings,
        *,
        timeouts: tuple[float, float] = _TIMEOUTS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._timeouts = timeouts
        self._pause = pause
        self._lock = threading.Lock()
        self._client: Any = None

    # -- operations --

    def list(self, kind: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """All things of a kind."""
        start = None
        while True:
            more = {**filters, **({"start": start} if start else {})}
            page = self.ask(f"list_{kind}s", limit=_PAGE, **more)
            yield from page[f"{kind}s"]
            following = (page.get("next") or {}).get("href")
            start = parse_qs(urlsplit(following).query)["start"][0] if following else None
            if start is None:
                return

    def find(self, kind: str, name: str, **filters: Any) -> dict[str, Any] | None:
        """The thing of this name; None when there is none."""
        if kind in (INSTANCE, IMAGE, VOLUME):
            filters["name"] = name
        return next((thing for thing in self.list(kind, **filters) if thing["name"] == name), None)

    def get(self, kind: str, id: str) -> dict[str, Any]:
        """The thing of this id."""
        answer: dict[str, Any] = self.ask(f"get_{kind}", id)
        return answer

    def look(self, kind: str, id: str) -> dict[str, Any] | None:
        """The thing of this id; None when it is not there."""
        try:
            return self.get(kind, id)
        except CloudError as exc:
            if exc.status == 404:
                return None
            raise

    def create(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a thing with the name that is in the body, once, whatever answers are lost.

        One of this name that is there already is ours, for names tell whose they are.
        """
        name, attempt = body["name"], 0
        while True:
            attempt += 1
            try:
                return self._create_once(kind, body)
            except _Failed as exc:
                failure = exc.failure
                if not (failure.is_open or failure.is_not_unique):
                    raise exc.error(self._settings.region) from exc.cause
                found = self.find(kind, name)
                if found is not None:
                    return found
                pause = pause_before(failure, attempt, repeatable=failure.is_open)
                if pause is None:
                    raise exc.error(self._settings.region) from exc.cause
                logger.debug("%s: %s; asking again in %.1f s", failure.operation, failure.message, pause)
                self._pause(pause)

    def _create_once(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        arguments, options = ((body,), {}) if kind in _PROTOTYPES else ((), dict(body))
        made: dict[str, Any] = self._persist(f"create_{kind}", arguments, options, repeatable=False)
        return made

    def delete(self, kind: str, id: str) -> None:
        """Have a thing deleted; one that is not there is no error. It may take a while until it is gone."""
        try:
            self.ask(f"delete_{kind}", id)
        except CloudError as exc:
            if exc.status != 404:
                raise

    def act(self, instance_id: str, action: str, *, force: bool = False) -> None:
        """Have an instance started or stopped; it takes a while."""
        more = {"force": True} if force else {}
        self.ask("create_instance_action", instance_id, action, **more)

    def ask(self, operation: str, *arguments: Any, **options: Any) -> Any:
        """Any operation of the SDK that may be carried out twice."""
        try:
            return self._persist(operation, arguments, options, repeatable=True)
        except _Failed as exc:
            raise exc.error(self._settings.region) from exc.cause

    # -- inside --

    def _persist(
        self, operation: str, arguments: tuple[Any, ...], options: dict[str, Any], *, repeatable: bool
    ) -> Any:
        """Carry out an operation of the SDK, trying again where that is right. Raises _Failed."""
        attempt = renewals = 0
        while True:
            attempt += 1
            try:
                return self._carry_out(operation, arguments, options)
            except _Failed as exc:
                failure = exc.failure
                if failure.is_stale_token and renewals < _RENEWALS and failure.operation != _TOKEN:
                    renewals += 1
                    self._forget_token()
                    continue
                again = repeatable or failure.operation == _TOKEN
                pause = pause_before(failure, attempt, repeatable=again)
                if pause is None:
                    raise
                said = failure.message or failure.status
                logger.debug("%s: %s; asking again in %.1f s", failure.operation, said, pause)
            self._pause(pause)

    def _carry_out(self, operation: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Carry out an operation of the SDK once. Raises _Failed."""
        from ibm_cloud_sdk_core import ApiException
        from requests import RequestException

        doing = _TOKEN
        try:
            client = self._ready()
            doing = operation.replace("_", " ")
            return getattr(client, operation)(*arguments, timeout=self._timeouts, **options).get_result()
        except ApiException as exc:
            response = exc.http_response
            body = response.text if response is not None else str(exc.message)
            after = response.headers.get("Retry-After") if response is not None else None
            raise _Failed(of_answer(doing, exc.status_code, body, after), exc) from exc
        except (RequestException, ValueError, LookupError) as exc:
            # What the SDK can't read is no answer either.
            said = f"{type(exc).__name__}: {exc}"[:300]
            raise _Failed(Failure(operation=doing, message=said), exc) from exc

    def _ready(self) -> Any:
        """The client, with a token that is valid.

        In the SDK, threads wait for a minute when one got no token; so here one at a time asks for it.
        """
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            manager = self._client.authenticator.token_manager
            try:
                manager.get_token()
            except BaseException:
                manager.request_time = 0
                raise
        return self._client

    def _forget_token(self) -> None:
        with self._lock:
            self._client.authenticator.token_manager.expire_time = 0

    def _connect(self) -> Any:
        import requests
        from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
        from ibm_vpc import VpcV1
        from requests.adapters import HTTPAdapter

        # At its finest level the SDK logs requests whole, that of the token with the API key among them.
        logging.getLogger("ibm-cloud-sdk-core").setLevel(logging.WARNING)
        settings = self._settings
        authenticator = IAMAuthenticator(settings.api_key, url=settings.iam_endpoint)
        authenticator.token_manager.http_config = {"timeout": self._timeouts}
        client = VpcV1(version=VERSION, authenticator=authenticator)
        client.set_service_url(endpoint_of(settings))
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_POOL, pool_block=True))
        client.set_http_client(session)
        return client


class _Failed(Exception):
    """A request without success."""

    def __init__(self, failure: Failure, cause: Exception) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.cause = cause

    def error(self, region: str) -> CloudError:
        """The same for the user."""
        return error_of(self.failure, region)

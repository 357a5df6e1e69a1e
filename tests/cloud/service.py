"""The service over HTTP: what is checked of each request, and the identity service."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import flask

from .answers import View
from .faults import Fault, Faults
from .iam import Iam
from .problems import Refused, not_found
from .region import Region
from .routes import Operation, Request, routes

_OLDEST = "2019-01-01"


def make_app(region: Region, faults: Faults) -> flask.Flask:
    """The Flask app of a region."""
    app = flask.Flask("tests.cloud")
    # What a view raises is for the server: a connection that is to be dropped among it.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    door = _Door(region, faults)
    for method, rule, operation in routes(region):
        name = f"{method} {rule}"
        app.add_url_rule(
            f"/v1{rule}", name, door.view(operation), methods=[method], provide_automatic_options=False
        )
    app.add_url_rule("/identity/token", "token", lambda: door.token(region.iam), methods=["POST"])
    app.add_url_rule("/cdn-cgi/trace", "trace", lambda: _trace(region.seen_as or flask.request.remote_addr))
    app.register_error_handler(404, lambda exc: door.unknown())
    app.register_error_handler(405, lambda exc: door.unknown())
    return app


class _Door:
    """What is checked of each request before it gets in."""

    def __init__(self, region: Region, faults: Faults) -> None:
        self.region = region
        self.faults = faults

    def view(self, operation: Operation) -> Callable[..., flask.Response]:
        """The view function of an operation."""

        def act(**ids: str) -> flask.Response:
            path = flask.request.path.removeprefix("/v1")
            return self._guarded(path, lambda: self._carry_out(path, operation, ids))

        return act

    def token(self, iam: Iam) -> flask.Response:
        """POST /identity/token."""
        form = flask.request.form.to_dict()
        return self._guarded(flask.request.path, lambda: _response(*iam.exchange(form)))

    def unknown(self) -> flask.Response:
        """A request that no route is for."""
        return _refusal(not_found("operation", f"{flask.request.method} {flask.request.path}"))

    def _guarded(self, path: str, act: Callable[[], flask.Response]) -> flask.Response:
        """Carry a request out with the fault that it may have."""
        method = flask.request.method
        flask.request.get_data()
        fault = self.faults.begin(method, path)
        try:
            if fault is None or fault.after:
                response = act()
            if fault is not None:
                response = self._spoil(fault)
        except Refused as refused:
            response = _refusal(refused)
        except ConnectionAbortedError:
            self.faults.end(method, path, None)
            raise
        except Exception as exc:
            # A bug of the fake must not pass for a fault of the service.
            self.region.bugs.append(exc)
            raise
        self.faults.end(method, path, response.status_code)
        return response

    def _spoil(self, fault: Fault) -> flask.Response:
        if fault.hang:
            self.faults.hang(fault.hang)
        if fault.drop:
            raise ConnectionAbortedError
        return _refusal(fault.refusal())

    def _carry_out(self, path: str, operation: Operation, ids: dict[str, str]) -> flask.Response:
        version = _checked_version(flask.request.args)
        subject = self.region.iam.identify(flask.request.headers.get("Authorization", ""))
        if not subject.may(flask.request.method, path):
            message = "The request is not authorized for this trusted profile."
            raise Refused(403, "not_authorized", message)
        query = {k: v for k, v in flask.request.args.items() if k not in ("version", "generation")}
        base = f"{flask.request.host_url.rstrip('/')}/v1"
        view = View(self.region, base, version)
        request = Request(query=query, data=flask.request.get_data(), view=view)
        with self.region.lock:
            self.region.settle()
            return _response(*operation(request, **ids))


def _trace(address: str | None) -> flask.Response:
    """What the network in front of the service tells everybody: who asks."""
    return flask.Response(f"fl=1f1\nh={flask.request.host}\nip={address}\n", mimetype="text/plain")


def _checked_version(args: Any) -> str:
    """The version of the API that a request wants. Raises Refused."""
    version = str(args.get("version", ""))
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
        raise Refused(
            400, "invalid_version", "Missing or invalid version.", target="version", kind="parameter"
        )
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    if not _OLDEST <= version <= today:
        message = f"The version must be from {_OLDEST} on and not in the future."
        raise Refused(400, "invalid_version", message, target="version", kind="parameter")
    if args.get("generation") != "2":
        message = "The generation query parameter must be 2."
        raise Refused(400, "invalid_generation", message, target="generation", kind="parameter")
    return version


def _response(status: int, body: Any) -> flask.Response:
    if body is None:
        return flask.Response(status=status)
    response = flask.jsonify(body)
    response.status_code = status
    return response


def _refusal(refused: Refused) -> flask.Response:
    response = _response(refused.status, refused.answer())
    if refused.retry_after is not None:
        response.headers["Retry-After"] = f"{refused.retry_after:g}"
    return response

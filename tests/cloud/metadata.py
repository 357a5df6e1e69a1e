"""The metadata service of an instance: identity tokens, and IAM tokens for its trusted profile."""

from __future__ import annotations

import datetime
import re
import secrets
from typing import Any

import flask

from .iam import Profile, Subject
from .region import Region
from .resources import Instance

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST = 3600


class Metadata:
    """The service of one instance. It knows who asks, since nobody else can."""

    def __init__(self, region: Region, instance: Instance) -> None:
        self._region = region
        self._instance = instance
        self._tokens: dict[str, float] = {}

    def app(self) -> flask.Flask:
        """What listens at 169.254.169.254."""
        app = flask.Flask("tests.cloud.metadata")
        app.add_url_rule("/instance_identity/v1/token", "token", self._token, methods=["PUT"])
        app.add_url_rule("/instance_identity/v1/iam_token", "iam", self._iam_token, methods=["POST"])
        app.add_url_rule("/metadata/v1/instance", "instance", self._show, methods=["GET"])
        app.before_request(self._check)
        return app

    def _check(self) -> flask.Response | None:
        if not self._instance.metadata_enabled:
            return _error(403, "not_enabled", "The metadata service is not enabled for this instance.")
        if not _VERSION.fullmatch(flask.request.args.get("version", "")):
            return _error(400, "invalid_version", "Missing or invalid version.")
        return None

    def _token(self) -> flask.Response:
        if flask.request.headers.get("Metadata-Flavor") != "ibm":
            return _error(400, "missing_header", "The header Metadata-Flavor: ibm is missing.")
        body = flask.request.get_json(silent=True, force=True) or {}
        lifetime = body.get("expires_in", 300)
        if not isinstance(lifetime, int) or not 5 <= lifetime <= _LONGEST or set(body) - {"expires_in"}:
            return _error(400, "bad_field", "expires_in is from 5 to 3600")
        token = secrets.token_urlsafe(48)
        now = self._region.clock.now()
        self._tokens[token] = now + lifetime
        return flask.jsonify(
            access_token=token,
            created_at=_moment(now),
            expires_at=_moment(now + lifetime),
            expires_in=lifetime,
        )

    def _authenticated(self) -> bool:
        token = flask.request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, 0.0) > self._region.clock.now()

    def _iam_token(self) -> flask.Response:
        if not self._authenticated():
            return _error(401, "not_authenticated", "The instance identity token is missing or expired.")
        body = flask.request.get_json(silent=True) or {}
        wanted = body.get("trusted_profile")
        profile = self._profile(wanted)
        if profile is None:
            message = f"The instance is not linked to a trusted profile {wanted or '(default)'}."
            return _error(403, "not_authorized", message)
        crn = self._region.crn("instance", self._instance.id)
        subject = Subject(id=f"iam-{profile.id}", profile=profile, instance=self._instance.id)
        grant = self._region.iam.grant(subject)
        now = self._region.clock.now()
        lifetime = int(self._region.iam.lifetime)
        return flask.jsonify(
            access_token=grant["access_token"], created_at=_moment(now), expires_at=_moment(now + lifetime),
            expires_in=lifetime, instance=crn,
        )  # fmt: skip

    def _profile(self, wanted: Any) -> Profile | None:
        """The profile that a token may be had for: the one that the instance was made with."""
        linked = self._region.iam.profiles.get(self._instance.trusted_profile or "")
        if linked is None or not self._instance.linked:
            return None
        if wanted is None:
            return linked
        found = self._region.iam.find_profile(
            id=wanted.get("id"), crn=wanted.get("crn"), name=wanted.get("name", "")
        )
        return linked if found == linked else None

    def _show(self) -> flask.Response:
        if not self._authenticated():
            return _error(401, "not_authenticated", "The instance identity token is missing or expired.")
        instance = self._instance
        crn = self._region.crn("instance", instance.id)
        return flask.jsonify(id=instance.id, crn=crn, name=instance.name, zone={"name": instance.zone})


def _moment(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, code: str, message: str) -> flask.Response:
    response = flask.jsonify(errors=[{"code": code, "message": message}], trace=secrets.token_hex(8))
    response.status_code = status
    return response

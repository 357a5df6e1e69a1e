"""The identity service: tokens for API keys, and for instances with a trusted profile."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt

from .problems import Refused
from .schedule import Clock

GRANT_API_KEY = "urn:ibm:params:oauth:grant-type:apikey"
_SIGNING = "HS256"

END_ITSELF = (
    ("GET", r"/instances(/[^/]+)?"),
    ("DELETE", r"/instances/[^/]+"),
    ("POST", r"/instances/[^/]+/actions"),
    ("GET", r"/instances/[^/]+/network_interfaces(/[^/]+)?"),
    ("GET", r"/instances/[^/]+/network_attachments"),
    ("GET", r"/floating_ips(/[^/]+)?"),
    ("DELETE", r"/floating_ips/[^/]+"),
)
"""What a profile must be allowed so that an instance can end itself: method and path of each request."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A trusted profile, and what its holders may do."""

    id: str
    name: str
    account: str
    may: tuple[tuple[str, str], ...] = END_ITSELF

    @property
    def crn(self) -> str:
        """Its name all over the cloud."""
        return f"crn:v1:bluemix:public:iam-identity::a/{self.account}::profile:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who a request comes from: the holder of an API key, or an instance with a profile."""

    id: str
    profile: Profile | None = None
    instance: str | None = None

    def may(self, method: str, path: str) -> bool:
        """Whether it is allowed to do this."""
        if self.profile is None:
            return True
        return any(method == verb and re.fullmatch(pattern, path) for verb, pattern in self.profile.may)


@dataclass
class Iam:
    """The service. ``lifetime`` is that of a token, in seconds."""

    clock: Clock
    api_key: str
    lifetime: float = 3600.0
    account: str = field(default_factory=lambda: uuid.uuid4().hex)
    profiles: dict[str, Profile] = field(default_factory=dict)
    issued: int = 0
    """How many tokens were given for API keys."""
    _secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    _revoked_before: float = 0.0

    def add_profile(self, name: str, may: tuple[tuple[str, str], ...] = END_ITSELF) -> Profile:
        """Make a trusted profile."""
        profile = Profile(id=f"Profile-{uuid.uuid4()}", name=name, account=self.account, may=may)
        self.profiles[profile.id] = profile
        return profile

    def find_profile(
        self, *, id: str | None = None, crn: str | None = None, name: str = ""
    ) -> Profile | None:
        """The trusted profile with this id, crn or name."""
        for profile in self.profiles.values():
            if (id and profile.id == id) or (crn and profile.crn == crn) or (name and profile.name == name):
                return profile
        return None

    def revoke_all(self) -> None:
        """Let all tokens given so far be worth nothing, whatever they say about their end."""
        self._revoked_before = self.clock.now()

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """POST /identity/token."""
        if form.get("grant_type") != GRANT_API_KEY:
            return 400, _iam_error("BXNIM0120E", "Property missing or has an invalid value: grant_type.")
        if not form.get("apikey"):
            return 400, _iam_error("BXNIM0109E", "Property missing or empty: apikey")
        if not secrets.compare_digest(form["apikey"].encode(), self.api_key.encode()):
            return 400, _iam_error("BXNIM0415E", "Provided API key could not be found.")
        self.issued += 1
        return 200, self.grant(Subject(id="IBMid-fake"))

    def grant(self, subject: Subject) -> dict[str, Any]:
        """A token for this subject, in the shape of the service."""
        now = self.clock.now()
        claims: dict[str, Any] = {
            "iam_id": subject.id, "sub": subject.id, "iat": int(now), "exp": int(now + self.lifetime),
            "made_at": now, "account": {"bss": self.account}, "jti": str(uuid.uuid4()),
        }  # fmt: skip
        if subject.profile:
            claims.update(profile=subject.profile.id, instance=subject.instance)
        return {
            "access_token": jwt.encode(claims, self._secret, algorithm=_SIGNING),
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "expiration": int(now + self.lifetime),
            "scope": "ibm openid",
        }

    def identify(self, authorization: str) -> Subject:
        """Who this header speaks for. Raises Refused when its token is none of ours, or over."""
        scheme, _, token = authorization.partition(" ")
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self._secret, algorithms=[_SIGNING], options=options)
        except jwt.PyJWTError:
            claims = {}
        if scheme != "Bearer" or "exp" not in claims:
            raise Refused(401, "not_authenticated", "The request is not authenticated.")
        if claims["exp"] <= self.clock.now() or claims["made_at"] < self._revoked_before:
            raise Refused(401, "expired_token", "The provided token has expired.")
        profile = self.profiles.get(claims.get("profile", ""))
        if "profile" in claims and profile is None:
            raise Refused(401, "not_authenticated", "The trusted profile does not exist any more.")
        return Subject(id=claims["sub"], profile=profile, instance=claims.get("instance"))


def _iam_error(code: str, message: str) -> dict[str, Any]:
    """The shape of an error of the identity service, which is another one than that of VPC."""
    return {
        "errorCode": code,
        "errorMessage": message,
        "errorDetails": message,
        "context": {"requestId": uuid.uuid4().hex, "url": "/identity/token", "instanceId": "fake"},
    }

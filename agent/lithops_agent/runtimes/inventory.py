"""The images that the engine of this host has."""

from __future__ import annotations

import urllib.parse
from typing import Any

from lithops_agent.protocol import RuntimeFailure
from lithops_agent.runtimes.engine import Engine, EngineError


def images(engine: Engine) -> list[dict[str, Any]]:
    """Each name of each image, with its id, its size in bytes and when it was made. Raises `EngineError`."""
    return [
        {"name": name, "id": image["Id"], "size": image["Size"], "made_at": image["Created"]}
        for image in engine.get("/images/json")
        for name in image.get("RepoTags") or ()
        if name != "<none>:<none>"
    ]


def remove_image(engine: Engine, name: str) -> bool:
    """Remove the name, and the image when it has no other; whether there was one. Raises `EngineError`."""
    try:
        engine.ask("DELETE", f"/images/{urllib.parse.quote(name, safe='/:@')}")
    except EngineError as exc:
        if exc.kind == RuntimeFailure.NO_SUCH_IMAGE:
            return False
        raise
    return True

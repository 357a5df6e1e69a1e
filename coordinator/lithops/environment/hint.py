"""What would have brought a module that a function did not find."""

from __future__ import annotations

import sys


def hint_for(error: ModuleNotFoundError, host: str) -> str:
    """Which setting would have brought the module; '' when that is not known.

    It depends on what the module is here: installed, a file of the user's own, or not there either.
    """
    module = (error.name or "").partition(".")[0]
    if not module or module in sys.stdlib_module_names:
        return ""
    where = f"host {host}" if host else "the host"
    found = _installed(module)
    if found is not None:
        name, version = found
        return (
            f"{where} has no module {module!r}. Here it is of {name} {version}: "
            f"`standalone.requirements: [{name}=={version}]` brings it there, `requirements: local` brings "
            "all that is installed here"
        )
    if _is_here(module):
        return (
            f"{where} has no module {module!r}. Here it is a file: `include_modules: [{module}]`, of the "
            "configuration or of the call, brings it there"
        )
    return (
        f"{where} has no module {module!r}, and it is not installed here either: the distribution that has "
        "it is to be named in `standalone.requirements`"
    )


def _installed(module: str) -> tuple[str, str] | None:
    """The distribution that has a top-level module here, and its version."""
    import importlib.metadata

    owners = importlib.metadata.packages_distributions().get(module)
    try:
        return None if not owners else (owners[0], importlib.metadata.version(owners[0]))
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_here(module: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False

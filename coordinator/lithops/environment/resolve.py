"""From requirements to the wheels for a host's platform, with uv. What has no wheel is built here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lithops.environment import uv
from lithops.environment.fetch import folder_fingerprint
from lithops.environment.lock import Lock, Source, Wheel, lines_of_pylock, read_pylock, sources_of
from lithops.environment.platforms import HostPlatform
from lithops.environment.requirements import Requirements, is_pylock
from lithops.errors import EnvironmentFailed, HostError, PackageIndexUnreachable, RequirementsUnavailable

Complete = Callable[["Wheel | Source", HostPlatform], Wheel]
"""Gives a wheel whose hash is known, made of a source where there is none. Raises EnvironmentFailed."""
_NO_WHEELS = "no usable wheels"
_UNSOLVED = "No solution found"
_UNREACHABLE = ("error sending request", "network was disabled")
_NO_INDEX = (
    "standalone.requirements: this machine reaches no package index, and it is the one that chooses the "
    "versions, whoever fetches the packages. Name an index that it reaches "
    "(UV_DEFAULT_INDEX, or HTTPS_PROXY for the way there), or a folder of wheels (UV_FIND_LINKS with "
    "UV_NO_INDEX=1): {text}"
)
_AT_A_TIME = 8


class Resolver:
    """Resolves for one environment of uv (its registries); ``complete`` fetches and builds."""

    def __init__(self, environment: Mapping[str, str], complete: Complete) -> None:
        self._environment = environment
        self._complete = complete

    def lock(self, requirements: Requirements, platform: HostPlatform) -> Lock:
        """The wheels for a platform.

        Raises RequirementsUnavailable, EnvironmentFailed.
        """
        if not platform.uv_name or platform.implementation != "cpython":
            raise RequirementsUnavailable(
                f"no environment can be made for {platform.implementation} ({platform}): wheels exist for "
                "CPython on x86_64 and aarch64 with glibc 2.17 or newer, or musl",
                phase="environment",
            )
        packages = self._packages(requirements, platform)
        if requirements.form == "lock":
            _check_hashes(packages, requirements)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            wheels = tuple(pool.map(lambda package: self._complete(package, platform), packages))
        folders = [source.place for source in sources_of(packages) if source.is_folder]
        marks = tuple((folder, folder_fingerprint(folder)) for folder in folders)
        return Lock(wheels, self._uv(platform), time.time(), marks)

    def _packages(self, requirements: Requirements, platform: HostPlatform) -> list[Wheel | Source]:
        pinned = requirements.form in ("local", "local-imports")
        arguments, stdin, folder = _asked(requirements, self._environment)
        if pinned:
            arguments = [*arguments, "--no-deps"]
        try:
            return self._compile(arguments, platform, stdin, folder)
        except uv.UvFailed as exc:
            text = str(exc)
        if any(words in text for words in _UNREACHABLE):
            raise PackageIndexUnreachable(_NO_INDEX.format(text=text), phase="environment")
        if _UNSOLVED not in text:
            raise EnvironmentFailed(
                f"standalone.requirements could not be resolved on this machine: {text}", phase="environment"
            )
        if pinned:
            raise self._each_unavailable(requirements.lines, platform, text)
        raise _unavailable(platform, text)

    def _compile(
        self, arguments: Sequence[str], platform: HostPlatform, stdin: str, folder: str | None
    ) -> list[Wheel | Source]:
        """With wheels only; if that has no solution for want of wheels, with sources too."""
        command = [
            *("pip", "compile", *arguments, *uv.python_option()),
            *("--python-version", platform.minor, "--python-platform", platform.uv_name),
            *("--format", "pylock.toml", "--no-header", "--quiet", "--no-annotate"),
        ]
        try:
            text = uv.run([*command, "--only-binary", ":all:"], self._environment, stdin=stdin, folder=folder)
        except uv.UvFailed as exc:
            if _NO_WHEELS not in str(exc):
                raise
            text = uv.run(command, self._environment, stdin=stdin, folder=folder)
        try:
            packages = read_pylock(text)
        except (ValueError, KeyError, TypeError) as exc:
            message = f"what uv wrote can't be read ({exc}): its version is {uv.uv_version()}"
            raise EnvironmentFailed(message, phase="environment") from exc
        for source in sources_of(packages):
            if source.unsupported:
                raise RequirementsUnavailable(f"{source.name}: {source.unsupported}", phase="environment")
        return [_absolute(package, folder) for package in packages]

    def _each_unavailable(
        self, lines: Sequence[str], platform: HostPlatform, text: str
    ) -> RequirementsUnavailable:
        """Which of many pinned distributions can't be had: each is asked for by itself."""

        def why(line: str) -> str:
            try:
                self._compile(["-", "--no-deps"], platform, line, None)
            except uv.UvFailed as exc:
                return f"{line}: {exc}"
            except HostError as exc:
                return f"{line}: {exc.args[0]}"
            return ""

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = [reason for reason in pool.map(why, lines) if reason]
        return _unavailable(platform, "\n".join(found) or text)

    def _uv(self, platform: HostPlatform) -> Wheel:
        try:
            packages = self._compile(["-", "--no-deps"], platform, f"uv=={uv.uv_version()}", None)
        except uv.UvFailed as exc:
            raise RequirementsUnavailable(
                f"uv, which builds the environment, can't be had for {platform}: {exc}", phase="environment"
            ) from exc
        return self._complete(packages[0], platform)


def _asked(requirements: Requirements, environment: Mapping[str, str]) -> tuple[list[str], str, str | None]:
    """Arguments of ``uv pip compile`` that name what is wanted, its standard input, and its folder."""
    if not requirements.path:
        return ["-"], "\n".join(requirements.lines), None
    path = Path(requirements.path)
    folder = str(path.parent)
    if is_pylock(path.name):
        try:
            return ["-", "--no-deps"], "\n".join(lines_of_pylock(requirements.content)), folder
        except (ValueError, KeyError, TypeError) as exc:
            message = f"standalone.requirements: {path} is not a lock as of PEP 751 ({exc!r})"
            raise EnvironmentFailed(message, phase="environment") from exc
    if path.name == "uv.lock":
        command = ["export", "--frozen", "--no-emit-project", "--no-dev", "--format", "requirements.txt"]
        try:
            text = uv.run([*command, "--quiet", "--no-header"], environment, folder=folder)
        except uv.UvFailed as exc:
            message = f"standalone.requirements: {path} can't be read: {exc}"
            raise EnvironmentFailed(message, phase="environment") from exc
        return ["-", "--no-deps"], text, folder
    return [path.name], "", folder


def _check_hashes(packages: Sequence[Wheel | Source], requirements: Requirements) -> None:
    """A lock names files by their hashes: a registry that has others of the same name is not believed."""
    for package in packages:
        if package.sha256 and package.sha256 not in requirements.content:
            what = package.file if isinstance(package, Wheel) else package.name
            raise RequirementsUnavailable(
                f"{what}: the registry has another file (SHA-256 {package.sha256}) than {requirements.path} "
                "names",
                phase="environment",
            )


def _unavailable(platform: HostPlatform, text: str) -> RequirementsUnavailable:
    return RequirementsUnavailable(
        f"standalone.requirements can't be had for {platform}:\n{text}", phase="environment"
    )


def _absolute(package: Wheel | Source, folder: str | None) -> Wheel | Source:
    """Paths in a lock are relative to the folder that it was made in."""
    base = Path(folder or ".").absolute()
    if isinstance(package, Wheel):
        if "://" in package.url:
            return package
        return Wheel(package.file, package.sha256, package.size, (base / package.url).resolve().as_uri())
    if "://" in package.place or not package.place:
        return package
    return Source(package.name, str((base / package.place).resolve()), package.is_folder, package.sha256)

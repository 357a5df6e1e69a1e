"""From a configuration as it was written to one that is complete and checked.

Values are taken from the arguments of the executor, then the source, then the schema. Everything that is
wrong is collected and told in one error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from lithops.config.check import check_section, similar_key
from lithops.config.choice import Choice, Wish, choose
from lithops.config.host import parse_address
from lithops.config.ibm import CREATION_TIMEOUT, IBM, about_ibm_vpc
from lithops.config.keys import Section
from lithops.config.kinds import Problem, did_you_mean, shown
from lithops.config.names import IBM_VPC, LOCALHOST, RESERVED_SECTIONS, STANDALONE, SUPPORTED_BACKENDS
from lithops.config.runtime import is_image
from lithops.config.schema import (
    LITHOPS,
    SECTIONS,
    SHARED_KEYS,
    STANDALONE_SECTION,
    default_values,
    key_of,
)
from lithops.config.sources import Source, find_source
from lithops.errors import ConfigError, NotSupportedYet

ARGUMENTS = "executor argument"

Values = dict[str, dict[str, Any]]


def default_config(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    config_overwrite: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Find the configuration, check it, and complete it with defaults.

    Args:
        config_file: the path of a configuration file, instead of looking for one.
        config_data: the configuration itself; it wins over `config_file`. Empty counts as none.
        config_overwrite: sections whose keys win, and `backend`: keys for the section of the chosen backend.

    Returns:
        A plain dictionary of sections, which is accepted again wherever a configuration is.

    Raises:
        ConfigError: with everything that is wrong, each with its source and the path of the key;
            `NotSupportedYet` when nothing else is wrong than that.
    """
    return expand(find_source(config_file, config_data), config_overwrite or {})


def arguments_overwrite(
    mode: str | None = None,
    backend: str | None = None,
    storage: str | None = None,
    monitoring: str | None = None,
    log_level: str | int | bool | None = False,
    backend_keys: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give the `config_overwrite` that the arguments of an executor mean.

    `None` says nothing about a key; of `log_level`, `False` says nothing and `None` switches it off.
    """
    given = {"mode": mode, "backend": backend, "storage": storage, "monitoring": monitoring}
    section: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if log_level is not False:
        section["log_level"] = log_level
    keys = {name: value for name, value in (backend_keys or {}).items() if value is not None}
    return {LITHOPS.name: section, "backend": keys}


def expand(source: Source, overwrite: Mapping[str, Any], told_as: str = ARGUMENTS) -> dict[str, Any]:
    """Check and complete what a source says.

    Raises:
        ConfigError: with everything that is wrong; the origin of ``overwrite`` is called ``told_as`` in it.
    """
    report = Report()
    written = read_sections(source.data, source.name, report)
    sections = {name: body for name, body in overwrite.items() if name != "backend"}
    arguments = read_sections(sections, told_as, report)
    choice = choose(_wish(written), _wish(arguments))
    if isinstance(choice, Problem):
        asked = any(name in arguments.get(LITHOPS.name, {}) for name in ("mode", "backend"))
        report.add(told_as if asked else source.name, [choice])
        raise report.error()
    keys = overwrite.get("backend") or {}
    if not isinstance(keys, Mapping):
        text = "must be keys for the section of the backend, whose name goes into lithops.backend"
        report.add(told_as, [Problem(path="backend", text=text)])
        raise report.error()
    keyed = read_sections(route(keys, choice.backend), told_as, report)
    report.add(source.name, _share(written, choice))
    for layer in (arguments, keyed):
        report.add(told_as, _share(layer, choice))
        _lay_over(written, layer)
    _complete(written, choice)
    if choice.backend == IBM_VPC:
        told = about_ibm_vpc(written, written[STANDALONE]["exec_mode"])
        report.add(source.name, [problem for problem in told if problem.path not in report.paths])
    else:
        report.add(source.name, _about_chosen(SECTIONS[choice.backend], written[choice.backend], report))
    report.add(source.name, _about_runtime(written, choice))
    if report.lines:
        raise report.error()
    return written


class Report:
    """The problems found so far, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.all_not_yet = True
        self.paths: set[str] = set()

    def add(self, source: str, problems: Iterable[Problem]) -> None:
        """Note problems of one source."""
        for problem in problems:
            self.lines.append(f"{source}: {problem.path}: {problem.text}")
            self.all_not_yet = self.all_not_yet and problem.not_yet
            self.paths.add(problem.path.partition("[")[0])

    def error(self) -> ConfigError:
        """Give the error that tells them all."""
        count = "a problem" if len(self.lines) == 1 else f"{len(self.lines)} problems"
        text = "\n  ".join([f"The configuration has {count}:", *self.lines])
        return NotSupportedYet(text) if self.all_not_yet else ConfigError(text)


def read_sections(data: Mapping[Any, Any], source: str, report: Report) -> Values:
    """Give the keys that are set, in normal form, of each section."""
    values: Values = {}
    for name, body in data.items():
        section = SECTIONS.get(name) if isinstance(name, str) else None
        if section is None:
            report.add(source, [_about_section(str(name))])
        elif body is not None and not isinstance(body, Mapping):
            secret = isinstance(body, str)  # It may be anything, so that it is not repeated.
            text = f"must be a section of keys, not {'text' if secret else shown(body, secret=True)}"
            report.add(source, [Problem(path=section.name, text=text)])
        else:
            values[section.name], problems = _read_section(section, body or {})
            report.add(source, problems)
    return values


def _read_section(section: Section, body: Mapping[Any, Any]) -> tuple[dict[str, Any], list[Problem]]:
    def hint(name: str) -> str:
        elsewhere = " or ".join(f"`{other.name}`" for other in SECTIONS.values() if other.find(name))
        shared = SHARED_KEYS if section.name in SUPPORTED_BACKENDS else ()
        close = similar_key(section)(name) or did_you_mean(name, shared)
        return f"; it belongs in {elsewhere}" if elsewhere else close

    return check_section(section, body, section.name, find=lambda name: key_of(section, name), hint=hint)


def _about_section(name: str) -> Problem:
    if name in RESERVED_SECTIONS:
        known = ", ".join(f"`{n}`" for n in SECTIONS)
        return Problem(
            path=name[:60], text=f"not supported yet: this section; what is: {known}", not_yet=True
        )
    return Problem(path=name[:60], text=f"unknown section{did_you_mean(name, tuple(SECTIONS))}")


def _wish(values: Values) -> Wish:
    section = values.get(LITHOPS.name, {})
    return Wish(
        mode=section.get("mode"),
        backend=section.get("backend"),
        standalone_backend=values.get(STANDALONE, {}).get("backend"),
    )


def route(keys: Mapping[str, Any], backend: str) -> dict[str, dict[str, Any]]:
    """Give keys of an executor's call their sections: the backend's, else `lithops` (such as `workers`)."""
    routed: dict[str, dict[str, Any]] = {backend: {}, LITHOPS.name: {}}
    for name, value in keys.items():
        of_lithops = LITHOPS.find(name) and name not in ("mode", "backend")
        section = LITHOPS.name if of_lithops and not key_of(SECTIONS[backend], name) else backend
        if value is not None:
            routed[section][name] = value
    return routed


def _share(values: Values, choice: Choice) -> list[Problem]:
    """Move what the section of the chosen backend says in the place of `standalone` to there."""
    section, problems = values.get(choice.backend, {}), []
    own = SECTIONS[choice.backend].names
    shared = values.setdefault(STANDALONE, {})
    for name in [name for name in SHARED_KEYS if name in section and name not in own]:
        value = section.pop(name)
        # With `localhost` chosen, the section `standalone` was written for the hosts of another time.
        if choice.mode == STANDALONE and shared.get(name, value) != value:
            text = f"contradicts {STANDALONE}.{name}: keep one of them"
            problems.append(Problem(path=f"{choice.backend}.{name}", text=text))
        shared[name] = value
    return problems


def _lay_over(values: Values, layer: Values) -> None:
    for name, body in layer.items():
        section = values.setdefault(name, {})
        if any(key in body for key in SECTIONS[name].needs):
            for key in SECTIONS[name].needs:
                section.pop(key, None)
        section.update(body)


def _complete(values: Values, choice: Choice) -> None:
    values[LITHOPS.name] = {**default_values(LITHOPS), **values.get(LITHOPS.name, {})}
    values[LITHOPS.name].update(mode=choice.mode, backend=choice.backend)
    usual = {"start_timeout": CREATION_TIMEOUT} if choice.backend == IBM_VPC else {}
    standalone = {**default_values(STANDALONE_SECTION), **usual, **values[STANDALONE]}
    if choice.mode == STANDALONE:
        standalone["backend"] = choice.backend
    elif "backend" not in values[STANDALONE]:
        del standalone["backend"]  # Nobody asked for the default, which would choose when this is read again.
    values[STANDALONE] = standalone
    if choice.backend == IBM_VPC:
        values[IBM.name] = {**default_values(IBM), **values.get(IBM.name, {})}
    section = SECTIONS[choice.backend]
    values[section.name] = {**default_values(section), **values.get(section.name, {})}


def _about_runtime(values: Values, choice: Choice) -> list[Problem]:
    """An image has its own packages."""
    place = LOCALHOST if choice.backend == LOCALHOST else STANDALONE
    runtime = values[place]["runtime"]
    if not (is_image(runtime) and values[STANDALONE]["requirements"]):
        return []
    text = f"contradicts {place}.runtime, the image {runtime}, which has its own packages: keep one of them"
    return [Problem(path=f"{STANDALONE}.requirements", text=text)]


def _about_chosen(section: Section, values: Mapping[str, Any], report: Report) -> list[Problem]:
    """Give what is wrong with a section only because its backend is chosen."""
    needed = [f"{section.name}.{name}" for name in section.needs]
    if needed and not any(values[name] for name in section.needs) and not report.paths & set(needed):
        return [Problem(path=section.name, text=f"{' or '.join(needed)} is mandatory: which host to use")]
    if section.name == LOCALHOST or not values["ip_address"]:
        return []
    end = parse_address(values["ip_address"])
    pairs = (("ssh_username", end.username), ("ssh_port", end.port))
    return [
        Problem(
            path=f"{section.name}.{name}", text="contradicts what stands in vm.ip_address: keep one of them"
        )
        for name, inside in pairs
        if inside is not None and values[name] is not None and values[name] != inside
    ]

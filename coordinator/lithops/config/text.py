"""Parse YAML and JSON into values, and say what is wrong without repeating what may be a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml


def parse_yaml_text(text: str) -> Any:
    """Read YAML; raises `ValueError("line …: what")`."""
    import yaml

    # `safe_load` of the text would keep the last of two equal keys and say nothing of the first.
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_repeats(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        raise ValueError(f"{_place(exc.problem_mark)}{_without_quotes(exc.problem or 'no YAML')}") from None
    except yaml.YAMLError as exc:
        raise ValueError(f"no YAML: {getattr(exc, 'reason', 'it can not be read')}") from None
    except (ValueError, RecursionError) as exc:
        # PyYAML lets the errors of constructors, such as that of a date in month 13, through as they are.
        problem = str(exc) if isinstance(exc, _RepeatedKey) else "a value can't be read"
        raise ValueError(problem) from None


def parse_json_text(text: str) -> Any:
    """Read JSON; raises `ValueError("line …: what")`."""
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"line {exc.lineno}, column {exc.colno}: {exc.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


class _RepeatedKey(ValueError):
    pass


def _refuse_repeats(root: yaml.Node) -> None:
    import yaml

    todo: list[yaml.Node] = [root]
    seen: set[int] = set()
    while todo:
        node = todo.pop()
        if id(node) in seen:  # An alias (`*name`) leads to the same node again.
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _refuse_repeats_in(node)
            todo += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value


def _refuse_repeats_in(node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key.value, str):
            continue
        line = key.start_mark.line + 1
        if key.value in lines and key.value != "<<":
            raise _RepeatedKey(f"line {line}: `{key.value}` stands twice (first on line {lines[key.value]})")
        lines[key.value] = line


def _place(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "


def _without_quotes(problem: str) -> str:
    """Take out what PyYAML quotes from the text, which may be a secret; tokens (`'<scalar>'`) stay."""
    return re.sub(r"""(['"])(?!<)[^'"]{2,}\1""", "…", problem)

"""What is installed here, as requirements."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path

from lithops.environment.local import (
    Installed,
    canonical,
    imported,
    imports_in,
    installed,
    local_requirements,
    needed_by,
    needed_names,
)


def test_all_that_is_installed_but_the_tools() -> None:
    found = {each.name: each for each in installed()}
    assert found["flask"].line == f"flask=={importlib.metadata.version('flask')}"
    assert "werkzeug" in found["flask"].needs
    assert not {"pip", "uv", "lithops-standalone"} & set(found)


def test_a_distribution_of_this_machine_is_named_by_its_folder() -> None:
    assert Installed("mine", "1.0", "/src/my own").line == "mine @ file:///src/my%20own"


def test_names_are_compared_as_registries_do() -> None:
    assert canonical("Zope.Interface_x--y") == "zope-interface-x-y"


def test_needs_are_without_extras() -> None:
    lines = ["Jinja2>=3", 'dotenv; extra == "dotenv"', 'tomli; python_version < "3.11"', "a[b]~=1"]
    assert list(needed_names(lines)) == ["jinja2", "tomli", "a"]


def test_what_modules_need_is_followed() -> None:
    found = [
        Installed("a", "1", needs=("b", "none")), Installed("b", "1", needs=("a",)), Installed("c", "1"),
    ]  # fmt: skip
    chosen = needed_by(["amod", "os"], {"amod": ["A"], "cmod": ["c"]}, found)
    assert [each.name for each in chosen] == ["a", "b"]


def test_imports_are_found_wherever_they_are_in_a_source() -> None:
    source = (
        "import os.path, numpy as np\ndef f():\n    from six.moves import urllib\n    from . import near\n"
    )
    assert imports_in(source) == {"os", "numpy", "six"}
    assert imports_in("not python at all") == set()


def test_the_imports_of_a_script_and_its_own_modules(tmp_path: Path) -> None:
    script, own = tmp_path / "script.py", tmp_path / "own.py"
    script.write_text("import own\n")
    own.write_text("def f():\n    import six\n")
    main, module = types.ModuleType("__main__"), types.ModuleType("own")
    main.__file__, module.__file__ = str(script), str(own)
    modules = {"__main__": main, "own": module, "json": sys.modules["json"]}
    assert imported(modules) == {"own", "six"}


def test_without_a_script_what_is_imported_counts() -> None:
    assert imported({"__main__": types.ModuleType("__main__"), "six.moves": types.ModuleType("x")}) == {
        "__main__", "six",
    }  # fmt: skip


def test_the_imports_alone_are_fewer() -> None:
    everything = local_requirements("local").lines
    assert set(local_requirements("local-imports").lines) < set(everything)

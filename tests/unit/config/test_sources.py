"""Where a configuration comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lithops.config import default_config, load_yaml_config
from lithops.config.sources import find_source
from lithops.errors import ConfigError


def a_file(path: Path, retries: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"lithops:\n  retries: {retries}\n")
    return str(path)


def test_the_first_source_is_taken_and_the_others_are_not(
    empty_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retries(**arguments: object) -> object:
        source = find_source(**arguments)  # type: ignore[arg-type]
        return source.data.get("lithops", {}).get("retries")

    assert retries() is None
    a_file(empty_world / "etc", 7)
    assert retries() == 7
    a_file(empty_world / "home/.lithops/config", 6)
    assert retries() == 6
    a_file(empty_world / "cwd/.lithops_config", 5)
    assert retries() == 5
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", a_file(empty_world / "named", 4))
    assert retries() == 4
    monkeypatch.setenv("LITHOPS_CONFIG", json.dumps({"lithops": {"retries": 3}}))
    assert retries() == 3
    argument = a_file(empty_world / "argument", 2)
    assert retries(config_file=argument) == 2
    assert retries(config_file=argument, config_data={"lithops": {"retries": 1}}) == 1
    assert retries(config_data={}) == 3, "as in Lithops, an empty dictionary is no configuration"


def test_sources_are_not_mixed(empty_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_world / "cwd/.lithops_config").write_text("lithops: {workers: 3}")
    monkeypatch.setenv("LITHOPS_CONFIG", '{"lithops": {"retries": 3}}')
    config = default_config()
    assert (config["lithops"]["retries"], config["lithops"]["workers"]) == (3, None)


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", " ")
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", "")
    assert default_config()["lithops"]["backend"] == "localhost"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "lithops:\n", "lithops: {}\nvm:\n"])
def test_an_empty_file_gives_the_defaults(text: str, empty_world: Path) -> None:
    nothing = default_config()
    (empty_world / "cwd/.lithops_config").write_text(text)
    config = default_config()
    assert {name: config[name] for name in nothing} == nothing


def test_a_home_folder_in_the_path_is_expanded(empty_world: Path) -> None:
    a_file(empty_world / "home/mine", 2)
    assert default_config(config_file="~/mine")["lithops"]["retries"] == 2
    assert load_yaml_config("~/mine") == {"lithops": {"retries": 2}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lithops: [", "line 1"),
        ("lithops:\n  mode: a\n bad: b", "line 3"),
        ("lithops:\n\tmode: a", "line 2"),
        ("- a\n- b", "must be sections with keys, not a list"),
        ("just words", "not a str"),
        ("vm:\n  ssh_port: 1\n  ssh_port: 2", "line 3: `ssh_port` stands twice (first on line 2)"),
        ("vm:\n  hosts: [{port: 1, port: 2}]", "line 2: `port` stands twice"),
        ("a: 2020-13-41", "a value can't be read"),
        ("? [a]\n: b", "line 1"),
        ("a: \x01", "special characters"),
    ],
)
def test_a_file_that_is_no_configuration(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml_config(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "value", ["*hunter2", "!hunter2", '"hunter2\\z"', "'hunter2", "hunter2: x: y", "&hunter2 *hunter2x"]
)
def test_what_cannot_be_parsed_is_not_repeated(value: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"vm:\n  ssh_password: {value}\n")
    with pytest.raises(ConfigError) as caught:
        default_config(config_file=path)
    assert "hunter2" not in str(caught.value)


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("vm:\n  hosts:\n  - &a {address: a, port: 1}\n  - {<<: *a, address: b}\n  - *a\n")
    assert load_yaml_config(path)["vm"]["hosts"][1] == {"address": "b", "port": 1}


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none", tmp_path / "cwd", tmp_path / "binary"):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            default_config(config_file=path)
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", "/nowhere/at/all")
    with pytest.raises(ConfigError, match=r"/nowhere/at/all.*No such file"):
        default_config()


@pytest.mark.parametrize(("text", "says"), [("{'a'}", "no JSON: line 1, column 2"), ("[1]", "not a list")])
def test_json_that_is_no_configuration(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", text)
    with pytest.raises(ConfigError, match=r"^LITHOPS_CONFIG: ") as caught:
        default_config()
    assert says in str(caught.value)


def test_the_source_is_named_with_each_problem(empty_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = empty_world / "cwd/.lithops_config"
    path.write_text("lithops: {retries: many}")
    with pytest.raises(ConfigError, match=rf"{path}: lithops\.retries: "):
        default_config()
    monkeypatch.setenv("LITHOPS_CONFIG", '{"lithops": {"retries": -1}}')
    with pytest.raises(ConfigError, match=r"LITHOPS_CONFIG: lithops\.retries: "):
        default_config()
    with pytest.raises(ConfigError, match=r"config argument: lithops\.retries: "):
        default_config(config_data={"lithops": {"retries": True}})
    with pytest.raises(ConfigError, match=r"executor argument: lithops\.retries: "):
        default_config(config_data={"lithops": {}}, config_overwrite={"lithops": {"retries": 1.5}})

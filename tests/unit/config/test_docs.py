"""The reference is what the schema says, and its examples work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lithops.config import default_config
from lithops.config.docs import main, reference
from lithops.config.schema import SECTIONS

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_not_stale() -> None:
    assert main(["--check", str(PAGE)]) == 0


def test_a_stale_or_missing_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    assert main(["--check", str(page)]) == 1
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text() + "more")
    assert main(["--check", str(page)]) == 1
    assert "is stale: run" in capsys.readouterr().err


def test_every_key_has_a_row() -> None:
    text = reference()
    for section in SECTIONS.values():
        for key in section.keys:
            assert f"| `{key.name}`" in text


def test_no_bar_breaks_a_table() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {5}


def test_the_examples_work() -> None:
    examples = [block.split("```")[0] for block in reference().split("```yaml\n")[1:]]
    assert len(examples) == 2
    for example in examples:
        assert default_config(config_data=yaml.safe_load(example))["lithops"]["backend"] == "vm"


def test_importing_the_configuration_is_light() -> None:
    script = (
        "import sys; before = set(sys.modules); import lithops.config; "
        "print(*sorted({'yaml', 'paramiko', 'json', 'difflib', 'shlex', 'argparse'}"
        " & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == ""

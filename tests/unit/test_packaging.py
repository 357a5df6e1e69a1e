"""What setup.cfg promises about the files of the project."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def mapping(text: str) -> dict[str, str]:
    return dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in text.split("\n") if line)


def test_packages_are_the_folders_with_code(setup_cfg: configparser.ConfigParser) -> None:
    folders = mapping(setup_cfg["options"]["package_dir"])
    found = {
        ".".join((package, *file.parent.relative_to(ROOT / folder).parts))
        for package, folder in folders.items()
        for file in (ROOT / folder).rglob("*.py")
    }
    listed = setup_cfg["options"]["packages"].split()
    assert sorted(listed) == sorted(found)
    for package in found:
        top, *rest = package.split(".")
        assert (ROOT / folders[top]).joinpath(*rest, "__init__.py").is_file(), package


def test_files_that_are_no_code_are_packaged(setup_cfg: configparser.ConfigParser) -> None:
    folders = mapping(setup_cfg["options"]["package_dir"])
    data = setup_cfg["options.package_data"]
    for package, folder in folders.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_dir() or file.suffix in (".py", ".pyc"):
                continue
            home = ".".join((package, *file.parent.relative_to(ROOT / folder).parts))
            assert any(file.match(pattern) for pattern in data.get(home, "").split()), file


def test_the_metadata_names_files_that_exist(setup_cfg: configparser.ConfigParser) -> None:
    readme = setup_cfg["metadata"]["long_description"].removeprefix("file:").strip()
    assert (ROOT / readme).read_text().startswith("# lithops-standalone\n")
    assert "Apache License" in (ROOT / setup_cfg["metadata"]["license_files"]).read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {title.lower().replace(" ", "-") for title in titles}, target

"""`python -m lithops.bootstrap --bundle [FOLDER]`: the agent's bundle as files, to prepare hosts with.

What it prints is JSON, for the Ansible role `agent`. It must be run with the packages that scripts will run
with, for a host takes a bundle of the same release only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lithops.bootstrap.bundle import build_bundle, unpack_worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m lithops.bootstrap", description="Make the agent's bundle."
    )
    parser.add_argument(
        "--bundle",
        required=True,
        nargs="?",
        const="",
        metavar="FOLDER",
        help="put the bundle there, where it stays; without a folder, into the cache of bundles",
    )
    named: str = parser.parse_args(arguments).bundle
    folder = Path(named).expanduser() if named else None
    try:
        print(json.dumps(put_bundle(folder)))
    except OSError as exc:
        print(
            f"the bundle can't be written to {folder or 'the cache'}: {exc.strerror}: name another folder",
            file=sys.stderr,
        )
        return 1
    return 0


def put_bundle(folder: Path | None) -> dict[str, str]:
    """Put the bundle and the archive of its workers into a folder, unless they are there; their paths."""
    bundle = build_bundle()
    path = bundle.path
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / bundle.name
    if not path.exists() or path.stat().st_size != bundle.size:
        partial = path.with_name(f"{path.name}.partial")
        shutil.copyfile(bundle.path, partial)
        partial.replace(path)
    return {
        "bundle": str(path.absolute()),
        "worker": str(unpack_worker(path).absolute()),
        "release": bundle.release,
    }


if __name__ == "__main__":
    sys.exit(main())

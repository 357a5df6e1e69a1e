"""The root of an image made of a Python of this machine: the interpreter, its libraries, and a shell.

So the tests of images run with every Python that runs them, on every distribution, and no registry is asked.
As in the official images there is no bytecode, and what wheels want of C++ is there.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

from .commands import run
from .interpreter import LEFT_OUT, interpreters

_ABOUT = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.executable, sysconfig.get_path('stdlib'), '%d.%d' % sys.version_info[:2]]))"
)
_WANTED_BY_WHEELS = (
    "libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1",
    "libdl.so.2", "libm.so.6", "libnss_dns.so.2", "libnss_files.so.2", "libpthread.so.0", "libresolv.so.2",
    "librt.so.1", "libutil.so.1",
)  # fmt: skip
"""What wheels for Linux may take for granted, and what the C library opens by itself."""
_MERGED = ("bin", "sbin", "lib", "lib64")
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


def local_python(version: str) -> Path:
    """A Python of this machine with this version, such as '3.12': the one that runs this, or one of pyenv's.

    Raises:
        LookupError: there is none.
    """
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.executable)
    found = [path for name, path in interpreters().items() if name.startswith(f"{version}.")]
    if not found:
        raise LookupError(f"this machine has no Python {version}; it has {', '.join(interpreters())}")
    return found[-1] / "bin" / "python3"


def python_image(python: Path, work: Path) -> bytes:
    """A tar archive with the root of an image in which ``python`` runs; ``work`` is an empty folder."""
    executable, library, version = json.loads(run(str(python), "-I", "-c", _ABOUT).stdout)
    _lay_out(work)
    local = work / "usr/local"
    shutil.copytree(library, local / f"lib/python{version}", symlinks=True, ignore=LEFT_OUT)
    program = local / f"bin/python{version}"
    shutil.copy2(os.path.realpath(executable), program)
    (local / "bin/python3").symlink_to(program.name)
    shutil.copy2(os.path.realpath("/bin/sh"), work / "usr/bin/sh")
    _add_libraries(work, [Path(executable), Path("/bin/sh"), *Path(library, "lib-dynload").glob("*.so")])
    run("ldconfig", "-r", str(work))
    return _archive(work)


def _lay_out(root: Path) -> None:
    """The folders of a root as Debian has them."""
    root.chmod(0o755)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("etc", "root", "usr/local/bin", "usr/local/lib"):
        (root / name).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


def _add_libraries(root: Path, programs: list[Path]) -> None:
    """Copy what the programs are linked with: the C library and the loader, too, which belong together."""
    found: set[str] = set()
    for program in programs:
        found.update(_LIBRARY.findall(run("ldd", str(program), check=False).stdout))
    known = run("ldconfig", "-p").stdout
    for name in _WANTED_BY_WHEELS:
        line = re.search(rf"^\s*{re.escape(name)} \(libc6,[^)]*\) => (/\S+)", known, re.MULTILINE)
        found.update({line[1]} if line else ())
    folders = set()
    for path in map(Path, found):
        of_system = path.parts[1] in ("usr", *_MERGED)
        target = root / path.relative_to("/") if of_system else root / "usr/local/lib" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        folders.add(f"/{target.parent.relative_to(root)}")
    (root / "etc/ld.so.conf").write_text("".join(f"{folder}\n" for folder in sorted(folders)))


def _archive(root: Path) -> bytes:
    """All of it, as files of root's."""

    def of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(root, ".", filter=of_root)
    return buffer.getvalue()

"""Local modules of jobs: archives that were sent as blobs, unpacked once for all workers."""

from __future__ import annotations

import shutil
import uuid
import zipfile
from pathlib import Path

from lithops_agent.protocol import ProtocolError


def unpack(archive: Path, target: Path) -> None:
    """Unpack an archive into the folder ``target``, unless that is there.

    The folder has its name only when all of it is there, also when several requests unpack it at once. Raises
    ProtocolError when it is no archive.
    """
    if target.exists():
        return
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(temporary)
        temporary.rename(target)
    except zipfile.BadZipFile as exc:
        raise ProtocolError(f"the modules {target.name} are no zip archive: {exc}") from exc
    except OSError:
        if not target.exists():  # Else another request was faster.
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

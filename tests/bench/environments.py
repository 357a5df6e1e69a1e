"""What environments cost: a job whose environment is there, and the first building of a large one."""

from __future__ import annotations

import functools
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lithops.environment.uv import uv_version
from tests.bench.measure import Client, seconds
from tests.bench.report import Figure
from tests.testbed import Host

_RUNS = 15
_BUILDS = 3
_LARGE = ("numpy", "pandas", "scikit-learn")
_SMALL = ("six==1.17.0",)
_ENVIRONMENTS = "/home/{user}/.lithops/agent/environments"


def environments(client: Client) -> list[Figure]:
    """A second job with the same requirements beside one without; the first building beside uv's own."""
    return [_second_job(client), *_first_building(client)]


def _second_job(client: Client) -> Figure:
    needing = client.with_standalone(requirements=list(_SMALL))
    client.run("first")
    needing.run("first")
    pairs = [(needing.run("first")["total"], client.run("first")["total"]) for _ in range(_RUNS)]
    plain = statistics.median(without for _, without in pairs) * 1000
    return Figure(
        what="a later job with requirements: more than without",
        values=[(with_it - without) * 1000 for with_it, without in pairs],
        unit="ms",
        must=50,
        reference=f"first result without, agent there: {plain:.0f} ms",
    )


def _first_building(client: Client) -> list[Figure]:
    host = client.host
    with tempfile.TemporaryDirectory() as folder, _registry(host, Path(folder)) as url:
        fetching = client.with_standalone(
            {"UV_DEFAULT_INDEX": url}, requirements=list(_LARGE), requirements_from="host"
        )
        sending = client.with_standalone(
            {"UV_DEFAULT_INDEX": url}, requirements=list(_LARGE), requirements_from="here"
        )
        plain = statistics.median(client.run("first")["total"] for _ in range(_BUILDS))
        fetched, sent, reference = [], [], []
        sending.run("first")  # The wheels are on this machine afterwards, as those of uv's reference are.
        for _ in range(_BUILDS):
            fetched.append(_build(host, fetching) - plain)
            reference.append(_uv(host, url))
            sent.append(_build(host, sending) - plain)
    beside = f"uv venv, uv pip install on the host: {statistics.median(reference):.2f} s"
    names = ", ".join(_LARGE)
    ratios = [ours / uv for ours, uv in zip(fetched, reference, strict=True)]
    return [
        Figure(what=f"{names}: the host fetches", values=fetched, unit="s", reference=beside),
        Figure(what="  of what uv takes, one right after the other", values=ratios, unit="", must=1.2),
        Figure(what=f"{names}: sent from here", values=sent, unit="s", reference=beside),
    ]


def _build(host: Host, client: Client) -> float:
    """The first result on a host that has neither the environment nor its wheels; uv stays there."""
    place = _ENVIRONMENTS.format(user=host.user)
    # What earlier runs wrote and removed is done with before the clock starts, here as for the reference.
    host.run(f"rm -rf {place}/built/* {place}/wheels/*; sync")
    return float(client.run("first")["total"])


def _uv(host: Host, url: str) -> float:
    """What uv takes by itself, on the host and the same disk, with nothing in its cache."""
    place = f"/home/{host.user}/reference"
    host.run(f"rm -rf {place}; sync")
    uv = f"$(ls {_ENVIRONMENTS.format(user=host.user)}/tools/*/uv)"
    options = f"UV_CACHE_DIR={place}/cache UV_DEFAULT_INDEX={url}"
    make = f"{options} {uv} venv -q {place}/made"
    fill = f"{options} {uv} pip install -q --python {place}/made/bin/python {' '.join(_LARGE)}"
    return seconds(lambda: host.ssh(f"{make} && {fill}", timeout=120))


@contextmanager
def _registry(host: Host, folder: Path) -> Iterator[str]:
    """A registry on the bridge that has the wheels; its URL."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    subprocess.run([*command, *_LARGE, f"uv=={uv_version()}"], check=True)
    for file in list(folder.glob("*.whl")):
        page = folder / "simple" / file.name.split("-")[0].replace("_", "-").lower() / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="/{file.name}">{file.name}</a>')

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    address = host.address.rpartition(".")[0] + ".1"
    server = ThreadingHTTPServer((address, 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        server.server_close()

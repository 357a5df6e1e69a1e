"""The way to the mirror is open within its block, for the mirror alone."""

from __future__ import annotations

import pytest

from tests.testbed import Host, Testbed
from tests.testbed.packages import open_mirror

pytestmark = pytest.mark.integration

_ASK = """\
import re, sys, urllib.error, urllib.request
proxy = re.search('"(http:.*?)"', open("/etc/apt/apt.conf.d/90testbed").read())[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
try:
    print(opener.open(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_it_leads_to_the_mirror_and_nowhere_else(bed: Testbed, host: Host) -> None:
    def ask(url: str) -> str:
        return host.run(f"python3 - {url}", input=_ASK).stdout.strip()

    mirror = host.run("cat /etc/apt/sources.list").stdout.split()[1].rstrip("/")
    with open_mirror(bed, host):
        assert ask(f"{mirror}/dists/bookworm/InRelease") == "200"
        assert ask(f"{mirror}/dists/bookworm/no-such-file") == "404"
        assert ask("http://192.0.2.1/") == "403"
    assert host.run("ls /etc/apt/apt.conf.d").stdout.count("90testbed") == 0

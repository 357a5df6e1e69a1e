"""The one description of the configuration.

Defaults, checks and messages (`expand`), the typed view (`settings`) and `docs/configuration.md` (`docs`) all
come from the tables in this file. To add a key, add it here, and where the program uses it to `settings`.
"""

from __future__ import annotations

from typing import Any

from lithops.config.host import Address
from lithops.config.hosts import HostList
from lithops.config.ibm import CREATION_TIMEOUT, IBM, IBM_VPC
from lithops.config.keys import Key, Section
from lithops.config.kinds import (
    AUTO,
    Choice,
    Flag,
    FlagOrWord,
    LogLevel,
    Names,
    NamesOrText,
    Positive,
    Processes,
    Text,
    Variables,
    Whole,
)
from lithops.config.names import (
    EXIT,
    LOCALHOST,
    PLANNED_BACKENDS,
    PLANNED_MONITORING,
    PLANNED_STORAGE,
    SERVERLESS,
    STANDALONE,
    STANDALONE_BACKENDS,
    SUPPORTED_BACKENDS,
)

SECONDS = "seconds"
AUTO_WAY = "auto"

LITHOPS = Section(
    name="lithops",
    doc="What runs where, and what holds for every job.",
    # Keys of Lithops that nothing here does yet.
    reserved=("telemetry", "telemetry_interval", "chunksize", "customized_runtime", "rabbitmq_monitor"),
    keys=(
        Key(
            name="mode",
            kind=Choice(names=(LOCALHOST, STANDALONE), planned=(SERVERLESS,), takes_planned=True),
            default_doc="that of `backend`; `localhost` when nothing is configured",
            doc="Where functions run: on this machine, or on hosts reached over SSH.",
        ),
        Key(
            name="backend",
            kind=Choice(names=SUPPORTED_BACKENDS, planned=PLANNED_BACKENDS, takes_planned=True),
            default_doc="`localhost`, or `standalone.backend`, by the mode",
            doc="The compute backend; it decides the mode.",
        ),
        Key(
            name="storage",
            kind=Choice(names=(LOCALHOST,), planned=PLANNED_STORAGE),
            default=LOCALHOST,
            doc="The storage backend. None is needed: data goes with the task.",
        ),
        Key(name="storage_bucket", kind=Text(), doc="The bucket of the storage backend."),
        Key(
            name="workers",
            kind=Whole(),
            default_doc="as many as there are",
            doc="How many tasks of an executor run at the same time at most.",
        ),
        Key(
            name="data_cleaner",
            kind=Flag(),
            default=True,
            doc="Have hosts forget a job, with its data and results, when all of it was collected.",
        ),
        Key(
            name="monitoring",
            kind=Choice(names=("storage",), planned=PLANNED_MONITORING),
            default="storage",
            doc="Accepted for compatibility: results are fetched over SSH, whatever it says.",
        ),
        Key(
            name="monitoring_interval",
            kind=Positive(),
            default=2,
            unit=SECONDS,
            doc="Accepted for compatibility: results are reported when they are there.",
        ),
        Key(
            name="data_limit",
            kind=Positive(or_false=True),
            default=4,
            unit="MB of 1024² bytes",
            doc="How large the data of all calls of a job may be, together; `false`: no limit.",
        ),
        Key(
            name="execution_timeout",
            kind=Positive(),
            default=1800,
            unit=SECONDS,
            doc="How long a call may run before it is killed. A `timeout=` of the call wins.",
        ),
        Key(
            name="include_modules",
            kind=Names(),
            default=(),
            nullable=True,
            doc="Modules to ship with the function beside those that were found; empty (`null`): ship none.",
        ),
        Key(name="exclude_modules", kind=Names(), default=(), doc="Modules never to ship with the function."),
        Key(
            name="log_functions",
            kind=Flag(),
            default=False,
            doc="Show what functions print while they run, with the call in front of each line.",
        ),
        Key(name="retries", kind=Whole(minimum=0), default=0, doc="How often a failed call is run again."),
        Key(
            name="log_level",
            kind=LogLevel(),
            default="INFO",
            nullable=True,
            doc="From which level the messages of `lithops` are shown; empty (`null`): off.",
        ),
        Key(
            name="log_format",
            kind=Text(),
            default="%(asctime)s [%(levelname)s] %(name)s -- %(message)s",
            doc="The format of a message, as of Python's `logging`.",
        ),
        Key(
            name="log_stream",
            kind=Text(name="`ext://sys.stderr` or `ext://sys.stdout`", prefix="ext://sys.std"),
            default="ext://sys.stderr",
            doc="Where messages are written.",
        ),
        Key(
            name="log_filename", kind=Text(name="a path"), doc="A file that messages are written to instead."
        ),
    ),
)

STANDALONE_SECTION = Section(
    name="standalone",
    doc="What holds for hosts, whichever backend gives them. All keys but `backend` may also stand in the "
    "section of the backend.",
    reserved=("extra_apt_packages", "extra_python_packages"),
    keys=(
        Key(
            name="backend",
            kind=Choice(
                names=STANDALONE_BACKENDS.supported, planned=STANDALONE_BACKENDS.planned, takes_planned=True
            ),
            default=STANDALONE_BACKENDS.default,
            doc="Which backend the mode `standalone` means.",
        ),
        Key(
            name="runtime",
            kind=Text(),
            default="python3",
            doc="What functions run in: `python3` (the interpreter of the local version on the host), "
            "`python3.X`, the path of an interpreter, or else the name of a Docker image.",
        ),
        Key(
            name="requirements",
            kind=NamesOrText(name="a list of requirements, a path, `local` or `local-imports`"),
            default_doc="none: functions see what the interpreter of `runtime` has",
            doc="What functions need: requirements such as `numpy==2.*`; or the path of a requirements.txt, "
            "a pyproject.toml or a lock file; or `local`: all that is installed here; or `local-imports`: "
            "what the script imports of that. An environment with it is built on each host once.",
        ),
        Key(
            name="requirements_from",
            kind=Choice(names=(AUTO_WAY, "host", "here")),
            default=AUTO_WAY,
            doc="Who fetches the packages: the host, or this machine, which then sends what the host lacks. "
            f"`{AUTO_WAY}`: the host what it can reach, this machine the rest.",
        ),
        Key(
            name="exec_mode",
            kind=Choice(names=("consume", "create", "reuse")),
            default="consume",
            doc="Use machines that exist, create some for the executor, or use those of an earlier one that "
            "still run and create what is missing. The hosts of `vm` exist already, whatever it says.",
        ),
        Key(
            name="auto_dismantle",
            kind=FlagOrWord(word=EXIT),
            default=True,
            doc="End agents (and machines that were created) when a time-out below has passed. `false`: "
            f"never; `{EXIT}`: also when the executor is closed, at the end of its `with` block or of the "
            "program.",
        ),
        Key(
            name="soft_dismantle_timeout",
            kind=Positive(),
            default=300,
            unit=SECONDS,
            doc="How long after the completion of the last job.",
        ),
        Key(
            name="hard_dismantle_timeout",
            kind=Positive(),
            default=3600,
            unit=SECONDS,
            doc="How long after the start of a job, even when it still runs.",
        ),
        Key(
            name="keep_agent",
            kind=Flag(),
            default=False,
            doc="Leave the agent's program on the host when it is dismantled, for a faster next start.",
        ),
        Key(
            name="poweroff",
            kind=Flag(),
            default=False,
            doc="Switch the hosts of `vm` off when they are dismantled, once no other user's agent runs "
            "there. Needs root, or sudo without a password.",
        ),
        Key(
            name="host_lost_timeout",
            kind=Positive(),
            default=360,
            unit=SECONDS,
            doc="How long a host may be silent until its unfinished calls run on another one.",
        ),
        Key(
            name="pull_runtime",
            kind=Flag(),
            default=False,
            doc="Pull the image of the runtime before each job; `false`: only when it is missing.",
        ),
        Key(
            name="docker_server",
            kind=Text(),
            default_doc="that of the image's name",
            doc="The registry that the login below is for.",
        ),
        Key(name="docker_user", kind=Text(), doc="The login at the registry of the image."),
        Key(
            name="docker_password",
            kind=Text(),
            secret=True,
            default_doc="`docker_password_file`, else the variable `LITHOPS_DOCKER_PASSWORD`",
            doc="The password of `docker_user`. It is sent with a pull, and kept nowhere on the host.",
        ),
        Key(
            name="docker_password_file",
            kind=Text(name="a path"),
            doc="A file of this machine with the password.",
        ),
        Key(
            name="docker_network",
            kind=Text(),
            default="host",
            doc="The network of containers: `host`, `none`, `bridge` or one that was made with Docker. "
            "Executors inside of functions need `host`.",
        ),
        Key(
            name="docker_volumes",
            kind=Names(name="a list of volumes"),
            default=[],
            doc="What of the host is mounted into containers, as of `docker run --volume`: `/data:/data:ro`.",
        ),
        Key(
            name="docker_env",
            kind=Variables(),
            secret=True,
            doc="Variables of the environment in containers: `{OMP_NUM_THREADS: 2}`. One without a value "
            "(`TOKEN:`) has that of the script.",
        ),
        Key(
            name="use_gpu",
            kind=Flag(),
            default=False,
            doc="Give containers all GPUs of the host; Docker needs the NVIDIA Container Toolkit for it.",
        ),
        Key(
            name="start_timeout",
            kind=Positive(),
            default=300,
            unit=SECONDS,
            default_doc=f"`300`; `{CREATION_TIMEOUT}` with `ibm_vpc`, for VMs have to be created",
            doc="How long a host may take until its agent answers.",
        ),
    ),
)

LOCALHOST_SECTION = Section(
    name="localhost",
    doc="This machine.",
    keys=(
        Key(
            name="runtime",
            kind=Text(),
            default="python3",
            doc="What functions run in: `python3` (the interpreter that runs the script), the path of "
            "another one, or the name of a Docker image.",
        ),
        Key(
            name="worker_processes",
            kind=Processes(),
            default=AUTO,
            doc="How many worker processes run at the same time; `AUTO`: as many as this machine has CPUs.",
        ),
        Key(
            name="max_workers",
            kind=Whole(),
            doc="Accepted for compatibility: this machine is the one worker.",
        ),
        Key(
            name="runtime_memory",
            kind=Whole(),
            unit="MB",
            doc="The memory of a container for each of its worker processes. Without an image: no limit.",
        ),
    ),
)

VM = Section(
    name="vm",
    doc="Hosts that exist and are reached over SSH. `~/.ssh/config` counts for each of them, and the SSH "
    "agent. Of `ip_address` and `hosts`, exactly one is mandatory.",
    needs=("ip_address", "hosts"),
    keys=(
        Key(
            name="ip_address",
            kind=Address(),
            doc="The one host: an address, a name, an alias of `~/.ssh/config`, or `user@host:port`.",
        ),
        Key(
            name="hosts",
            kind=HostList(),
            doc="Several hosts: a list of addresses or of hosts with keys of their own (see below), or the "
            "path of an Ansible inventory.",
        ),
        Key(
            name="ssh_username",
            kind=Text(),
            aliases=("ssh_user",),
            default_doc="`User` of `~/.ssh/config`, else the local user",
            doc="The login.",
        ),
        Key(
            name="ssh_password",
            kind=Text(),
            secret=True,
            doc="The password of the login, where no key is used.",
        ),
        Key(
            name="ssh_key_filename",
            kind=Text(name="a path"),
            default_doc="`IdentityFile` of `~/.ssh/config`, the SSH agent, `~/.ssh/id_*`",
            doc="The private key: ed25519, ECDSA or RSA.",
        ),
        Key(
            name="ssh_key_passphrase", kind=Text(), secret=True, doc="What the private key is encrypted with."
        ),
        Key(
            name="ssh_port",
            kind=Whole(maximum=65535),
            default_doc="`Port` of `~/.ssh/config`, else 22",
            doc="The port of sshd.",
        ),
        Key(
            name="host_keys",
            kind=Choice(names=("strict", "accept-new")),
            default="strict",
            doc="`strict`: connect only to hosts whose key is known; `accept-new`: note the key of a new "
            "host. A changed key is always refused.",
        ),
        Key(
            name="known_hosts",
            kind=Text(name="a path"),
            default_doc="`UserKnownHostsFile` of `~/.ssh/config`, else `~/.ssh/known_hosts`",
            doc="The file of known host keys, for jump hosts too.",
        ),
        Key(
            name="worker_processes",
            kind=Processes(),
            default=AUTO,
            doc="How many worker processes run at the same time on a host; `AUTO`: as many as it has CPUs.",
        ),
        Key(
            name="max_workers",
            kind=Whole(),
            default_doc="all",
            doc="How many of the hosts are used at most.",
        ),
        Key(
            name="runtime_memory",
            kind=Whole(),
            unit="MB",
            doc="The memory of a container for each of its worker processes. Without an image: no limit.",
        ),
    ),
)

SECTIONS: dict[str, Section] = {
    section.name: section for section in (LITHOPS, STANDALONE_SECTION, LOCALHOST_SECTION, VM, IBM, IBM_VPC)
}

# What the section of a backend may say in the place of `standalone`.
SHARED_KEYS = tuple(name for name in STANDALONE_SECTION.names if name != "backend")


def key_of(section: Section, name: str) -> Key | None:
    """Find a key, by its name or an alias, that may stand in a section."""
    found = section.find(name)
    if found is None and section.name in SUPPORTED_BACKENDS and name in SHARED_KEYS:
        return STANDALONE_SECTION.find(name)
    return found


def default_values(section: Section) -> dict[str, Any]:
    """Give a section as it is when nobody has written anything."""
    return {key.name: key.fresh_default() for key in section.keys}

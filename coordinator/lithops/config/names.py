"""The modes and backends: those that exist, and those that are reserved for later."""

from __future__ import annotations

from dataclasses import dataclass

LOCALHOST = "localhost"
IBM_VPC = "ibm_vpc"
STANDALONE = "standalone"
SERVERLESS = "serverless"
EXIT = "exit"
"""What `standalone.auto_dismantle` may say beside true and false."""


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The compute backends of one mode: what there is, and what is only known by name."""

    mode: str
    supported: tuple[str, ...]
    planned: tuple[str, ...]
    default: str


LOCALHOST_BACKENDS = Backends(mode=LOCALHOST, supported=("localhost",), planned=(), default="localhost")
STANDALONE_BACKENDS = Backends(
    mode=STANDALONE,
    supported=("vm", IBM_VPC),
    planned=("aws_ec2", "azure_vms", "gcp_compute_engine"),
    default=IBM_VPC,
)
SERVERLESS_BACKENDS = Backends(
    mode=SERVERLESS,
    supported=(),
    planned=(
        "ibm_cf", "code_engine", "knative", "openwhisk", "aws_lambda", "aws_batch", "gcp_cloudrun",
        "gcp_functions", "azure_functions", "azure_containers", "aliyun_fc", "oracle_f", "k8s", "singularity",
    ),
    default="aws_lambda",
)  # fmt: skip

BACKENDS = (LOCALHOST_BACKENDS, STANDALONE_BACKENDS, SERVERLESS_BACKENDS)

PLANNED_STORAGE = (
    "ibm_cos", "aws_s3", "gcp_storage", "azure_storage", "minio", "ceph", "redis", "swift", "infinispan",
    "infinispan_hotrod", "oracle_oss", "aliyun_oss",
)  # fmt: skip
PLANNED_MONITORING = ("rabbitmq", "redis", "aws_sqs", "azure_queue", "gcp_pubsub")
PLANNED_ACCOUNTS = ("aws", "gcp", "azure", "oracle", "aliyun")
PLANNED_TELEMETRY = ("otlp", "prometheus")

SUPPORTED_BACKENDS = tuple(name for group in BACKENDS for name in group.supported)
PLANNED_BACKENDS = tuple(name for group in BACKENDS for name in group.planned)

# Sections that a Lithops configuration may have and that nothing here reads yet.
RESERVED_SECTIONS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            SERVERLESS,
            *PLANNED_BACKENDS,
            *PLANNED_STORAGE,
            *PLANNED_MONITORING,
            *PLANNED_ACCOUNTS,
            *PLANNED_TELEMETRY,
        )
    )
)


def mode_of(backend: str) -> str:
    """Give the mode that a backend, supported or planned, belongs to."""
    return next(group.mode for group in BACKENDS if backend in (*group.supported, *group.planned))

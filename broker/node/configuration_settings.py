"""`settings:` of cluster.yaml as pydantic models: rabbitmq.conf's names, what each may hold, and the defaults.

Decides what is accepted; a setting stands here from the change that makes it work. It must not know the other sections.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from broker.node.configuration import Settings
from broker.storage.fsync import Mode
from broker.vhosts.alarms import Limit, disk_free_limit, memory_limit, parse_size
from broker.vhosts.certificates import LoginFrom, SanType
from broker.vhosts.logins import MECHANISMS
from policies.keys import KEYS, LOCATORS

_DEFAULTS = Settings()
NOBODY = "none"


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("must be a whole number")
    return value


def _locator(value: str) -> str:
    if not KEYS["queue-master-locator"].accepts(value):
        raise ValueError(f"must be one of {', '.join(LOCATORS)}")
    return value


def _mechanism(value: str) -> str:
    if value not in MECHANISMS:
        raise ValueError(f"must be one of {', '.join(MECHANISMS)}")
    return value


def _throughput(value: Any) -> int:
    found = parse_size(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    if found < 0:
        raise ValueError("must be a number of bytes a second, as 10MB, or 0 for no limit")
    return found


def _users(value: Any) -> Any:
    if value == NOBODY:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"must be a list of user names, as [guest], or {NOBODY}")
    return value


Name = Annotated[str, Field(min_length=1, max_length=255)]
Whole = Annotated[int, BeforeValidator(_whole)]
Locator = Annotated[str, AfterValidator(_locator)]
Users = Annotated[tuple[Name, ...], BeforeValidator(_users)]
MemoryLimit = Annotated[Limit, BeforeValidator(memory_limit)]
DiskFreeLimit = Annotated[Limit, BeforeValidator(disk_free_limit)]
Throughput = Annotated[int, BeforeValidator(_throughput)]
Mechanism = Annotated[str, AfterValidator(_mechanism)]
Mechanisms = Annotated[tuple[Mechanism, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class NodeSettings(Section):
    """`settings:` of one node: what may differ between nodes."""

    heartbeat: Annotated[Whole, Field(ge=0, le=65535)] = _DEFAULTS.heartbeat
    frame_max: Annotated[Whole, Field(ge=4096, le=2**31 - 1)] = _DEFAULTS.frame_max
    channel_max: Annotated[Whole, Field(ge=1, le=65535)] = _DEFAULTS.channel_max
    handshake_timeout: Annotated[Whole, Field(ge=1)] = _DEFAULTS.handshake_timeout
    consumer_timeout: Annotated[Whole, Field(ge=1)] = _DEFAULTS.consumer_timeout
    max_message_size: Annotated[Whole, Field(ge=1, le=536870912)] = _DEFAULTS.max_message_size
    auth_mechanisms: Mechanisms = _DEFAULTS.auth_mechanisms
    loopback_users: Users = _DEFAULTS.loopback_users
    ssl_cert_login_from: LoginFrom = _DEFAULTS.ssl_cert_login_from
    ssl_cert_login_san_type: SanType = _DEFAULTS.ssl_cert_login_san_type
    ssl_cert_login_san_index: Annotated[Whole, Field(ge=0)] = _DEFAULTS.ssl_cert_login_san_index
    vm_memory_high_watermark: MemoryLimit = _DEFAULTS.vm_memory_high_watermark
    disk_free_limit: DiskFreeLimit = _DEFAULTS.disk_free_limit
    fsync: Mode = _DEFAULTS.fsync
    mirroring_sync_batch_size: Annotated[Whole, Field(ge=1)] = _DEFAULTS.mirroring_sync_batch_size
    mirroring_sync_max_throughput: Throughput = _DEFAULTS.mirroring_sync_max_throughput
    prometheus_return_per_object_metrics: Annotated[bool, Field(alias="prometheus.return_per_object_metrics")] = (
        _DEFAULTS.prometheus_return_per_object_metrics
    )
    fsync_interval: Annotated[Whole, Field(ge=1, le=60_000)] = _DEFAULTS.fsync_interval


class SettingsSection(NodeSettings):
    """`settings:` of all nodes."""

    net_ticktime: Annotated[float, Field(ge=1, le=3600)] = _DEFAULTS.net_ticktime
    queue_master_locator: Locator = _DEFAULTS.queue_master_locator

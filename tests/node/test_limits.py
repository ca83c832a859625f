"""Limits that an operator moves while a node runs."""

import pytest

from broker.cluster.refusal import Refused
from broker.node.limits import Limits
from broker.vhosts.alarms import AlarmLimits


async def test_limits_are_written_as_in_the_file():
    limits = AlarmLimits()
    verbs = Limits(limits).verbs
    memory, disk_free = verbs["set_vm_memory_high_watermark"], verbs["set_disk_free_limit"]
    assert await memory({"do": "set_vm_memory_high_watermark", "limit": {"absolute": "1GB"}}) == {}
    assert await disk_free({"do": "set_disk_free_limit", "limit": {"relative": 2}}) == {}
    assert (limits.memory, limits.disk_free) == (1_000_000_000, 2.0)
    with pytest.raises(Refused, match="should be a fraction") as refused:
        await memory({"do": "set_vm_memory_high_watermark", "limit": 1.5})
    assert refused.value.code == "invalid"
    with pytest.raises(Refused, match="use a whole number of bytes"):
        await disk_free({"do": "set_disk_free_limit", "limit": "much"})
    assert (limits.memory, limits.disk_free) == (1_000_000_000, 2.0)

"""What clients are told of this server (AMQP 0-9-1 connection.start, server-properties).

Decides the words: clients decide on features by product and version, so both are those that Warren is compatible with.
It must not know connections.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

CAPABILITIES = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": True,
}


PRODUCT_VERSION = "3.10.8"


def platform_text() -> str:
    """What really runs."""
    try:
        own = version("warren")
    except PackageNotFoundError:
        own = "from source"
    return f"Warren {own} / Python {platform.python_version()}"


def server_properties(cluster_name: str) -> dict[str, Any]:
    """As RabbitMQ 3.10.8 sends them."""
    return {
        "capabilities": dict(CAPABILITIES),
        "cluster_name": cluster_name,
        "copyright": "Licensed under the Apache License, Version 2.0",
        "information": "Speaks AMQP 0-9-1 as RabbitMQ 3.10.8 does",
        "platform": platform_text(),
        "product": "RabbitMQ",
        "version": PRODUCT_VERSION,
    }

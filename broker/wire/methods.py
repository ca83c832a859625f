"""Every method of AMQP 0-9-1 with RabbitMQ's additions, one class each, in the order of the specification.

Decides names, numbers, arguments and their defaults, nothing else. A class is written as its arguments; the coding
stands in `method_fields.py`. Used on the cold path only.
"""

from dataclasses import field

import broker.wire.basic_methods  # noqa: F401 - enters its methods into the register
from broker.wire.malformed import Malformed
from broker.wire.method_fields import (
    METHODS,
    Arguments,
    Bit,
    LongString,
    Method,
    Octet,
    Short,
    ShortString,
    Word,
    method,
)


def decode(class_id: int, method_id: int, payload: bytes) -> Method:
    """The method with these numbers and arguments.

    Raises Malformed: 503 if there is no such method, 501 if the arguments do not fit, 502 if a table in them does not.
    """
    kind = METHODS.get((class_id, method_id))
    if kind is None:
        raise Malformed(503, f"unknown method {class_id}.{method_id}")
    return kind.decode(payload)


@method(10, 10)
class ConnectionStart(Method):
    version_major: Octet = 0
    version_minor: Octet = 9
    server_properties: Arguments = field(default_factory=dict)
    mechanisms: LongString = b"PLAIN"
    locales: LongString = b"en_US"


@method(10, 11)
class ConnectionStartOk(Method):
    client_properties: Arguments = field(default_factory=dict)
    mechanism: ShortString = "PLAIN"
    response: LongString = b""
    locale: ShortString = "en_US"


@method(10, 20)
class ConnectionSecure(Method):
    challenge: LongString = b""


@method(10, 21)
class ConnectionSecureOk(Method):
    response: LongString = b""


@method(10, 30)
class ConnectionTune(Method):
    channel_max: Short = 0
    frame_max: Word = 0
    heartbeat: Short = 0


@method(10, 31)
class ConnectionTuneOk(Method):
    channel_max: Short = 0
    frame_max: Word = 0
    heartbeat: Short = 0


@method(10, 40)
class ConnectionOpen(Method):
    virtual_host: ShortString = "/"
    capabilities: ShortString = ""
    insist: Bit = False


@method(10, 41)
class ConnectionOpenOk(Method):
    known_hosts: ShortString = ""


@method(10, 50)
class ConnectionClose(Method):
    reply_code: Short = 200
    reply_text: ShortString = ""
    failed_class_id: Short = 0
    failed_method_id: Short = 0


@method(10, 51)
class ConnectionCloseOk(Method):
    pass


@method(10, 60)
class ConnectionBlocked(Method):
    reason: ShortString = ""


@method(10, 61)
class ConnectionUnblocked(Method):
    pass


@method(10, 70)
class ConnectionUpdateSecret(Method):
    new_secret: LongString = b""
    reason: ShortString = ""


@method(10, 71)
class ConnectionUpdateSecretOk(Method):
    pass


@method(20, 10)
class ChannelOpen(Method):
    out_of_band: ShortString = ""


@method(20, 11)
class ChannelOpenOk(Method):
    channel_id: LongString = b""


@method(20, 20)
class ChannelFlow(Method):
    active: Bit = True


@method(20, 21)
class ChannelFlowOk(Method):
    active: Bit = True


@method(20, 40)
class ChannelClose(Method):
    reply_code: Short = 200
    reply_text: ShortString = ""
    failed_class_id: Short = 0
    failed_method_id: Short = 0


@method(20, 41)
class ChannelCloseOk(Method):
    pass


@method(30, 10)
class AccessRequest(Method):
    realm: ShortString = "/data"
    exclusive: Bit = False
    passive: Bit = True
    active: Bit = True
    write: Bit = True
    read: Bit = True


@method(30, 11)
class AccessRequestOk(Method):
    ticket: Short = 1


@method(40, 10)
class ExchangeDeclare(Method):
    ticket: Short = 0
    exchange: ShortString = ""
    type: ShortString = "direct"
    passive: Bit = False
    durable: Bit = False
    auto_delete: Bit = False
    internal: Bit = False
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(40, 11)
class ExchangeDeclareOk(Method):
    pass


@method(40, 20)
class ExchangeDelete(Method):
    ticket: Short = 0
    exchange: ShortString = ""
    if_unused: Bit = False
    nowait: Bit = False


@method(40, 21)
class ExchangeDeleteOk(Method):
    pass


@method(40, 30)
class ExchangeBind(Method):
    ticket: Short = 0
    destination: ShortString = ""
    source: ShortString = ""
    routing_key: ShortString = ""
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(40, 31)
class ExchangeBindOk(Method):
    pass


@method(40, 40)
class ExchangeUnbind(Method):
    ticket: Short = 0
    destination: ShortString = ""
    source: ShortString = ""
    routing_key: ShortString = ""
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(40, 51)
class ExchangeUnbindOk(Method):
    pass


@method(50, 10)
class QueueDeclare(Method):
    ticket: Short = 0
    queue: ShortString = ""
    passive: Bit = False
    durable: Bit = False
    exclusive: Bit = False
    auto_delete: Bit = False
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(50, 11)
class QueueDeclareOk(Method):
    queue: ShortString = ""
    message_count: Word = 0
    consumer_count: Word = 0


@method(50, 20)
class QueueBind(Method):
    ticket: Short = 0
    queue: ShortString = ""
    exchange: ShortString = ""
    routing_key: ShortString = ""
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(50, 21)
class QueueBindOk(Method):
    pass


@method(50, 30)
class QueuePurge(Method):
    ticket: Short = 0
    queue: ShortString = ""
    nowait: Bit = False


@method(50, 31)
class QueuePurgeOk(Method):
    message_count: Word = 0


@method(50, 40)
class QueueDelete(Method):
    ticket: Short = 0
    queue: ShortString = ""
    if_unused: Bit = False
    if_empty: Bit = False
    nowait: Bit = False


@method(50, 41)
class QueueDeleteOk(Method):
    message_count: Word = 0


@method(50, 50)
class QueueUnbind(Method):
    ticket: Short = 0
    queue: ShortString = ""
    exchange: ShortString = ""
    routing_key: ShortString = ""
    arguments: Arguments = field(default_factory=dict)


@method(50, 51)
class QueueUnbindOk(Method):
    pass

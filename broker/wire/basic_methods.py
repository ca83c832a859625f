"""The methods of classes basic, confirm and tx: messages and how they are settled (AMQP 0-9-1 section 1.8).

Decides names, numbers, arguments and their defaults, nothing else; the other classes stand in `methods.py`. Publish,
deliver and ack are here for the rare road and for tests; the fast road speaks bytes.
"""

from dataclasses import field

from broker.wire.method_fields import Arguments, Bit, LongLong, Method, Short, ShortString, Word, method


@method(60, 10)
class BasicQos(Method):
    prefetch_size: Word = 0
    prefetch_count: Short = 0
    is_global: Bit = False


@method(60, 11)
class BasicQosOk(Method):
    pass


@method(60, 20)
class BasicConsume(Method):
    ticket: Short = 0
    queue: ShortString = ""
    consumer_tag: ShortString = ""
    no_local: Bit = False
    no_ack: Bit = False
    exclusive: Bit = False
    nowait: Bit = False
    arguments: Arguments = field(default_factory=dict)


@method(60, 21)
class BasicConsumeOk(Method):
    consumer_tag: ShortString = ""


@method(60, 30)
class BasicCancel(Method):
    consumer_tag: ShortString = ""
    nowait: Bit = False


@method(60, 31)
class BasicCancelOk(Method):
    consumer_tag: ShortString = ""


@method(60, 40)
class BasicPublish(Method):
    ticket: Short = 0
    exchange: ShortString = ""
    routing_key: ShortString = ""
    mandatory: Bit = False
    immediate: Bit = False


@method(60, 50)
class BasicReturn(Method):
    reply_code: Short = 312
    reply_text: ShortString = ""
    exchange: ShortString = ""
    routing_key: ShortString = ""


@method(60, 60)
class BasicDeliver(Method):
    consumer_tag: ShortString = ""
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: ShortString = ""
    routing_key: ShortString = ""


@method(60, 70)
class BasicGet(Method):
    ticket: Short = 0
    queue: ShortString = ""
    no_ack: Bit = False


@method(60, 71)
class BasicGetOk(Method):
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: ShortString = ""
    routing_key: ShortString = ""
    message_count: Word = 0


@method(60, 72)
class BasicGetEmpty(Method):
    cluster_id: ShortString = ""


@method(60, 80)
class BasicAck(Method):
    delivery_tag: LongLong = 0
    multiple: Bit = False


@method(60, 90)
class BasicReject(Method):
    delivery_tag: LongLong = 0
    requeue: Bit = True


@method(60, 100)
class BasicRecoverAsync(Method):
    requeue: Bit = False


@method(60, 110)
class BasicRecover(Method):
    requeue: Bit = False


@method(60, 111)
class BasicRecoverOk(Method):
    pass


@method(60, 120)
class BasicNack(Method):
    delivery_tag: LongLong = 0
    multiple: Bit = False
    requeue: Bit = True


@method(85, 10)
class ConfirmSelect(Method):
    nowait: Bit = False


@method(85, 11)
class ConfirmSelectOk(Method):
    pass


@method(90, 10)
class TxSelect(Method):
    pass


@method(90, 11)
class TxSelectOk(Method):
    pass


@method(90, 20)
class TxCommit(Method):
    pass


@method(90, 21)
class TxCommitOk(Method):
    pass


@method(90, 30)
class TxRollback(Method):
    pass


@method(90, 31)
class TxRollbackOk(Method):
    pass

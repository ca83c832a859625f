"""Plays a dialogue between a client and a `ServerConnection` and writes down what was said.

A story is plain text. Lines with `>` are what the client sends, lines with `!` what the rest of the broker does;
below each stands what came of it: `<` what the client hears, `*` what the session must act upon. Methods are written
as in the protocol, `> 1 basic.qos prefetch_count=5`; arguments that are not named keep their defaults.
"""

import ast
import shlex

from broker.amqp.connection import ServerConnection
from broker.amqp.errors import ChannelException, ConnectionException
from broker.amqp.handshake import Limits
from broker.amqp.requests import OpenChannel
from broker.wire import methods
from broker.wire.basic_methods import BasicPublish
from broker.wire.content import body_of, make_content
from broker.wire.events import Acks, Content, Delivered, Fault, Heartbeat, Oversize, Publish
from broker.wire.frames import FrameReader
from broker.wire.message import Run, Traits, make_address
from broker.wire.method_fields import METHODS, Method
from broker.wire.properties import Properties

BY_NAME = {kind.name: kind for kind in METHODS.values()}
GREETING = ("header", "0 connection.start_ok response=b'\\0guest\\0guest'", "0 connection.tune_ok 2047 131072 60")


class Story:
    def __init__(self):
        limits = Limits(message_bytes_max=1000)
        self.connection = ServerConnection({"product": "RabbitMQ"}, limits, lambda: None)
        self.reader = FrameReader(0, client=True)
        self.now = 0.0
        self.pendings = []
        self.position = 1

    def play(self, text):
        told = []
        for line in text.splitlines():
            if line[:1] not in (">", "!"):
                if line[:1] not in ("<", "*"):
                    told.append(line)
                continue
            told.append(line)
            told += self.client(line[1:].strip()) if line[0] == ">" else self.broker(line[1:].strip())
            told += self.heard()
        return "\n".join(told) + "\n"

    def client(self, words):
        if words == "greeting":
            for step in GREETING:
                list(self.client(step))
                if self.connection.state == "securing":
                    self.connection.accept_login()
            list(self.client("0 connection.open"))
            self.connection.accept_open()
            self.heard()
            return []
        return [line for _, event in self.connection.feed(sent(words), self.now) for line in self.heeded(event)]

    def heeded(self, event):
        """What the session must act upon; a channel is simply opened."""
        if isinstance(event, OpenChannel):
            self.connection.accept_channel(event.number)
            return []
        return [told(event)]

    def broker(self, words):
        verb, *arguments = shlex.split(words, posix=False)
        answer = getattr(self, "do_" + verb)(*map(unquoted, arguments))
        return [] if answer is None else [f"* {answer}"]

    def do_accept_login(self):
        self.connection.accept_login()

    def do_refuse_login(self):
        ended = self.connection.refuse_login()
        return ended and told(ended)[2:]

    def do_accept_open(self):
        self.connection.accept_open()

    def do_accept_close(self, channel="0"):
        if channel == "0":
            return told(self.connection.accept_close())[2:]
        self.connection.accept_channel_close(self.connection.channels[int(channel)])
        return None

    def do_fail(self, channel, code, why):
        cause = methods.QueueDeclare
        if channel == "0":
            self.connection.fail(ConnectionException(int(code), why), cause)
        else:
            failing = self.connection.channels[int(channel)]
            self.connection.fail_channel(failing, ChannelException(int(code), why), cause)

    def do_wait(self, seconds):
        self.now += float(seconds)
        return "alive" if self.connection.tick(self.now) else "dead"

    def do_block(self, reason):
        self.connection.block(reason)

    def do_unblock(self):
        self.connection.unblock()

    def do_deliver(self, channel, count, *options):
        contents = [make_content(9, Properties(), b"m%d" % i, 0) for i in range(int(count))]
        run = Run(contents, make_address("", "q"), Traits(), first=self.position, redelivered="redelivered" in options)
        self.position += len(contents)
        self.connection.channels[int(channel)].deliver(b"tag", run, None if "no_ack" in options else "queue")

    def do_answer(self, channel, first, last, multiple, verdict="settle"):
        answered = self.connection.channels[int(channel)].acknowledge(
            int(first), int(last), ast.literal_eval(multiple), verdict
        )
        return " ".join(f"{source} {start}..{end}" for source, start, end in answered) or "nothing"

    def do_select_confirms(self, channel):
        self.connection.channels[int(channel)].select_confirms()

    def do_publish(self, channel, count, missing):
        pending = self.connection.channels[int(channel)].open_pending(int(count))
        pending.missing = int(missing)
        self.pendings.append(pending)

    def do_confirm(self, index, *refused):
        pending = self.pendings[int(index)]
        if refused:
            pending.refuse(*map(int, refused))
        pending.answer()

    def heard(self):
        output = self.connection.take_output()
        if output:
            self.connection.written(sum(map(len, output)), self.now)
        heard = b"".join(output)
        told_lines = []
        if heard.startswith(b"AMQP"):
            told_lines.append(f"< {heard[:8]!r}")
            heard = heard[8:]
        for event in self.reader.feed(heard):
            assert not isinstance(event, Fault)
            told_lines.append("<" + told(event)[1:])
        return told_lines


def sent(words):
    """The bytes that a client's line stands for."""
    if words == "header":
        return b"AMQP\0\0\x09\x01"
    if words == "heartbeat":
        return b"\x08\0\0\0\0\0\0\xce"
    if words.startswith("bytes "):
        return ast.literal_eval(words.removeprefix("bytes "))
    channel, name, *arguments = shlex.split(words, posix=False)
    named = {key: value(text) for key, text in (argument.split("=", 1) for argument in arguments if "=" in argument)}
    plain = [value(argument) for argument in arguments if "=" not in argument]
    if name == "message":
        return message(int(channel), *plain, **named)
    return BY_NAME[name](*plain, **named).frame(int(channel))


def message(channel, key, body=b"hello", *, exchange="", mandatory=False, **properties):
    frames = BasicPublish(exchange=exchange, routing_key=key, mandatory=mandatory).frame(channel)
    return frames + make_content(channel, Properties(**properties), body, 4096)


def unquoted(text):
    return ast.literal_eval(text) if text[:1] == '"' else text


def value(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def told(event):
    """One line about an event, with `*` before it."""
    if isinstance(event, Publish):
        return f"* {event.channel} published {[body_of(content) for content in event.contents]} {event.payload!r}"
    if isinstance(event, Acks):
        span = f"up to {event.last_tag}" if event.multiple else f"{event.first_tag}..{event.last_tag}"
        return f"* {event.channel} acknowledged {span}"
    if isinstance(event, Oversize):
        return f"* {event.channel} oversize {event.size}"
    if isinstance(event, Heartbeat):
        return "* heartbeat"
    if isinstance(event, Delivered):
        last = event.first_tag + len(event.contents) - 1
        flag = " redelivered" if event.redelivered else ""
        return f"* {event.channel} delivered {event.consumer_tag.decode()} {event.first_tag}..{last}{flag}"
    if isinstance(event, Content):
        return f"* {event.channel} content {event.class_id}.{event.method_id} {body_of(event.content)!r}"
    if isinstance(event, Method):
        return f"* asks {spelled(event)}"
    if hasattr(event, "class_id"):
        method = methods.decode(event.class_id, event.method_id, event.payload)
        return f"* {event.channel} {spelled(method)}"
    facts = [(name, getattr(event, name)) for name in event.__slots__]
    shown = " ".join(f"{name}={value!r}" for name, value in facts if value is not False)
    return f"* {type(event).__name__} {shown}".rstrip()


def spelled(method):
    default = type(method)()
    facts = [
        f"{name}={getattr(method, name)!r}"
        for name, _ in method.arguments_in_order
        if getattr(method, name) != getattr(default, name)
    ]
    return " ".join([method.name, *facts])

"""The one refusal of the ground floor: bytes that are not what AMQP 0-9-1 says they should be.

Decides only how such bytes are named. It must not know what a connection does about it: the amqp room turns it into
a connection exception with the same code and words.
"""


class Malformed(ValueError):
    """Bytes that break the format; `code` is the AMQP reply code, `why` the explanation RabbitMQ would give."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


def erlang_binary(data: bytes) -> str:
    """Octets as RabbitMQ's reply texts show them: `<<1,2,3>>`, or `<<"abc">>` if all can be read as ISO 8859-1."""
    if data and all(byte in _READABLE for byte in data):
        text = data.decode("utf-8", "surrogateescape")  # the octets themselves stand in the reply
        return '<<"' + "".join(_ESCAPED.get(letter, letter) for letter in text) + '">>'
    return f"<<{','.join(map(str, data))}>>"


_ESCAPED = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
_READABLE = {*range(32, 127), *range(160, 256), *map(ord, "\t\n\r\b\f\v")}

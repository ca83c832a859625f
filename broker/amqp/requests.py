"""What a client asks of the server beyond its channels: the events of a connection that its session must act upon.

Decides only their shape. Each is answered by one verb of `ServerConnection`, named here.
"""

from broker.amqp.errors import ConnectionException


class Login:
    """The client says who it is: answer with `accept_login` or `refuse_login`."""

    __slots__ = ("mechanism", "password", "user")

    def __init__(self, mechanism: str, user: str, password: str) -> None:
        self.mechanism = mechanism
        self.user = user
        self.password = password


class Open:
    """The client wants to work in a virtual host: answer with `accept_open`."""

    __slots__ = ("virtual_host",)

    def __init__(self, virtual_host: str) -> None:
        self.virtual_host = virtual_host


class OpenChannel:
    """The client wants another channel: answer with `accept_channel`."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class NewSecret:
    """The client brings a new password: answer with `accept_secret`."""

    __slots__ = ("secret",)

    def __init__(self, secret: str) -> None:
        self.secret = secret


class CloseRequest:
    """The client says goodbye: clean up, then answer with `accept_close`."""

    __slots__ = ()


class Failed:
    """The connection is being closed because of this error; the client has been told. Clean up.

    `deaf`: its answer cannot be heard any more, nothing that it sends can be told apart.
    """

    __slots__ = ("deaf", "error")

    def __init__(self, error: ConnectionException, *, deaf: bool = False) -> None:
        self.error = error
        self.deaf = deaf


class Ended:
    """Nothing more will be said or heard; leave the socket open for `linger_s` seconds if the client lets you."""

    __slots__ = ("linger_s", "why")

    def __init__(self, why: str, linger_s: float) -> None:
        self.why = why
        self.linger_s = linger_s


Request = Login | Open | OpenChannel | NewSecret | CloseRequest | Failed | Ended

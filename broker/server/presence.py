"""What others may know of one AMQP session: the rows that lists show of it.

Decides how a session looks in RabbitMQ's words. It must not change anything but, when told so, end the session.
"""

from typing import TYPE_CHECKING, Any

from broker.vhosts.certificates import tls_facts
from broker.vhosts.roster import Row, Volume, consumer_row

if TYPE_CHECKING:
    from collections.abc import Container

    from broker.amqp.channel import Channel
    from broker.meters.traffic import Flow
    from broker.server.session import Session
    from broker.vhosts.client import Client
    from broker.vhosts.vhost import Vhost

PROTOCOL = "AMQP 0-9-1"


class SessionPresence:
    """A session that has entered a vhost (see `roster.Presence`)."""

    def __init__(self, session: "Session", client: "Client", vhost: "Vhost", serial: int) -> None:
        owner = client.owner
        self.name = session.name
        self.pid = f"<{owner.node}.{owner.life}.{serial}.0>"
        self._session = session
        self._client = client
        self._vhost = vhost

    @property
    def user_name(self) -> str:
        """See `roster.Presence`."""
        return self._client.user.name

    @property
    def vhost_name(self) -> str:
        """See `roster.Presence`."""
        return self._client.vhost

    @property
    def channel_count(self) -> int:
        """See `roster.Presence`."""
        return len(self._session.connection.channels)

    def channel_names(self, channels: "Container[object]") -> "list[tuple[Channel, str]]":
        """See `roster.Presence`."""
        return [(one, self._name_of(one)) for one in self._session.connection.channels.values() if one in channels]

    def _name_of(self, channel: "Channel") -> str:
        return f"{self.name} ({channel.number})"

    def octets(self) -> tuple[int, int]:
        """See `roster.Presence`."""
        return self.volume.received_bytes, self.volume.sent_bytes

    @property
    def pending_bytes(self) -> int:
        """See `roster.Presence`."""
        return self._session.connection.outbox_bytes

    def flows(self) -> "list[tuple[str, Flow]]":
        """See `roster.Presence`."""
        return [(pid, channel.flow) for pid, channel in self.open_channels()]

    def _pid_of(self, channel: "Channel") -> str:
        return f"{self.pid[:-2]}{channel.number}>"

    def force_close(self, why: str) -> None:
        """See `roster.Presence`."""
        self._session.force_close(why)

    @property
    def _node(self) -> str:
        return f"rabbit@{self._client.owner.node}"

    @property
    def volume(self) -> Volume:
        """See `roster.Presence`."""
        reader, writer = self._session.reader, self._session.writer
        return Volume(reader.received_bytes, reader.reads, writer.sent_bytes, writer.writes)

    def open_channels(self) -> "list[tuple[str, Channel]]":
        """See `roster.Presence`."""
        return [(self._pid_of(channel), channel) for channel in self._session.connection.channels.values()]

    def facts(self) -> Row:
        """The fields of RabbitMQ's /api/connections."""
        session, connection = self._session, self._session.connection
        return {
            **_ends(session),
            "pid": self.pid,
            "name": self.name,
            "node": self._node,
            "type": "network",
            "protocol": PROTOCOL,
            "state": self._state(),
            "user": self.user_name,
            "user_who_performed_action": self.user_name,
            "vhost": self.vhost_name,
            "auth_mechanism": connection.mechanism,
            **tls_facts(session.security),
            "channels": self.channel_count,
            "channel_max": connection.channel_max,
            "frame_max": connection.frame_max,
            "timeout": int(connection.heartbeat_s),
            "client_properties": connection.client_properties,
            "user_provided_name": connection.client_properties.get("connection_name"),
            "connected_at": session.connected_at_ms,
            "recv_oct": session.reader.received_bytes,
            "recv_cnt": session.reader.reads,
            "send_oct": session.writer.sent_bytes,
            "send_cnt": session.writer.writes,
            "send_pend": connection.outbox_bytes,
        }

    def _state(self) -> str:
        return "blocked" if self._session.is_blocked else self._session.connection.state

    def channel_facts(self) -> list[Row]:
        """The fields of RabbitMQ's /api/channels."""
        return [self._channel(channel) for channel in self._session.connection.channels.values()]

    def _channel(self, channel: "Channel") -> Row:
        ends = _ends(self._session)
        transaction = channel.transaction
        return {
            "pid": self._pid_of(channel),
            "name": self._name_of(channel),
            "number": channel.number,
            "node": self._node,
            "connection": self.pid,
            "connection_details": {
                "name": self.name,
                "peer_host": ends["peer_host"],
                "peer_port": ends["peer_port"],
            },
            "user": self.user_name,
            "user_who_performed_action": self.user_name,
            "vhost": self.vhost_name,
            "state": "running" if channel.state == "open" else channel.state,
            "consumer_count": len(channel.consumer_tags),
            "messages_unacknowledged": channel.unacked_count,
            "messages_unconfirmed": channel.unconfirmed_count,
            "messages_uncommitted": 0 if transaction is None else transaction.publish_count,
            "acks_uncommitted": 0 if transaction is None else sum(map(len, transaction.answered)),
            "prefetch_count": channel.prefetch_count_new_consumers,
            "global_prefetch_count": channel.prefetch_count_global,
            "confirm": channel.confirming,
            "transactional": transaction is not None,
        }

    def consumer_facts(self) -> list[Row]:
        """The fields of RabbitMQ's /api/consumers."""
        return [
            consumer_row(subscription, row)
            for channel in self._session.connection.channels.values()
            if channel.consumer_tags
            for row in (self._channel(channel),)
            for subscription in self._vhost.consumers_of(channel)
        ]


def _ends(session: "Session") -> dict[str, Any]:
    """Both ends of the connection, out of its name."""
    peer, _, local = session.name.partition(" -> ")
    peer_host, _, peer_port = peer.rpartition(":")
    host, _, port = local.rpartition(":")
    return {"peer_host": peer_host, "peer_port": int(peer_port), "host": host, "port": int(port)}

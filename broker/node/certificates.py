"""From the files of `tls:` to TLS contexts: of a node's links, and of the doors for clients.

Decides that both sides of a link show a certificate of the cluster's authority; names in it are not compared with
addresses, since whoever holds such a certificate and the cookie is a member wherever it runs. Clients are asked for one
as the file says, and shown the certificate of the host they ask for. It must not know who dials whom.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from broker.peers.introduction import Tls as Contexts

if TYPE_CHECKING:
    from broker.node.configuration import Tls


def contexts_of(tls: "Tls | None") -> Contexts | None:
    """Of the links; None without `tls:`. Raises OSError (also ssl.SSLError) for files that cannot be used."""
    if tls is None:
        return None
    listener, dialler = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialler.check_hostname = False
    for context in (listener, dialler):
        context.load_cert_chain(tls.cert, tls.key)
        context.load_verify_locations(tls.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return Contexts(listener=listener, dialler=dialler)


def client_context(tls: "Tls") -> ssl.SSLContext:
    """Of the clients' door. Raises OSError (also ssl.SSLError) for files that cannot be used."""
    return _shown_by_host(tls, partial(_door, tls))


def web_context(tls: "Tls") -> ssl.SSLContext:
    """Of the HTTP door, where nobody is asked for a certificate: browsers have none. Raises OSError as above."""
    return _shown_by_host(tls, _web_door)


def _shown_by_host(tls: "Tls", door: Callable[[Path, Path], ssl.SSLContext]) -> ssl.SSLContext:
    context = door(tls.cert, tls.key)
    if tls.sni:
        by_host = {host: door(pair.cert, pair.key) for host, pair in tls.sni.items()}
        context.sni_callback = _Chooser(by_host)
    return context


def _door(tls: "Tls", cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(tls.ca)
    if tls.verify == "peer":
        context.verify_mode = ssl.CERT_REQUIRED if tls.fail_if_no_peer_cert else ssl.CERT_OPTIONAL
    return context


def _web_door(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


class _Chooser:
    """Within the handshake: whoever names a host that has a certificate of its own is shown that one."""

    def __init__(self, by_host: Mapping[str, ssl.SSLContext]) -> None:
        self._by_host = by_host

    def __call__(self, connection: ssl.SSLObject, host: str | None, context: ssl.SSLContext) -> None:
        chosen = self._by_host.get((host or "").lower())
        if chosen is not None:
            connection.context = chosen

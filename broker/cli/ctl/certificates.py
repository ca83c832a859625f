"""When the certificates that a node shows, and the authorities that it trusts, expire.

Decides by shaking hands with the node, so that it is about what clients really see. It must not know what is printed.
"""

import socket
import ssl
from collections.abc import Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Any

from broker.cli.ctl.failures import CtlFailure, Exit
from broker.cli.ctl.listeners import CONNECT_TIMEOUT_S, dialled

if TYPE_CHECKING:
    from broker.node.configuration import Tls

Certificate = Mapping[str, Any]


def expiring(tls: "Tls", listeners: Iterable[Mapping[str, Any]], within_s: float) -> list[dict[str, Any]]:
    """The listeners with a certificate that expires within that time, or has: with its `subject` and when it
    `expires`. Raises CtlFailure."""
    found: list[dict[str, Any]] = []
    deadline_s = time() + within_s
    try:
        context = _context(tls)
        for listener in listeners:
            certificates = [*context.get_ca_certs(), *(_shown(context, listener, host) for host in ("", *tls.sni))]
            found += [
                {**listener, "subject": _name(certificate), "expires": certificate["notAfter"]}
                for certificate in certificates
                if ssl.cert_time_to_seconds(certificate["notAfter"]) < deadline_s
            ]
    except OSError as failure:
        raise CtlFailure(Exit.UNAVAILABLE, str(getattr(failure, "verify_message", "") or failure)) from None
    return found


def _context(tls: "Tls") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(tls.cert, tls.key)  # links want one shown
    context.load_verify_locations(tls.ca)
    return context


def _shown(context: ssl.SSLContext, listener: Mapping[str, Any], host: str) -> Certificate:
    """What is shown to who asks for that host. One that has expired fails to be verified, which says so."""
    name = host or dialled(listener)[0]
    with (
        socket.create_connection(dialled(listener), CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.getpeercert() or {}


def _name(certificate: Certificate) -> str:
    words = [f"{name}={value}" for part in certificate.get("subject", ()) for name, value in part]
    return ", ".join(words) or "an unnamed subject"

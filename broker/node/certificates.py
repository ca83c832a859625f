"""From the files of `tls:` to the two contexts of a node's links.

Decides that both sides show a certificate of the cluster's authority; names in it are not compared with addresses,
since whoever holds such a certificate and the cookie is a member wherever it runs. It must not know who dials whom.
"""

import ssl
from typing import TYPE_CHECKING

from broker.peers.greeting import Tls as Contexts

if TYPE_CHECKING:
    from broker.node.configuration import Tls


def contexts_of(tls: "Tls | None") -> Contexts | None:
    """None without `tls:`. Raises OSError (also ssl.SSLError) for files that cannot be used."""
    if tls is None:
        return None
    listener, dialler = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialler.check_hostname = False
    for context in (listener, dialler):
        context.load_cert_chain(tls.cert, tls.key)
        context.load_verify_locations(tls.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return Contexts(listener=listener, dialler=dialler)

"""`tls:` of cluster.yaml: certificates, and what is asked of clients.

Decides which files there must be and that they go together. It must not know what is done with them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from broker.node.certificates import contexts_of
from broker.node.configuration import KeyPair, Tls
from broker.node.configuration_file import Document, Place
from broker.node.configuration_settings import Name, Section

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")


def _host(text: str) -> str:
    host = text.lower().rstrip(".")
    if not _HOST.fullmatch(host):
        raise ValueError("must be a host name, as broker.example.org")
    return host


class KeyPairSection(Section):
    """One of `tls.sni:`"""

    cert: Name
    key: Name


class TlsSection(Section):
    """`tls:` of clients (`amqps`), of the links between nodes, and of the commands' road."""

    cert: Name
    key: Name
    ca: Name
    verify: Literal["none", "peer"] = "none"
    fail_if_no_peer_cert: bool = False
    sni: dict[Annotated[str, AfterValidator(_host)], KeyPairSection] = Field(default_factory=dict)


def read_tls(document: Document, section: TlsSection, folder: Path) -> Tls:
    """The files of `tls:`, relative to a folder; what is wrong with them is noted in the document."""
    if section.fail_if_no_peer_cert and section.verify == "none":
        document.complain(("tls", "fail_if_no_peer_cert"), "needs verify: peer, or nobody is asked for a certificate")
    cert, key, ca = (folder / Path(name).expanduser() for name in (section.cert, section.key, section.ca))
    pairs = {
        host: KeyPair(folder / Path(pair.cert).expanduser(), folder / Path(pair.key).expanduser())
        for host, pair in section.sni.items()
    }
    tls = Tls(cert, key, ca, section.verify, section.fail_if_no_peer_cert, pairs)
    places: list[tuple[Place, Path]] = [(("tls", "cert"), cert), (("tls", "key"), key), (("tls", "ca"), ca)]
    for host, pair in pairs.items():
        places += [(("tls", "sni", host, "cert"), pair.cert), (("tls", "sni", host, "key"), pair.key)]
    missing = [(place, path) for place, path in places if not path.is_file()]
    for place, path in missing:
        document.complain(place, f"there is no file {path}")
    if not missing:
        _check_together(document, tls)
    return tls


def _check_together(document: Document, tls: Tls) -> None:
    asked: list[tuple[Place, str, Tls]] = [(("tls",), "cert, key and ca", tls)]
    for host, pair in tls.sni.items():
        asked.append((("tls", "sni", host), "cert and key", Tls(pair.cert, pair.key, tls.ca)))
    for place, words, files in asked:
        try:
            contexts_of(files)
        except OSError as error:  # ssl.SSLError is one
            document.complain(place, f"{words} do not go together: {error}")

"""Until when certificates are valid: the one date in them that operations have to know.

Decides how the bytes are read (X.509 in DER, of that as much as it takes to come to the date; Python's own reader is
not open to everybody). It must not know where certificates are kept.
"""

import re
import ssl
from datetime import UTC, datetime

_PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _SHORT_TIME = 0x30, 0xA0, 0x17


def ends_of(pem: str) -> list[datetime]:
    """When each of the certificates in this text ends. Raises ValueError for what is none."""
    return [_end_of(ssl.PEM_cert_to_DER_cert(one)) for one in _PEM.findall(pem)]


def _end_of(der: bytes) -> datetime:
    try:
        parts = _items(_items(_items(der)[0][1])[0][1])
        if parts[0][0] == _VERSION:
            parts = parts[1:]
        _serial, _algorithm, _issuer, (kind, validity), *_ = parts
        if kind != _SEQUENCE:
            raise ValueError("no validity")
        _, (form, text) = _items(validity)
        written = text.decode("ascii")
        if form == _SHORT_TIME:  # two digits of the year, from 1950 on
            written = ("19" if written >= "50" else "20") + written
        return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except IndexError:
        raise ValueError("a certificate ends too early") from None


def _items(data: bytes) -> list[tuple[int, bytes]]:
    """The tags and contents of what stands in a row."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise IndexError
        found.append((tag, data[at : at + length]))
        at += length
    return found

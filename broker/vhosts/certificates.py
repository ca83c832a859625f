"""What a TLS connection and the client's certificate say, in RabbitMQ's words, and the user that a certificate names.

Decides how names are written (RFC 4514, most specific part first, as RabbitMQ prints them) and which part of a
certificate is a user name. It must not know sockets, nor whether there is such a user. A certificate comes here only
after the handshake has verified it. Source: RabbitMQ 3.10, `rabbit_cert_info` and `rabbit_ssl`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ssl import cert_time_to_seconds
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from broker.world.network import Security

DISTINGUISHED_NAME = "distinguished_name"
COMMON_NAME = "common_name"
LoginFrom = Literal["distinguished_name", "common_name", "subject_alternative_name"]
SanType = Literal["dns", "ip", "email", "uri"]

# OpenSSL's long names. Whatever RabbitMQ has no short name for, it writes as numbers.
_KEYS = {
    "surname": "SN",
    "givenName": "GIVENNAME",
    "initials": "INITIALS",
    "generationQualifier": "GENERATIONQUALIFIER",
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "title": "TITLE",
    "countryName": "C",
    "serialNumber": "SERIALNUMBER",
    "pseudonym": "PSEUDONYM",
    "domainComponent": "DC",
    "emailAddress": "EMAILADDRESS",
    "userId": "UID",
    "streetAddress": "2.5.4.9",
    "description": "2.5.4.13",
    "businessCategory": "2.5.4.15",
    "postalAddress": "2.5.4.16",
    "postalCode": "2.5.4.17",
    "telephoneNumber": "2.5.4.20",
    "name": "2.5.4.41",
    "dnQualifier": "2.5.4.46",
    "organizationIdentifier": "2.5.4.97",
    "unstructuredName": "1.2.840.113549.1.9.2",
    "unstructuredAddress": "1.2.840.113549.1.9.8",
    "jurisdictionLocalityName": "1.3.6.1.4.1.311.60.2.1.1",
    "jurisdictionStateOrProvinceName": "1.3.6.1.4.1.311.60.2.1.2",
    "jurisdictionCountryName": "1.3.6.1.4.1.311.60.2.1.3",
}
_TLS_FIELDS = (
    "ssl_protocol",
    "ssl_key_exchange",
    "ssl_cipher",
    "ssl_hash",
    "peer_cert_issuer",
    "peer_cert_subject",
    "peer_cert_validity",
)
_CIPHER = re.compile(
    r"(TLS_|(?:[A-Z]+-)*?)(AES|ARIA|CAMELLIA|CHACHA20)[-_]?(\d*)[-_]?(GCM|CCM8|CCM)?[-_]?(?:POLY1305|8)?[-_]?(SHA\d*)?"
)
_SANS: dict[SanType, str] = {"dns": "DNS", "ip": "IP Address", "email": "email", "uri": "URI"}

Certificate = Mapping[str, Any]
"""A verified certificate in the shape of `ssl.SSLSocket.getpeercert`."""


class NameRule(NamedTuple):
    """Which part of a certificate is the user name: rabbitmq.conf's `ssl_cert_login_*`."""

    source: LoginFrom = "distinguished_name"
    san_type: SanType = "dns"
    san_index: int = 0

    def name_in(self, certificate: Certificate) -> str | None:
        """The user name; None if this certificate has no such part."""
        if self.source == DISTINGUISHED_NAME:
            return distinguished_name(certificate["subject"])
        if self.source == COMMON_NAME:
            found = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
            return ",".join(found) if found else None
        kind = _SANS[self.san_type]
        names = [value for key, value in certificate.get("subjectAltName", ()) if key == kind]
        return str(names[self.san_index]) if self.san_index < len(names) else None


def distinguished_name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """A subject or issuer as text: `CN=ann,O=warren`."""
    written = ["+".join(f"{_KEYS.get(key, key)}={_escaped(value)}" for key, value in part) for part in parts]
    return ",".join(reversed(written))


def tls_facts(security: "Security | None") -> dict[str, Any]:
    """The fields of RabbitMQ's /api/connections about TLS; most are None without it, or without a certificate."""
    facts = {"ssl": security is not None, **dict.fromkeys(_TLS_FIELDS)}
    if security is None:
        return facts
    facts |= {"ssl_protocol": security.protocol.lower(), **_cipher_facts(security.cipher)}
    if security.certificate is not None:
        certificate = security.certificate
        validity = " - ".join(_time(certificate[end]) for end in ("notBefore", "notAfter"))
        facts |= {
            "peer_cert_issuer": distinguished_name(certificate["issuer"]),
            "peer_cert_subject": distinguished_name(certificate["subject"]),
            "peer_cert_validity": validity,
        }
    return facts


def _cipher_facts(name: str) -> dict[str, str]:
    """Of `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-SHA256` and their kin."""
    found = _CIPHER.fullmatch(name)
    if found is None:
        return {"ssl_key_exchange": "", "ssl_cipher": name.lower(), "ssl_hash": ""}
    exchange, kind, bits, mode, digest = (part.lower() for part in found.groups(""))
    if exchange == "tls_":
        exchange = "any"
    block = "chacha20_poly1305" if kind == "chacha20" else f"{kind}_{bits}_{mode or 'cbc'}"
    authenticated = bool(mode) or kind == "chacha20"
    return {
        "ssl_key_exchange": exchange.rstrip("-").replace("-", "_") or "rsa",
        "ssl_cipher": block,
        "ssl_hash": "aead" if authenticated else digest,
    }


def _escaped(text: str) -> str:
    octets, written = text.encode("utf-8", "surrogateescape"), ""
    for place, octet in enumerate(octets):
        letter = chr(octet)
        leading = place == 0 and letter in " #"
        trailing = place == len(octets) - 1 and letter == " "
        if leading or trailing or letter in '"+,;<>\\':
            written += f"\\{letter}"
        elif octet < 32 or octet >= 126:
            written += f"\\{octet:02X}"
        else:
            written += letter
    return written


def _time(text: str) -> str:
    return datetime.fromtimestamp(cert_time_to_seconds(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Certificates in RabbitMQ's words; the texts were seen on RabbitMQ 3.10.8 for a certificate with these names."""

import pytest

from broker.vhosts.certificates import NameRule, tls_facts
from broker.world.network import Security

SUBJECT = (
    (("countryName", "DE"),),
    (("organizationName", 'W\u00fcr, "x" + y; <z>\\'),),
    (("serialNumber", "77"), ("organizationalUnitName", "#a ")),
    (("commonName", " ann"),),
    (("emailAddress", "a@b.c"),),
    (("postalCode", "123"),),
    (("domainComponent", "org"),),
    (("userId", "u1"),),
    (("commonName", "second"),),
    (("streetAddress", "st"),),
    (("1.2.3.4", "odd\n"),),
    (("surname", "sn"), ("givenName", "gn")),
)
CERTIFICATE = {
    "subject": SUBJECT,
    "issuer": ((("commonName", "ca"),),),
    "notBefore": "Jan  1 00:00:00 2026 GMT",
    "notAfter": "Jan  1 12:30:00 2036 GMT",
    "subjectAltName": (
        ("DNS", "ann.example"),
        ("IP Address", "10.1.2.3"),
        ("DNS", "two.example"),
        ("email", "a@b.c"),
        ("URI", "spiffe://x/y"),
    ),
}
NAMELESS = {"subject": ((("organizationName", "warren"),),)}


def test_the_distinguished_name_is_written_from_the_most_specific_part():
    assert NameRule().name_in(CERTIFICATE) == (
        r"SN=sn+GIVENNAME=gn,1.2.3.4=odd\0A,2.5.4.9=st,CN=second,UID=u1,DC=org,2.5.4.17=123,EMAILADDRESS=a@b.c,"
        r"CN=\ ann,SERIALNUMBER=77+OU=\#a\ ,O=W\C3\BCr\, \"x\" \+ y\; \<z\>\\,C=DE"
    )


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (NameRule("common_name"), " ann,second"),
        (NameRule("subject_alternative_name"), "ann.example"),
        (NameRule("subject_alternative_name", san_index=1), "two.example"),
        (NameRule("subject_alternative_name", san_index=2), None),
        (NameRule("subject_alternative_name", "ip"), "10.1.2.3"),
        (NameRule("subject_alternative_name", "email"), "a@b.c"),
        (NameRule("subject_alternative_name", "uri"), "spiffe://x/y"),
    ],
)
def test_other_parts_may_be_the_name(rule, name):
    assert rule.name_in(CERTIFICATE) == name


def test_a_certificate_may_lack_the_part():
    assert NameRule("common_name").name_in(NAMELESS) is None
    assert NameRule("subject_alternative_name").name_in(NAMELESS) is None
    assert NameRule().name_in(NAMELESS) == "O=warren"


@pytest.mark.parametrize(
    ("cipher", "exchange", "block", "digest"),
    [
        ("TLS_AES_256_GCM_SHA384", "any", "aes_256_gcm", "aead"),
        ("TLS_CHACHA20_POLY1305_SHA256", "any", "chacha20_poly1305", "aead"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "ecdhe_ecdsa", "aes_256_gcm", "aead"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "ecdhe_ecdsa", "chacha20_poly1305", "aead"),
        ("ECDHE-ECDSA-AES128-SHA256", "ecdhe_ecdsa", "aes_128_cbc", "sha256"),
        ("ECDHE-ECDSA-AES256-CCM", "ecdhe_ecdsa", "aes_256_ccm", "aead"),
        ("AES128-GCM-SHA256", "rsa", "aes_128_gcm", "aead"),
        ("NEW-CIPHER", "", "new-cipher", ""),
    ],
)
def test_ciphers_have_erlangs_names(cipher, exchange, block, digest):
    facts = tls_facts(Security("TLSv1.3", cipher, None))
    assert (facts["ssl"], facts["ssl_protocol"], facts["peer_cert_subject"]) == (True, "tlsv1.3", None)
    assert (facts["ssl_key_exchange"], facts["ssl_cipher"], facts["ssl_hash"]) == (exchange, block, digest)


def test_who_the_client_is_and_for_how_long():
    facts = tls_facts(Security("TLSv1.2", "AES128-GCM-SHA256", CERTIFICATE))
    assert facts["peer_cert_issuer"] == "CN=ca"
    assert facts["peer_cert_validity"] == "2026-01-01T00:00:00Z - 2036-01-01T12:30:00Z"
    assert facts["peer_cert_subject"].startswith("SN=sn+GIVENNAME=gn,")


def test_without_tls_there_is_nothing_to_say():
    facts = tls_facts(None)
    assert facts.pop("ssl") is False
    assert set(facts.values()) == {None}

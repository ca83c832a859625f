"""Who comes in, how, and from where."""

import pytest

from broker.amqp.errors import ConnectionException
from broker.amqp.requests import Login
from broker.meters.meters import AMQP, HTTP
from broker.vhosts.certificates import NameRule
from broker.vhosts.client import User
from broker.vhosts.logins import LoginRefused, LoginRules, Logins, OnlyFromHere, is_loopback
from broker.world.network import Security
from tests.vhosts.room import open_hall

MD5_OF_SECRET = "c2FsdNQqD3Qv/Bvk4cwIRcJCnJc="  # of "salt" and "secret"
ANN = {"subject": ((("organizationName", "warren"),), (("commonName", "ann"),))}


@pytest.fixture
async def hall(autojump_clock):
    async with open_hall() as hall:
        yield hall


def logins(hall, **rules):
    return Logins(lambda: hall.tree.tree, LoginRules(**rules))


def secured(certificate):
    return Security("TLSv1.3", "TLS_AES_256_GCM_SHA384", certificate)


async def test_a_password_in_an_old_hash_fits(hall):
    user = {"name": "old", "password_hash": MD5_OF_SECRET, "hashing_algorithm": "rabbit_password_hashing_md5"}
    await hall.tree.propose({"do": "put_user", **user})
    assert hall.logins.by_password("old", "secret", "10.0.0.1") == User("old")
    with pytest.raises(LoginRefused, match="user 'old' - invalid credentials"):
        hall.logins.by_password("old", "wrong", "10.0.0.1")


async def test_a_blank_password_never_fits(hall):
    await hall.tree.propose({"do": "put_user", "name": "blank", "password": ""})
    with pytest.raises(LoginRefused, match="user 'blank' attempted to log in with a blank password"):
        hall.logins.by_password("blank", "", "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
        ("gone", False),
    ],
)
async def test_loopback_users_come_only_from_this_machine(hall, host, here):
    assert is_loopback(host) is here
    if here:
        assert hall.logins.by_password("guest", "guest", host) == User("guest", ("administrator",))
    else:
        with pytest.raises(OnlyFromHere, match="user 'guest' can only connect via localhost"):
            hall.logins.by_password("guest", "guest", host)


async def test_who_is_bound_to_this_machine_can_be_chosen(hall):
    await hall.tree.propose({"do": "put_user", "name": "ann", "password": "secret"})
    open_to_all, only_ann = logins(hall, loopback_users=()), logins(hall, loopback_users=["ann"])
    assert open_to_all.by_password("guest", "guest", "10.0.0.1").name == "guest"
    assert only_ann.by_password("guest", "guest", "10.0.0.1").name == "guest"
    with pytest.raises(OnlyFromHere):
        only_ann.by_password("ann", "secret", "10.0.0.1")
    with pytest.raises(OnlyFromHere):
        logins(hall, loopback_users=["O=w"], certified_name=NameRule()).by_certificate(
            await with_user(hall, "O=w"), "10.0.0.1"
        )


async def with_user(hall, name):
    await hall.tree.propose({"do": "put_user", "name": name, "password_hash": ""})
    return {"subject": ((("organizationName", name.removeprefix("O=")),),)}


async def test_a_certificate_lets_a_user_without_password_in(hall):
    with pytest.raises(LoginRefused, match="user 'CN=ann,O=warren' - invalid credentials"):
        hall.logins.by_certificate(ANN, "10.0.0.1")
    user = {"do": "put_user", "name": "CN=ann,O=warren", "password_hash": "", "tags": ["monitoring"]}
    await hall.tree.propose(user)
    assert hall.logins.by_certificate(ANN, "10.0.0.1") == User("CN=ann,O=warren", ("monitoring",))
    await hall.tree.propose({"do": "put_user", "name": "ann", "password_hash": ""})
    by_common_name = logins(hall, certified_name=NameRule("common_name"))
    assert by_common_name.by_certificate(ANN, "10.0.0.1") == User("ann")


async def test_a_certificate_must_be_there_and_have_a_name(hall):
    with pytest.raises(LoginRefused, match="connection peer presented no TLS"):
        hall.logins.by_certificate(None, "10.0.0.1")
    with pytest.raises(LoginRefused, match="no name found"):
        logins(hall, certified_name=NameRule("subject_alternative_name")).by_certificate(ANN, "10.0.0.1")


async def test_external_is_offered_to_who_has_shown_a_certificate(hall):
    for security in (None, secured(None)):
        assert hall.logins.mechanisms(security) == ["PLAIN", "AMQPLAIN"]
    assert hall.logins.mechanisms(secured(ANN)) == ["PLAIN", "AMQPLAIN", "EXTERNAL"]
    assert logins(hall, mechanisms=["EXTERNAL", "PLAIN"]).mechanisms(secured(ANN)) == ["EXTERNAL", "PLAIN"]


async def test_a_mechanism_that_this_client_cannot_use_is_refused(hall):
    only_plain = logins(hall, mechanisms=["PLAIN"])
    assert only_plain.log_in(Login("PLAIN", "guest", "guest"), "127.0.0.1", None).name == "guest"
    for mechanism in ("EXTERNAL", "AMQPLAIN"):
        with pytest.raises(ConnectionException) as refused:
            only_plain.log_in(Login(mechanism, "guest", "guest"), "127.0.0.1", None)
        assert (refused.value.code, refused.value.why) == (503, f"invalid authentication mechanism '{mechanism}'")
    with pytest.raises(ConnectionException, match="invalid authentication mechanism 'EXTERNAL'"):
        hall.logins.log_in(Login("EXTERNAL", "", ""), "127.0.0.1", None)
    with pytest.raises(LoginRefused, match="presented no TLS"):
        hall.logins.log_in(Login("EXTERNAL", "", ""), "127.0.0.1", secured(None))


async def test_attempts_are_counted_by_protocol(hall):
    found = hall.meters.logins
    hall.logins.log_in(Login("PLAIN", "guest", "guest"), "127.0.0.1", None)
    with pytest.raises(LoginRefused):
        hall.logins.log_in(Login("PLAIN", "guest", "wrong"), "127.0.0.1", None)
    with pytest.raises(OnlyFromHere):
        hall.logins.log_in_visitor("guest", "guest", "10.0.0.1")
    assert (found[AMQP].accepted, found[AMQP].refused) == (1, 1)
    assert (found[HTTP].accepted, found[HTTP].refused) == (0, 1)

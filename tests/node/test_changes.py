"""What commands may have changed: a list of procedures, logins, and whole files of definitions."""

from contextlib import asynccontextmanager

import pytest

from broker.cluster import schema
from broker.cluster.procedures import PROCEDURES
from broker.management.census import Census
from broker.node.changes import ALLOWED
from broker.node.commands import Commands
from tests.management.browser import FakeFacts
from tests.management.test_definitions import RABBITMQ
from tests.vhosts.room import open_hall


@asynccontextmanager
async def open_commands():
    async with open_hall() as hall:
        commands = Commands(None, None, None)
        commands.serve(hall, Census(hall, FakeFacts("n1")))
        yield hall, commands


def test_nobody_may_speak_of_lives_copies_or_queues():
    about_people = ("user", "vhost", "permission", "policy", "limits", "_member", "_name", "parameter")
    assert {name for name in PROCEDURES if any(word in name for word in about_people)} == ALLOWED


@pytest.mark.parametrize(
    "do", ["end_life", "register_life", "enter_in_sync", "found", "declare_queue", "nonsense", None]
)
async def test_what_is_refused(do):
    async with open_commands() as (_hall, commands):
        answer = await commands.answer({"do": "change", "request": {"do": do, "node": "n1", "life": 1}})
        assert answer == {"error": f"{do} is not a change that a command may ask for", "code": "invalid"}


async def test_what_is_allowed_is_done_or_refused_by_the_procedure():
    async with open_commands() as (hall, commands):
        asked = {"do": "put_user", "name": "tom", "password": "secret", "new": True}
        assert await commands.answer({"do": "change", "request": asked}) == {"created": True}
        again = await commands.answer({"do": "change", "request": asked})
        assert again == {"error": "user 'tom' already exists", "code": "exists"}
        assert schema.user(hall.tree.tree, "tom") is not None
        assert await commands.answer({"do": "authenticate", "user": "tom", "password": "secret"}) == {
            "authenticated": True
        }
        wrong = await commands.answer({"do": "authenticate", "user": "tom", "password": "x"})
        assert wrong == {"authenticated": False, "why": "user 'tom' - invalid credentials"}
        guest = await commands.answer({"do": "authenticate", "user": "guest", "password": "guest"})
        assert guest == {"authenticated": True}


async def test_definitions_come_with_a_file_of_the_cluster_or_by_themselves():
    async with open_commands() as (_hall, commands):
        assert await commands.answer({"do": "apply", "vhosts": ["/", "v"], "definitions": RABBITMQ}) == {
            "set": ["vhost v", "definitions"]
        }
        made = (await commands.answer({"do": "export_definitions"}))["definitions"]
        assert {"shop", "v"} <= {vhost["name"] for vhost in made["vhosts"]}
        one = (await commands.answer({"do": "export_definitions", "vhost": "shop"}))["definitions"]
        assert await commands.answer({"do": "import_definitions", "vhost": "v", "definitions": one}) == {}
        nowhere = await commands.answer({"do": "export_definitions", "vhost": "nowhere"})
        assert nowhere == {"error": "Virtual host 'nowhere' does not exist", "code": "not_found"}
        assert (await commands.answer({"do": "import_definitions", "definitions": 1}))["code"] == "invalid"


@pytest.mark.parametrize(
    "asked",
    [
        {"do": "facts", "kind": "users", "vhost": "\ud800"},
        {"do": "change", "request": {"do": "delete_user", "name": "\ud800"}},
        {"do": "authenticate", "user": "guest", "password": "\ud800"},
        {"do": "export_definitions", "vhost": "\ud800"},
        {"do": "import_definitions", "definitions": {"vhosts": [{"name": "\ud800"}]}},
    ],
)
async def test_what_is_no_text_is_refused(asked):
    async with open_commands() as (_hall, commands):
        answer = await commands.answer(asked)
        assert answer["code"] == "invalid"
        assert "is no Unicode" in answer["error"]

"""Which parameters are whose."""

import pytest

from tests.management.browser import basic
from tests.management.test_changes import add_user, open_browser


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("parameters/operator_policy/%2F/p", {"pattern": "", "priority": 0, "definition": {"max-length": 1}}),
        ("parameters/vhost-limits/%2F/limits", {"max-queues": 1}),
        ("global-parameters/cluster_name", "mine"),
    ],
)
async def test_what_bounds_a_policymaker_is_not_his_by_another_door(path, value):
    async with open_browser() as (hall, browser):
        await add_user(hall, "maker", "policymaker", vhost="/")
        owner, maker = browser.authorization, basic("maker", "p")
        for user, put, delete in ((maker, 401, 404), (owner, 201, 204)):
            browser.authorization = user
            assert (await browser.ask(path, "PUT", {"value": value})).status == put
            assert (await browser.ask(path, "DELETE")).status == delete
            assert (await browser.ask(path, "PUT", {"value": value})).status == put
        browser.authorization = maker
        assert (await browser.ask(path, "DELETE")).status == 401
        assert (await browser.ask("global-parameters/mine", "PUT", {"value": 1})).status == 201

"""A long conversation with the HTTP API of RabbitMQ 3.10.8, held again with a node of ours.

`rabbitmq_answers.jsonl` is what RabbitMQ answered, request by request: right and wrong bodies, things that are there
and things that are not. Here the status has to be the same, a refusal word for word, and of any other answer every
field that RabbitMQ gives.
"""

import json
from pathlib import Path

from broker.management.app import make_app
from broker.management.census import Census
from tests.management.browser import Browser, FakeFacts
from tests.vhosts.room import open_hall

FACTS = [
    json.loads(line)
    for line in Path(__file__).with_name("rabbitmq_answers.jsonl").read_text(encoding="utf-8").splitlines()
]


async def command(request):
    """Nothing of what this story has carried out shows again in it."""
    assert request["do"] in ("rebalance", "sync")
    return {}


def contains(answer, expected):
    if isinstance(expected, dict):
        return isinstance(answer, dict) and all(
            name in answer and contains(answer[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(map(contains, answer, expected))
    return answer == expected


async def test_the_same_questions_have_the_same_answers():
    different = []
    async with open_hall() as hall:
        browser = Browser(make_app(hall, Census(hall, FakeFacts("n1")), command))
        for fact in FACTS:
            method, _, path = fact["ask"].partition(" ")
            answer = await browser.ask(path, method, fact.get("body", "").encode())
            heard = answer.json if answer.body else None
            same = answer.status == fact["status"]
            if "location" in fact:
                same &= answer.headers.get("location") == fact["location"]
            if "answer" in fact:
                same &= heard == fact["answer"] if answer.status >= 400 else contains(heard, fact["answer"])
            if not same:
                different.append((fact, answer.status, heard))
    assert not different
    assert len(FACTS) > 150

"""A look at /metrics as Prometheus takes it, and a client that gives it something to see."""

from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families

from broker.management.app import make_app
from broker.management.census import Census
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.events import Content
from broker.wire.properties import Properties
from tests.management.browser import Browser, FakeFacts, no_command
from tests.vhosts.door import open_house

ODD = 'odd "name" \\n\\'
"""The name of a queue."""


class Page:
    def __init__(self, answer):
        assert answer.status == 200, answer.body
        self.text = answer.body.decode()
        self.types = {}
        self.samples = {}
        for family in text_string_to_metric_families(self.text):
            assert family.name not in self.types, "told twice"
            self.types[family.name] = family.type
            for sample in family.samples:
                found, place = self.samples.setdefault(sample.name, {}), tuple(sample.labels.items())
                assert place not in found, "told twice"
                found[place] = sample.value

    def __getitem__(self, name):
        """The value of the only sample of this name."""
        (value,) = self.samples[name].values()
        return value

    def at(self, name, **labels):
        """The sum over the samples with these labels."""
        found = [value for key, value in self.samples[name].items() if labels.items() <= dict(key).items()]
        assert found, f"{name} {labels}"
        return sum(found)

    def labels(self, name):
        (names,) = {tuple(sorted(name for name, _ in key)) for key in self.samples[name]}
        return names


def browser_of(hall, facts=None):
    browser = Browser(make_app(hall, Census(hall, facts or FakeFacts("n1")), no_command))
    browser.authorization = None
    return browser


@asynccontextmanager
async def open_shop():
    async with open_house() as house:
        browser = browser_of(house.hall)

        async def page(path="/metrics"):
            return Page(await browser.ask(path))

        yield house, page


async def declared(client, name, **arguments):
    await client.ask(1, methods.QueueDeclare(queue=name, arguments=arguments), methods.QueueDeclareOk)


async def busy(house):
    """A client that has done a bit of everything, and is still there."""
    client = await house.client((1, 2))
    await declared(client, "dlq")
    await declared(client, ODD, **{"x-message-ttl": 1})
    await declared(client, "q", **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"})
    await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
    for number in range(4):
        client.connection.publish(1, "", "q", b"1234", Properties(delivery_mode=2, timestamp=7 + number))
    await client.confirmed(4)
    await client.ask(1, basic.BasicConsume(queue="q", consumer_tag="c"), basic.BasicConsumeOk)
    await client.deliveries(4)
    client.connection.call(1, basic.BasicAck(1))
    client.connection.call(1, basic.BasicReject(2, requeue=False))
    await client.ask(1, basic.BasicCancel("c"), basic.BasicCancelOk)
    await client.ask(2, basic.BasicGet(queue="dlq", no_ack=True), Content)
    return client

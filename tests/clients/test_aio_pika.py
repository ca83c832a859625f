"""aio-pika, the client of asyncio programs, with the connections that mend themselves."""

import asyncio

import aio_pika
from aio_pika.patterns import RPC, Master

COUNT = 40
"""More than may be on their way at once."""


def test_a_stream_of_messages_from_node_to_node(roads):
    async def run(here, there):
        async with await aio_pika.connect_robust(here) as ours, await aio_pika.connect_robust(there) as theirs:
            publishing, consuming = await ours.channel(), await theirs.channel()
            await consuming.set_qos(prefetch_count=20)
            await publishing.declare_queue("aio.stream", durable=True)
            queue = await consuming.get_queue("aio.stream")
            for number in range(COUNT):
                message = aio_pika.Message(b"%d" % number, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await publishing.default_exchange.publish(message, "aio.stream")
            got = []
            async with queue.iterator(timeout=10) as messages:
                async for message in messages:
                    async with message.process():
                        got.append(int(message.body))
                    if len(got) == COUNT:
                        break
            assert got == list(range(COUNT))
            await queue.delete()

    for here, there in roads:
        asyncio.run(run(here, there))


def test_calls_are_answered_from_another_node(roads):
    async def double(*, number):
        return 2 * number

    async def run(here, there):
        async with await aio_pika.connect_robust(here) as ours, await aio_pika.connect_robust(there) as theirs:
            server = await RPC.create(await theirs.channel())
            await server.register("aio.double", double, auto_delete=True)
            client = await RPC.create(await ours.channel())
            assert await client.call("aio.double", {"number": 21}) == 42
            await client.close()
            await server.close()

    for here, there in roads:
        asyncio.run(run(here, there))


def test_tasks_go_to_workers(roads):
    async def run(here, there):
        done = asyncio.Queue()

        async def work(*, task):
            await done.put(task)

        async with await aio_pika.connect_robust(here) as ours, await aio_pika.connect_robust(there) as theirs:
            worker = await Master(await theirs.channel()).create_worker("aio.tasks", work, auto_delete=True)
            giver = Master(await ours.channel())
            for task in range(10):
                await giver.create_task("aio.tasks", {"task": task})
            assert sorted([await asyncio.wait_for(done.get(), 10) for _ in range(10)]) == list(range(10))
            await worker.close()

    for here, there in roads:
        asyncio.run(run(here, there))

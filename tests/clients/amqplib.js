// What a program in node does with a broker: `node amqplib.js '[["amqp://from", "amqp://to"], …]'` prints ok per road.
const assert = require('assert');
const amqp = require('amqplib');

async function travel(here, there) {
  const ours = await amqp.connect(here);
  const theirs = await amqp.connect(there);

  // confirmed publishes, consumed with a window elsewhere
  const publishing = await ours.createConfirmChannel();
  await publishing.assertQueue('node.orders', { durable: true });
  for (let number = 0; number < 100; number++) {
    publishing.sendToQueue('node.orders', Buffer.from(String(number)), { persistent: true, headers: { number } });
  }
  await publishing.waitForConfirms();
  const consuming = await theirs.createChannel();
  await consuming.prefetch(10);
  const got = [];
  await new Promise((resolve, reject) => {
    consuming.consume('node.orders', (message) => {
      got.push(message.properties.headers.number);
      consuming.ack(message);
      if (got.length === 100) resolve();
    }, { consumerTag: 'orders' }).catch(reject);
  });
  await consuming.cancel('orders');
  assert.deepStrictEqual(got, [...Array(100).keys()]);

  // routing, a message that is returned, and one that is fetched
  await publishing.assertExchange('node.topics', 'topic', { durable: false });
  const { queue } = await consuming.assertQueue('', { exclusive: true });
  await consuming.bindQueue(queue, 'node.topics', '*.green');
  const returned = new Promise((resolve) => publishing.once('return', resolve));
  publishing.publish('node.topics', 'deep.red', Buffer.from('nowhere'), { mandatory: true });
  publishing.publish('node.topics', 'deep.green', Buffer.from('here'));
  await publishing.waitForConfirms();
  assert.strictEqual((await returned).fields.replyCode, 312);
  const message = await consuming.get(queue, { noAck: true });
  assert.strictEqual(message.content.toString(), 'here');

  // an error ends its channel, not the connection
  const failing = await ours.createChannel();
  const failed = new Promise((resolve) => failing.once('error', resolve));
  await assert.rejects(failing.checkQueue('node.missing'), /NOT_FOUND - no queue 'node.missing' in vhost '\/'/);
  assert.strictEqual((await failed).code, 404);

  await consuming.deleteQueue('node.orders');
  await publishing.deleteExchange('node.topics');
  await ours.close();
  await theirs.close();
}

(async () => {
  for (const [here, there] of JSON.parse(process.argv[2])) {
    await travel(here, there);
    console.log('ok');
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

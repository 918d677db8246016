"""Consumers, watches and objects while servers are killed and leaders change: nothing is lost, no
watcher is told anything twice, and what a call returns is whole.

UNATS_SEED=n has the same again, as far as processes allow.
"""

import hashlib
import random
import threading
import time

import pytest
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, ObjectStoreConfig, StreamConfig

from support.cluster import Cluster
from support.jetstream import ENDS, READING, SOON
from support.live import Board
from support.nats_server import NatsServer
from support.peer import Peer, try_often

_MESSAGES = 400
_SIZE = 300_000

_PRELUDE = (
    READING
    + ENDS
    + """import unats.jetstream.stored, unats.jetstream.making, unats.jetstream.methods
gc.collect()
from unats.jetstream import JetStream
from unats.jetstream.kv import KeyValue
gc.collect()
from unats.jetstream.objectstore import ObjectStore
gc.collect()
js = JetStream(nc, timeout_ms=2000)
kv = KeyValue(nc, "B", timeout_ms=2000)
store = ObjectStore(nc, "O", timeout_ms=2000)
errors = set()
numbers = []

def often(f, *arguments):
    for _ in range(500):
        try:
            return f(*arguments)
        except unats.Error as e:
            errors.add(type(e).__name__)
            nc.poll(50)
    raise Late(str(errors))

def consumer(n):
    return js.consumer("S", durable="d%d" % n, ack_wait_ms=1000)

def take(msg):
    numbers.append(msg.seq)
    msg.ack()

def fetch_all(n, count):
    numbers[:] = []
    c = often(consumer, n)
    while len(set(numbers)) < count:
        often(c.fetch, 20, take, 1000)
    return sorted(set(numbers)) == list(range(1, count + 1))

def consume_all(n, count):
    numbers[:] = []
    going = often(consumer, n).consume(take, window=16)
    until(lambda: len(set(numbers)) >= count, 60)
    going.stop()
    return going.error is None and sorted(set(numbers)) == list(range(1, count + 1))

def look(entry):
    numbers.append(entry and entry.revision)

def watch_all(count):
    global w
    numbers[:] = []
    w = kv.watch(">", look, history=True)
    until(lambda: None in numbers, 60)
    w.stop()
    return w.error is None and numbers == list(range(1, count + 1)) + [None]

def get():
    sink = Sink()
    often(lambda: store.get("big", sink.write, sink.size))
    return sink.hash.digest()

def put():
    # (A name that stood in a command would be interned, and stay.)
    global puts
    name = "o%d" % puts
    puts += 1
    return name, often(lambda: store.put(name, Source(20000), 1000)).digest

puts = 0
"""
)


class Trouble(threading.Thread):
    """So often a server is killed with -9 and started again, or, where there are several, asked
    to have another one lead.
    """

    def __init__(self, seed, servers, times, cluster=None):
        super().__init__(daemon=True)
        self._random = random.Random(seed)
        self._servers, self._times, self._cluster = servers, times, cluster
        self.kills = self.leaders = 0
        self.failed = None

    def run(self):
        try:
            while self.kills + self.leaders < self._times:
                time.sleep(self._random.uniform(0.1, 0.7))
                if self._cluster is not None and self._random.random() < 0.5:
                    self._change_leader()
                else:
                    self._kill()
        except BaseException as e:
            self.failed = e

    def _kill(self):
        server = self._random.choice(self._servers)
        server.kill()
        time.sleep(self._random.uniform(0, 0.5))
        server.start()
        if self._cluster is not None:
            self._cluster.until_healthy()  # with two of three gone there would be no stream
        self.kills += 1

    def _change_leader(self):
        name = self._random.choice(["S", "KV_B", "OBJ_O"])
        urls = [server.url for server in self._servers]
        try:
            with Peer(urls, connect_timeout=1, max_reconnect_attempts=1) as peer:
                peer.request("$JS.API.STREAM.LEADER.STEPDOWN." + name, timeout=2)
            self.leaders += 1
        except (NatsError, OSError, TimeoutError):
            pass


def _fill(peer, replicas):
    """The stream, the bucket and the store; the digest of the object in there."""
    js = peer.nc.jetstream()
    data = random.Random(1).randbytes(_SIZE)

    async def fill():
        await js.add_stream(StreamConfig(name="S", subjects=["s"], num_replicas=replicas))
        bucket = await js.create_key_value(
            KeyValueConfig(bucket="B", history=64, replicas=replicas)
        )
        store = await js.create_object_store("O", ObjectStoreConfig(replicas=replicas))
        await store.put("big", data)
        for i in range(_MESSAGES):
            await js.publish("s", b"%d" % i)
            await bucket.put("k%d" % (i % 10), b"%d" % i)

    try_often(lambda: peer.run(fill()))
    return hashlib.sha256(data).digest()


def _go_through(job, seed, servers, times, cluster=None):
    urls = [server.url for server in servers]
    with Peer(urls) as peer:
        digest = _fill(peer, 3 if cluster else 1)
    board = Board("micropython", heapsize="600K")
    rounds, put = 0, {}
    try:
        board.connect(",".join(urls), **SOON)
        board(_PRELUDE)
        trouble = Trouble(seed, servers, times, cluster)
        trouble.start()
        while trouble.is_alive() or not rounds:
            if job == "get":
                assert board("get()") == digest
            elif job == "put":
                put.update([board("put()")])
            elif job == "watch":
                assert board("watch_all(%d)" % _MESSAGES), board("numbers, str(w.error)")
            else:
                assert board("%s_all(%d, %d)" % (job, rounds, _MESSAGES)), board("numbers")
            rounds += 1
        assert trouble.failed is None
        if job == "put":
            _check_objects(urls, put)
        kinds = board("sorted(errors)")
        assert board("len(nc.subscriptions)") <= 2, board("[s.subject for s in nc.subscriptions]")
    finally:
        board.stop()
    print(
        "%s: %d rounds, %d kills, %d times another leader; on the way: %s"
        % (job, rounds, trouble.kills, trouble.leaders, ", ".join(kinds) or "nothing")
    )


def _check_objects(urls, put):
    """What was put is there, whole: 200 of it at most, for nats-py makes a consumer for each one,
    and leaves it there.
    """
    with Peer(urls) as peer:
        store = peer.run(peer.nc.jetstream().object_store("O"))
        for name in random.Random(len(put)).sample(sorted(put), min(len(put), 200)):
            digest = put[name]
            found = peer.run(store.get(name))  # compares the digest
            assert (found.info.size, found.info.digest.rstrip("=")) == (20000, digest.rstrip("="))


JOBS = ["fetch", "consume", "watch", "get", "put"]


@pytest.mark.parametrize("job", JOBS)
def test_with_one_server(seed, job):
    with NatsServer(jetstream=True) as server:
        _go_through(job, seed, [server], 3)


@pytest.mark.soak
@pytest.mark.parametrize("job", JOBS)
def test_long_with_one_server(seed, job):
    with NatsServer(jetstream=True) as server:
        _go_through(job, seed, [server], 50)


@pytest.mark.soak
@pytest.mark.parametrize("job", JOBS)
def test_long_with_a_cluster(seed, job):
    with Cluster() as cluster:
        _go_through(job, seed, cluster.servers, 50, cluster)

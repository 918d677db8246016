"""What the Arduino client can, this one can: one test for each line of its interface.

And the example with which the client introduces itself, run as it is written.
"""

import pytest

from support.live import (  # noqa: F401  fixtures too
    any_board,
    connection,
    eventually,
    other,
    server,
    subject,
    subscriptions,
)
from support.ports import free_port
from support.proxy import Proxy

_PATIENCE_S = 20

_EXAMPLE = """
import unats
nc = unats.Client("nats://192.168.1.10:4222", name="greenhouse-7")
nc.subscribe("devices.greenhouse-7.led", on_led)
nc.connect()
while True:
    nc.poll(100)
    if due():
        nc.publish("sensors.greenhouse-7.temp", b"21.53")
"""


def test_the_example_as_it_is_written(any_board, server, other):
    readings = other.subscribe("sensors.>")
    any_board(
        """
class Enough(Exception):
    pass
def on_led(msg):
    got.append(msg.text)
def due():
    if got:
        raise Enough()
    return True
"""
    )
    any_board.start(_EXAMPLE.replace("192.168.1.10:4222", "127.0.0.1:%d" % server.port))
    first = readings.get(timeout=_PATIENCE_S)
    assert (first.subject, first.data) == ("sensors.greenhouse-7.temp", b"21.53")
    assert connection(server, "greenhouse-7")
    other.publish("devices.greenhouse-7.led", b"on")
    with pytest.raises(Exception) as caught:
        any_board.result()
    assert caught.value.kinds == ["Enough"]
    assert any_board("got") == ["on"]
    assert any_board("nc.drain(20000)")


def test_connect_and_on_connect(any_board, server):
    """connect(); on_connect"""
    any_board.connect(server.url)
    assert any_board("events, nc.connected") == ([("connected", None)], True)


def test_connect_without_waiting(any_board, server):
    """connect() and process()"""
    any_board("client(%r); nc.connect(wait=False)", server.url)
    assert any_board("nc.state == 'connecting'")
    any_board.until("nc.connected")
    assert any_board.events == ["connected"]


def test_disconnect_and_on_disconnect(any_board, server):
    """disconnect(); on_disconnect"""
    any_board.connect(server.url)
    any_board("nc.close()")
    assert any_board("names()[-1], nc.connected") == ("closed", False)


def test_on_disconnect_when_the_connection_is_lost(any_board, server):
    """on_disconnect"""
    with Proxy(server.port) as proxy:
        any_board.connect(proxy.url)
        proxy.cut()
        any_board.until("'disconnected' in names()")


def test_on_error(any_board, server):
    """on_error"""
    any_board("client('nats://127.0.0.1:%d'); nc.connect(wait=False)" % free_port())
    any_board.until("'error' in names()")
    assert any_board("issubclass(type(nc.last_error), OSError)")


def test_publish_text(any_board, server, other, subject):
    """publish(subject, "text"); publish(subject)"""
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board("sure(nc.publish(%r, 'text')); sure(nc.publish(%r))", subject, subject)
    assert any_board("nc.flush(20000)")
    assert [messages.get(timeout=_PATIENCE_S).data for _ in range(2)] == [b"text", b""]


def test_publish_with_a_reply_subject(any_board, server, other, subject):
    """publish(subject, "text", reply)"""
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board("sure(nc.publish(%r, 'text', 'answer.here'))", subject)
    assert any_board("nc.flush(20000)")
    assert messages.get(timeout=_PATIENCE_S).reply == "answer.here"


@pytest.mark.parametrize("on", [True, False])
def test_publish_bool(any_board, server, other, subject, on):
    """publish(subject, true)"""
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board("on = %r; sure(nc.publish(%r, b'true' if on else b'false'))", on, subject)
    assert any_board("nc.flush(20000)")
    assert messages.get(timeout=_PATIENCE_S).data == (b"true" if on else b"false")


def test_publish_formatted(any_board, server, other, subject):
    """publishf(subject, "%d at %d.%02d", ...)"""
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board(
        "p = unats.Payload(32).int(7).text(' at ').fixed(2105, 2).text(' ').hex(b'\\x0a\\xff')"
    )
    any_board("sure(nc.publish(%r, p))", subject)
    any_board("p = p.clear().text('-').fixed(-5, 3)")
    any_board("sure(nc.publish(%r, p))", subject)
    assert any_board("nc.flush(20000)")
    assert messages.get(timeout=_PATIENCE_S).data == b"7 at 21.05 0aff"
    assert messages.get(timeout=_PATIENCE_S).data == b"--0.005"


def test_subscribe_and_process(any_board, server, other, subject):
    """subscribe(subject, callback); process()"""
    any_board.connect(server.url)
    any_board("sub(%r) and None", subject)
    other.publish(subject, b"x", reply="there")
    handled = any_board("nc.poll(20000)")
    assert handled == 1
    assert any_board("got") == [(subject, b"x", "there", None)]
    assert any_board("nc.poll(0)") == 0


def test_subscribe_with_queue_and_max(any_board, server, other, subject):
    """subscribe(subject, callback, queue, max_wanted)"""
    name = "arduino-" + subject + any_board.interpreter
    any_board.connect(server.url, name=name)
    any_board("s = sub(%r, queue='group', max_msgs=2)", subject)
    assert subscriptions(server, name) == {subject: 2}
    for i in range(3):
        other.publish(subject, b"%d" % i)
    any_board.until("s.received == 2")
    assert any_board("nc.flush(20000), [data for _, data, _, _ in got]") == (True, [b"0", b"1"])
    assert subscriptions(server, name) == {}


def test_unsubscribe(any_board, server, subject):
    """unsubscribe(sid)"""
    name = "arduino-" + subject + any_board.interpreter
    any_board.connect(server.url, name=name)
    any_board("s = sub(%r)", subject)
    assert subscriptions(server, name) == {subject: 0}
    any_board("s.unsubscribe()")
    assert any_board("nc.flush(20000)")
    assert subscriptions(server, name) == {}


def test_request_with_max(any_board, server, other, subject):
    """request(subject, msg, callback, max_wanted)"""

    async def answer_twice(msg):
        await msg.respond(b"1 " + msg.data)
        await msg.respond(b"2 " + msg.data)

    other.run(other.nc.subscribe(subject, cb=answer_twice))
    other.flush()
    any_board.connect(server.url)
    any_board("sure(nc.request(%r, 'q', handler=keep, max_msgs=2))", subject)
    any_board.until("len(got) == 2")
    assert [data for _, data, _, _ in any_board("got")] == [b"1 q", b"2 q"]


@pytest.mark.parametrize("attempts", [0, 2])
def test_reconnect_attempts_and_interval(any_board, start_nats_server, attempts):
    """max_reconnect_attempts, reconnect_interval"""
    server = start_nats_server()
    any_board.connect(
        server.url, max_reconnects=attempts, reconnect_wait_ms=5, reconnect_max_wait_ms=10
    )
    server.kill()
    any_board.until("names()[-1] == 'closed'")
    assert any_board.events[:2] == ["connected", "disconnected"]
    assert any_board.events.count("error") <= attempts + 1


def test_outstanding_pings(any_board, server):
    """max_outstanding_pings, ping_interval"""
    with Proxy(server.port) as proxy:
        any_board.connect(proxy.url, ping_interval_ms=50, max_pings_out=3)
        proxy.down.swallow()
        sent = proxy.up.passed
        any_board.until("'disconnected' in names()")
        eventually(lambda: not proxy.in_use)  # it has passed on all that came
        assert proxy.up.passed - sent == 3 * len("PING\r\n")
        assert any_board("events[-1][1][0]") == "Timeout"


def test_user_and_password(any_board, start_nats_server):
    """NATS(client, host, port, user, password)"""
    server = start_nats_server('authorization { user: "u", password: "p" }\n')
    any_board.connect(server.url, user="u", password="p")
    assert (
        any_board.raised("connect(%r, user='u', password='q')", server.url).kinds[0] == "AuthError"
    )

"""The same script puts the same bytes on the wire: CPython, the Unix port, plain, 32-bit words.

What those bytes have to be is said once, after the NATS protocol's documentation:

    CONNECT {"option_name":option_value,...}
    PUB <subject> [reply-to] <#bytes>
    HPUB <subject> [reply-to] <#header bytes> <#total bytes>
    SUB <subject> [queue group] <sid>
    UNSUB <sid> [max_msgs]
"""

import json

import pytest

import wire_script
from support.interpreters import run_micropython, run_plain, run_wasm32

SCRIPT = "import wire_script\nwire_script.main()\n"
BLOCK = wire_script.BLOCK


def parse(output):
    return [
        (name, bytes.fromhex(sent))
        for name, sent in (line.split("=") for line in output.splitlines())
    ]


@pytest.fixture(scope="module")
def here():
    """The scenes on CPython."""
    return [(name, bytes(sent)) for name, sent in wire_script.Scenes().play()]


@pytest.fixture(scope="module")
def scenes(here):
    return dict(here)


def test_every_scene_has_its_own_name(here, scenes):
    assert len(here) == len(scenes) > 20


@pytest.mark.parametrize("run", [run_micropython, run_plain, run_wasm32])
def test_the_same_bytes_elsewhere(here, run, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    there = parse(run(script).check())
    assert [name for name, _ in there] == [name for name, _ in here]
    for (name, sent), (_, expected) in zip(there, here):
        assert sent == expected, name


def connect(**fields):
    """CONNECT's fields as this client sends them, if nothing else is asked for."""
    expected = {
        "verbose": False, "pedantic": False, "echo": True, "lang": "micropython", "protocol": 1,
        "headers": True, "no_responders": True, "tls_required": False,
    }  # fmt: skip
    expected.update(fields)
    return expected


def connect_of(sent):
    """The fields of CONNECT, when that, and PING, is all there is."""
    lines = sent.split(b"\r\n")
    assert lines[1:] == [b"PING", b""]
    verb, _, body = lines[0].partition(b" ")
    assert verb == b"CONNECT"
    assert len(body.split(b'"version":')) == 2
    fields = json.loads(body)
    assert fields.pop("version")
    return fields


@pytest.mark.parametrize(
    "scene, fields",
    [
        ("url 0", {}),
        ("url 1", {"user": "user", "pass": "password"}),
        ("url 2", {"user": "us@er", "pass": 'p:ss/w%rd "\\'}),
        ("url 3", {"user": "üser", "pass": "grüße"}),
        ("url 4", {"auth_token": "t0ken"}),
        ("url 5", {"auth_token": 't"kén'}),
        ("options 0", {}),
        ("options 1", {"name": "greenhouse-7"}),
        ("options 2", {"name": 'Gewächshaus "7" \\ 温室'}),
        ("options 3", {"user": "user", "pass": "password"}),
        ("options 4", {"user": 'ü"ser', "pass": "p\\ß"}),
        ("options 5", {"user": "", "pass": ""}),
        ("options 6", {"auth_token": "t0ken"}),
        ("options 7", {"auth_token": 't"ökén'}),
        ("options 8", {"verbose": True, "pedantic": True, "echo": False}),
        ("options 9", {"name": "all", "user": "u", "pass": "p", "verbose": True}),
        ("url before options", {"user": "user", "pass": "password"}),
        ("no headers", {"headers": False, "no_responders": False}),
    ],
)
def test_connect(scenes, scene, fields):
    assert connect_of(scenes[scene]) == connect(**fields)


def test_connect_to_the_byte(scenes):
    version = wire_script.unats.__version__
    assert (
        scenes["options 9"].decode()
        == (
            'CONNECT {"verbose":true,"pedantic":false,"echo":true,"name":"all","lang":"micropython","version":"%s",'  # noqa: E501
            '"protocol":1,"tls_required":false,"headers":true,"no_responders":true,"user":"u","pass":"p"}\r\nPING\r\n'
        )
        % version
    )


def test_subscribe(scenes):
    assert scenes["subscribe"] == (
        b"SUB a 1\r\nSUB b.* workers 2\r\nSUB c.> 3\r\nUNSUB 3 3\r\n"
        + "SUB größe.> 4\r\n".encode()
        + b"SUB d 5\r\nSUB e 6\r\n"
    )
    assert scenes["unsubscribe"] == b"UNSUB 5\r\nUNSUB 6 5\r\n"


def pub(subject, payload, reply=None, block=None):
    words = [subject.encode()]
    if reply:
        words.append(reply.encode())
    if block is not None:
        words.append(b"%d" % len(block))
    words.append(b"%d" % (len(block or b"") + len(payload)))
    return (
        (b"PUB " if block is None else b"HPUB ")
        + b" ".join(words)
        + b"\r\n"
        + (block or b"")
        + payload
        + b"\r\n"
    )


def test_publish(scenes):
    expected = b""
    reading = '{"t":-21.53,"n":1099511627776,"ß":"00ff"}'.encode()
    for payload in (
        b"bytes",
        b"bytearray",
        b"view",
        b"text",
        "Grüße, 温度".encode(),
        reading,
        b"",
        b"",
    ):
        expected += pub("x.y", payload)
        expected += pub("x.y", payload, "reply.to")
        expected += pub("größe", payload, "r.ß", BLOCK)
        expected += pub("x", payload, None, b"NATS/1.0\r\nKind: temp\r\n\r\n")
        expected += pub("x", b"", None, "NATS/1.0\r\nOrt: Köln\r\nOrt: b\r\n\r\n".encode())
    expected += pub("x", b"he") + pub("x", b'{"t":')
    assert scenes["publish"] == expected


def test_respond_pong_and_ping(scenes):
    sent = scenes["respond"]
    assert sent.startswith(b"SUB q 7\r\n")
    answers = pub("_INBOX.other.1", b"yes") + pub(
        "_INBOX.other.1", "ä".encode(), None, b"NATS/1.0\r\nk: v\r\n\r\n"
    )
    assert sent[len(b"SUB q 7\r\n") :] == answers + b"PONG\r\n"
    assert scenes["flush"] == b"PING\r\n"


def test_large(scenes):
    expected = b""
    for size in (20, 40, 41, 42, 43, 44, 45, 60, 64, 100, 500):
        payload = bytes(65 + i % 26 for i in range(size))
        expected += pub("x", payload) + pub("x", payload, "r", BLOCK) + b"PING\r\n"
    assert scenes["large"] == expected


def test_request(scenes):
    inbox = "_INBOX." + "*" * 22
    expected = b"SUB %s.* 1\r\n" % inbox.encode()
    expected += pub("q", b"1", inbox + ".1")
    expected += pub("q", "zwölf".encode(), inbox + ".2", b"NATS/1.0\r\nk: v\r\n\r\n")
    expected += pub("q", b"3", inbox + ".3")
    assert scenes["request"] == expected


def test_again(scenes):
    lines = b""
    for i in range(12):
        lines += b"SUB s.%d %s%d\r\n" % (i, b"q " if i % 3 == 0 else b"", i + 1)
        if i % 2:
            lines += b"UNSUB %d %d\r\n" % (i + 1, 3 if i == 1 else 5)
    queued = pub("a", b"1") + pub("b", b"2", "r", BLOCK) + pub("c", b"\r\nPUB c 3\r\n")
    connect_line, rest = scenes["again"].split(b"\r\n", 1)
    assert connect_line.startswith(b"CONNECT {")
    assert rest == lines + b"PING\r\n" + queued


def test_drain(scenes):
    sent = scenes["drain"]
    assert sent.startswith(pub("x", b"last"))
    rest = sent[len(pub("x", b"last")) :]
    unsubs = sorted(line for line in rest.split(b"\r\n") if line.startswith(b"UNSUB"))
    assert unsubs == [b"UNSUB 1", b"UNSUB 2"]
    assert rest.endswith(b"PING\r\n")

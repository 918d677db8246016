"""The page of a fleet in a real browser, with boards that run and a server that is killed."""

import json
import subprocess
import sys
import time

import pytest

from support.javascript import Browser
from support.live import PATIENCE_S, seldom
from support.peer import Peer
from tools.run.simulation import Board
from tools.toolchain import ROOT, ToolError
from tools.web.page import Page

CONFIG = """
websocket { listen: "127.0.0.1:%d", no_tls: true }
"""


@pytest.fixture
def server(start_fleet_server, port):
    return start_fleet_server(CONFIG % port)


@pytest.fixture
def start_board(server, tmp_path):
    boards = []

    def start(name, **settings):
        (tmp_path / name).mkdir()
        settings = {"presence_s": 5, "config": True, "logs": True, "period_s": 0.5, **settings}
        board = Board(name, tmp_path / name, server.url, "320K", outbox="stream", **settings)
        boards.append(board)
        return board

    yield start
    for board in boards:
        board.stop()


@pytest.fixture(scope="module")
def chromium():
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(server, port, chromium):
    """The browser, with the page of the server."""
    with Page(f"ws://127.0.0.1:{port}") as page:
        chromium("errors.length = 0; await page.goto(%s)", page.url)
        yield Look(chromium)
        chromium("await page.goto('about:blank')")


class Look:
    """What there is to be seen on the page."""

    def __init__(self, chromium):
        self.run = chromium

    def text(self, selector):
        """The text of an element, or None."""
        return self.run(
            "return await page.$eval(%s, (found) => found.textContent).catch(() => null)", selector
        )

    def sees(self, selector, *words):
        """Wait until the text of an element has these words."""

        def there():
            text = self.text(selector)
            return text if text and all(word in text for word in words) else None

        return seldom(there, f"no {words} in {selector}: {self.text(selector)}")

    def click(self, selector):
        self.run("await page.$eval(%s, (found) => found.click())", selector)

    def type(self, selector, text):
        self.run("await page.$eval(%s, (found) => { found.value = ''; })", selector)
        self.run("await page.type(%s, %s)", selector, text)

    @property
    def errors(self):
        """What the page has complained of."""
        return self.run("return errors")


def look_after(browser, board):
    """Open a board, switch its LED, set its period, and read its logs and charts."""
    card = f'[data-name="{board.name}"]'
    browser.sees(card, "up", "temp", "°C", "heap", "KB")
    browser.click(card)
    browser.sees("#facts", "version0.2.0", "address127.0.0.1", "LEDoff", "waiting0")
    browser.click("#led")
    browser.sees("#answer", "on (", "ms)")
    assert board.lit
    browser.type("[name=field]", "period_s")
    browser.type("[name=value]", "0.2")
    browser.click("#settings button")
    browser.sees('[data-field="period_s"] .is', "0.2")
    browser.sees("#logs", "connected", "set from afar: period_s")
    seldom(lambda: browser.run("return (await page.$$('#charts canvas')).length") == 4)


def test_a_board_is_shown_switched_set_and_read(browser, start_board):
    board = start_board("greenhouse-7")
    look_after(browser, board)
    browser.sees("#count", "1 of 1 up")
    browser.type("[name=value]", "-1")
    browser.click("#settings button")
    browser.sees('[data-field="period_s"] .error', "must be between")
    browser.click("#close")
    assert browser.run("return await page.$eval('#detail', (found) => found.hidden)")
    assert browser.errors == []


def test_it_survives_the_servers_death_and_shades_the_outage(browser, start_board, server):
    start_board("a")
    browser.sees('[data-name="a"]', "up", "now")
    browser.click('[data-name="a"]')
    browser.sees("#charts", "temp")
    server.kill()
    browser.sees("#link", "disconnected")
    time.sleep(5)
    server.start()
    browser.sees("#link", "connected")
    browser.sees('[data-name="a"] .age', "now")
    browser.sees("#logs", "disconnected")
    lines = "return await page.$$eval('#logs li', (found) => found.map((li) => li.textContent))"
    time.sleep(1)
    told = [line for line in browser.run(lines) if "disconnected" in line]
    assert len(told) == 1, told
    # One for the server's, and one more if the board's presence has ended meanwhile.
    shades = "[data-kind=temp][data-shades]:not([data-shades='0'])"
    seldom(lambda: browser.run("return Boolean(await page.$(%s))", shades))
    complaints = [text for text in browser.errors if "WebSocket connection to" not in text]
    assert complaints == []  # the browser itself says that the server is away


def test_a_board_that_dies_is_seen_to(browser, start_board):
    board = start_board("a")
    browser.sees('[data-name="a"] .state', "up")
    board.kill()
    browser.sees('[data-name="a"] .state', "away")
    browser.sees("#count", "0 of 1 up")


def test_an_update_is_followed(browser, server):
    with Peer(server.url) as peer:

        def told(**fields):
            text = json.dumps(dict({"value": "0.2.0", "revision": 5}, **fields))
            peer.run(peer.nc.publish("$KV.config.a.reported.version", text.encode()))

        told()
        browser.sees('[data-name="a"]', "away")
        browser.click('[data-name="a"]')
        hidden = "return await page.$eval('#update', (found) => found.hidden)"
        assert browser.run(hidden)
        for fields, text in (
            ({"progress": 40}, "40 %"),
            ({"waiting": "not connected", "progress": 40}, "not connected"),
            ({"value": "0.2.1", "trial": True}, "on trial"),
            ({"error": "0.2.1: it ended twice"}, "0.2.1: it ended twice"),
        ):
            told(**fields)
            browser.sees("#update", "update: " + text)
            assert not browser.run(hidden)
        told(value="0.2.2")
        browser.sees("#facts", "version0.2.2")
        seldom(lambda: browser.run(hidden))
        assert browser.errors == []


def test_200_boards_on_a_phone(browser, server):
    with Peer(server.url) as peer:
        for i in range(200):
            told = {"state": "up", "every_s": 30, "ttl_s": 40, "version": "0.2.0"}
            peer.run(peer.nc.publish(f"$KV.presence.board-{i:03}", json.dumps(told).encode()))
        browser.run("await page.setViewport({ width: 375, height: 700 })")
        browser.sees("#count", "200 of 200 up")
        for seq in range(3):
            for i in range(200):
                reading = b'{"v":%d,"seq":%d,"up":%d,"boot":1}' % (i, seq + 1, seq)
                peer.run(peer.nc.publish(f"sensors.board-{i:03}.temp", reading))
        browser.sees('[data-name="board-199"]', "temp", "199 °C")
        browser.type("#filter", "board-07")
        visible = "return (await page.$$('.board:not([hidden])')).length"
        seldom(lambda: browser.run(visible) == 10)
        browser.click('[data-name="board-077"]')
        width = browser.run("return await page.evaluate(() => document.body.scrollWidth)")
        assert width <= 375
        browser.run("await page.setViewport({ width: 1200, height: 800 })")
        assert browser.errors == []


def test_what_a_board_calls_itself_is_text(browser, server):
    browser.sees("#link", "connected")
    with Peer(server.url) as peer:
        name = "<img/src=x/onerror=alert(1)"
        peer.publish(f"sensors.{name}.temp", b'{"v":"<b>x","seq":1,"up":1}')
        peer.publish("sensors.a.<i/kind", b'{"v":1,"seq":1,"up":1}')
        peer.publish("sensors.a.temp", b"no json")
        peer.publish("$KV.presence.a", b"[3")
        browser.sees(".board b", "<img/src=x/onerror=alert(1)")
        browser.sees('[data-name="a"]', "<i/kind")
        assert browser.run("return await page.$('img')") is None
        assert browser.errors == []


def test_the_command(port):
    command = [sys.executable, "-m", "tools.web", "--server"]
    process = subprocess.Popen(
        [*command, f"ws://127.0.0.1:{port}", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "the fleet is at http://127.0.0.1:" in process.stdout.readline()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stdout.close()
    done = subprocess.run([*command, "nats://x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "ws://host:port" in done.stderr
    done = subprocess.run(command[:-1], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "make web SERVER=ws://" in done.stderr
    with pytest.raises(ToolError):
        Page("ws://x", creds="no-such-file")

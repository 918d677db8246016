"""What server and client say of themselves when they meet: INFO and CONNECT."""

from json import loads

from micropython import const

VERSION = "0.1.0"

_POS = const(0)  # the frame: see scanner.py
_END = const(1)
_MAX_INFO = const(65536)
_MAX_URLS = const(16)


class Info:
    """What the server said of itself in INFO; also by subscript. Zero or empty: not said.

    It may be longer than the receive buffer, so it is read field by field: up to every comma.
    """

    def __init__(self, buf, frame):
        self._buf = buf
        self._frame = frame
        self.reset()

    def reset(self):
        """A new server."""
        self.server_name = self.version = self.nonce = ""
        self.max_payload = self.client_id = 0
        self.headers = self.jetstream = self.ldm = self.tls_required = False
        self.connect_urls = []  # host:port of the cluster's other servers, as far as they are kept
        self._in_urls = False
        self._size = self._level = 0  # read so far; nesting of the JSON: 1 is the object's own
        self._in_string = self._begun = False  # a comma was in one; the object has begun

    @property
    def name(self):
        """The server's name."""
        return self.server_name

    def __getitem__(self, name):
        return getattr(self, name)

    def read(self):
        """Read on in the receive buffer: 9 all of it; 0 more is needed; below 0, see `framer`."""
        f = self._frame
        while True:
            line = self._buf.find(b"\r", f[_POS], f[_END])
            end = self._buf.find(b",", f[_POS], f[_END])
            if line >= 0 and not 0 <= end < line:
                end = line
                if line + 1 == f[_END]:
                    return 0
            if end < 0:
                self._skip_blanks()
                return 0 if self._size < _MAX_INFO else -5
            try:
                self.take(bytes(memoryview(self._buf)[f[_POS] : end]))
            except ValueError:
                pass  # a comma within a string, or brackets, made it no field
            except MemoryError:
                return -6
            self._consume(end + 1)
            if end == line:
                return self._end(line)

    def _end(self, line):
        whole = self._begun and self._level == 0 and not self._in_string
        self._size = self._level = 0
        self._begun = self._in_string = False
        if self._buf[line + 1] != 10:
            return -3
        self._consume(line + 2)
        self._size = 0
        while self._buf[line - 1] in b" \t":
            line -= 1
        return 9 if whole and self._buf[line - 1] == 125 else -2

    def _consume(self, end):
        self._size += end - self._frame[_POS]
        self._frame[_POS] = end

    def _skip_blanks(self):
        f = self._frame
        at = f[_POS]
        while at < f[_END] and self._buf[at] in b" \t":
            at += 1
        self._consume(at)

    def shorten(self):
        """The buffer is full of one field, which is none of those wanted: forget it. True."""
        f = self._frame
        end = f[_END]
        while self._buf[end - 1] == 92 and end > f[_POS] + 64:  # perhaps half of an escape
            end -= 1
        self.pass_over(bytes(memoryview(self._buf)[f[_POS] : end]))
        self._consume(end)
        return True

    def take(self, field):
        """Keep one `"key":value` of the JSON (bytes), if it is one of those in `__init__`."""
        opening = field.lstrip()[:1] == b"{"
        self._begun = self._begun or opening
        level = self._level + opening
        if not self.pass_over(field):
            return
        if self._in_urls or (level == 1 and b'"connect_urls"' in field):
            self._take_urls(field)
        elif level == 1:
            field = field.strip(b" \t\r{}")
            key = field[1 : field.find(b'"', 1)].decode()
            if key in self.__dict__ and key[0] != "_":
                value = loads(b"{" + field + b"}").get(key)
                if type(value) is type(self.__dict__[key]):
                    setattr(self, key, value)

    def _take_urls(self, field):
        """Take the strings of the list `connect_urls` that are in this field."""
        start = 0
        if not self._in_urls:
            self.connect_urls = []
            start = field.find(b"[") + 1
        for url in field[start:].split(b'"')[1::2]:
            if len(self.connect_urls) < _MAX_URLS:
                self.connect_urls.append(url.decode())
        self._in_urls = b"]" not in field[max(start, field.rfind(b'"')) :]

    def pass_over(self, part):
        """Keep track of strings and nesting over a part of the JSON; whether it began outside."""
        parts = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = not self._in_string
        brackets = b"".join(parts[0 if outside else 1 :: 2])
        self._level += brackets.count(b"{") - brackets.count(b"}")
        if len(parts) % 2 == 0:
            self._in_string = outside
        return outside


def connect_line(client, server, info):
    """CONNECT for this server (bytes), its fields in an order that is the same everywhere."""
    user, password, token, auth = client._credentials
    if server.user is not None:
        user, password, token = server.user, server.password, None
        if password is None:
            user, token = None, user
    fields = client._options + (
        ("lang", "micropython"), ("version", VERSION), ("protocol", 1),
        ("headers", info.headers), ("no_responders", info.headers), ("tls_required", False),
        ("user", user), ("pass", password), ("auth_token", token),
    )
    if auth is not None:
        fields += tuple(auth(info.nonce))
    pairs = ['"%s":%s' % (key, quoted(value)) for key, value in fields if value is not None]
    return ("CONNECT {" + ",".join(pairs) + "}\r\n").encode()


def quoted(value):
    """A JSON string, number or boolean, the same on every port; str or bytes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else bytes(value).decode()
    if text and min(text) < " ":
        raise ValueError("name and credentials: no control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

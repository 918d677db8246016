"""What server and client say of themselves when they meet: INFO and CONNECT."""

from json import loads

from micropython import const

from .errors import AuthError, Error, ServerError
from .octets import utf8

VERSION = "0.1.0"

_POS = const(0)  # the frame: see scanner.py
_END = const(1)
_MAX_INFO = const(65536)
_MAX_URLS = const(16)
_MAX_URL = const(261)  # a name of 255 characters, and a port


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
        self.headers = self.jetstream = self.ldm = False
        self.tls_required = self.tls_available = False
        self.connect_urls = []  # host:port of the cluster's other servers, as far as they are kept
        self._in_urls = self._new_urls = False  # within the list; it came since it was last looked at
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
            except (ValueError, RuntimeError):
                pass  # a comma within a string, or brackets, made it no field; or it is too deep
            except MemoryError:
                return -6
            self._consume(end + 1)
            if end == line:
                return self._end(line)

    def _end(self, line):
        whole = self._begun and self._level == 0 and not self._in_string
        self._size = self._level = 0
        self._begun = self._in_string = self._in_urls = False
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
        level = self._level + opening
        if not self.pass_over(field):
            return
        if self._in_urls:
            self._take_urls(field, 0)
        elif level == 1 and b'"connect_urls"' in field:
            if field.split(b":", 1)[-1].lstrip()[:1] == b"[":
                self.connect_urls = []
                self._new_urls = True
                self._take_urls(field, field.find(b"[") + 1)
        elif level == 1:
            field = field.strip(b" \t\r{}")
            key = field[1 : field.find(b'"', 1)].decode()
            if key in self.__dict__ and key[0] != "_":
                value = loads(b"{" + field + b"}").get(key)
                if type(value) is type(self.__dict__[key]):
                    setattr(self, key, value)

    def _take_urls(self, field, start):
        """Take the strings of the list `connect_urls` that are in this field, from start on."""
        for url in field[start:].split(b'"')[1::2]:
            if len(self.connect_urls) < _MAX_URLS and 0 < len(url) <= _MAX_URL:
                if 32 < min(url) and max(url) < 127 and 92 not in url:  # 92: an escape
                    self.connect_urls.append(url.decode())
        self._in_urls = b"]" not in field[max(start, field.rfind(b'"')) :]

    def pass_over(self, part):
        """Keep track of strings and nesting over a part of the JSON; whether it began outside."""
        parts = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = not self._in_string
        self._begun = self._begun or part.lstrip()[:1] == b"{"
        brackets = b"".join(parts[0 if outside else 1 :: 2])
        self._level += brackets.count(b"{") - brackets.count(b"}")
        if len(parts) % 2 == 0:
            self._in_string = outside
        return outside


def connect_line(client, server, info):
    """CONNECT for this server (bytes), its fields in an order that is the same everywhere."""
    user, password, token, auth = client._credentials
    if server.user is not None:  # of the URL: for this server alone, and then nothing else
        user, password, token, auth = server.user, server.password, None, None
        if password is None:
            user, token = None, user
    fields = client._options + (
        ("lang", "micropython"), ("version", VERSION), ("protocol", 1),
        ("headers", info.headers), ("no_responders", info.headers),
        ("tls_required", hasattr(client._transport, "secure")),
        ("user", user), ("pass", password), ("auth_token", token),
    )
    if auth is not None:
        fields += _added(tuple(auth(info.nonce)), fields)
    pairs = ['"%s":%s' % (key, _literal(value)) for key, value in fields if value is not None]
    return ("CONNECT {" + ",".join(pairs) + "}\r\n").encode()


def check(name, user, password, token, auth):
    """ValueError if these arguments of the client can not be used."""
    for text in (name, user, password, token):
        if text is not None:
            quoted(text)  # ValueError
    if auth is not None and (not callable(auth) or (user, password, token) != (None, None, None)):
        raise ValueError("auth: give credentials of unats.auth, and no user, password and token beside")


def secure(transport, info, ahead):
    """INFO has come, and `ahead` bytes behind it: begin with TLS if the transport has it. True.

    Error: the server requires it, or it cannot be.
    """
    if hasattr(transport, "secure"):
        transport.secure(info, ahead)
    elif info.tls_required:
        raise Error("this server requires TLS: give tls=unats.tls.Tls(ca=...)")
    return True


def _added(pairs, fields):
    """What `auth` returned, if it adds to CONNECT and changes nothing that is there."""
    names = [name for name, value in fields if value is not None]
    for key, value in pairs:
        if not isinstance(key, str) or not key.replace("_", "").isalpha() or key in names:
            raise AuthError("auth: its keys must be names of CONNECT's fields that are not set otherwise")
        if value is not None:
            quoted(value)  # ValueError
        names.append(key)
    return pairs


def _literal(value):
    return str(value).lower() if isinstance(value, (bool, int)) else quoted(value)


def refused(error):
    """What to report when `auth` failed. Only an AuthError is told as it is: others may quote secrets."""
    if isinstance(error, AuthError):
        return error
    if isinstance(error, MemoryError):
        return Error("out of memory for the credentials")
    text = type(error).__name__
    if isinstance(error, ImportError):
        text += ": %s" % error
    elif isinstance(error, OSError):
        text += " %s" % error.errno
    found = AuthError("the credentials could not be made: %s (see .cause)" % text)
    found.cause = error
    return found


def server_error(text):
    """What to report of the server's -ERR."""
    if text.lower().split(" ", 1)[0] in ("authorization", "authentication", "user", "account"):
        return AuthError(text)
    error = ServerError(text)
    if text.startswith("Permissions Violation for "):
        error.operation = "publish" if text.startswith("Publish", 26) else "subscribe"
        # The subject is quoted as Go's %q does it, with \\ and \".
        parts = text.replace("\\\\", "\0").replace('\\"', "\1").split('"')
        if len(parts) > 2:
            error.subject = parts[1].replace("\1", '"').replace("\0", "\\")
    return error


def quoted(value):
    """A JSON string, the same on every port, of str or bytes. ValueError: it can be none; quotes nothing."""
    text = None
    try:
        if isinstance(value, (str, bytes, bytearray, memoryview)):
            text = utf8(value if isinstance(value, str) else bytes(value).decode()).decode()
    except ValueError:
        pass  # what it says quotes some of it
    if text is None or text and (min(text) < " " or "\x7f" in text):
        raise ValueError("name and credentials: give str or bytes, UTF-8 without control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Who we are: credentials for `Client(auth=...)`, under the names that nats.go gives them.

    from unats import auth
    nc = unats.Client(url, auth=auth.UserCredentials("/device.creds"))

    UserInfo(user, password)   Token(token)
    Nkey(seed)                 the server knows the public key
    UserJWT(jwt, seed)         UserCredentials(creds)      operator mode
    Callback(f)                f() returns any of these (or None), anew for every connection

Seed, JWT and creds are bytes-like, or a str: the path of a file; with comments, decorations and
more, if they have these (see `find`). A file is read at every connection, so that a renewed one is
picked up, and what was read of it is overwritten afterwards. What is given as a bytearray is not
copied: whoever gave it, or `wipe()`, overwrites it, and then it is of no more use. Out of reach
are bytes objects, the file system's own buffers and the numbers that signing went through.

Each object is called by the client with the nonce of the server's INFO, and returns what to add to
CONNECT, (key, value) pairs. A call allocates. What is wrong with the credentials is an AuthError
that says what to do; it ends that attempt to connect and nothing else.

Signing happens inside `poll()`, which takes that much longer: on a 133 MHz board perhaps a second
or two (not measured; `tools/bench_nkey.py` counts the operations). The watchdog's time must allow
for it, and so must the server, which by default waits 2 s for CONNECT
(`authorization { timeout: 10 }`). The arithmetic is loaded for that and released at once: it takes
24 KB of heap (64-bit words) meanwhile.
"""

import gc
from hashlib import sha256

from micropython import const

from unats.errors import AuthError
from unats.servers import quoted

_MAX_FILE = const(16384)  # a JWT must fit a control line of the server's, which is 4 KB by default
_MAX_NONCE = const(128)  # a nats-server's has 15 characters
_NONCE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="
_SPACE = b" \t\r\n"
_SEED_LEAST = const(40)  # a line shorter than this is no damaged seed, but text


def added(auth, nonce, fields):
    """What `auth` adds to CONNECT's fields for a server's nonce. AuthError: it failed, or it
    changes what is there.

    Only an AuthError is told as it is: others may quote secrets.
    """
    try:
        pairs = tuple(auth(nonce))
        names = [name for name, value in fields if value is not None]
        for key, value in pairs:
            if not isinstance(key, str) or not key.replace("_", "").isalpha() or key in names:
                raise AuthError(
                    "auth: its keys must be names of CONNECT's fields that are not set otherwise"
                )
            if value is not None:
                quoted(value)  # ValueError
            names.append(key)
        return pairs
    except (AuthError, MemoryError):
        raise
    except Exception as e:
        text = type(e).__name__
        if isinstance(e, ImportError):
            text += ": %s" % e
        elif isinstance(e, OSError):
            text += " %s" % e.errno
        error = AuthError("the credentials could not be made: %s (see .cause)" % text)
        error.cause = e
    raise error


class UserInfo:
    """A user's name and password, str or bytes."""

    def __init__(self, user, password):
        quoted(user), quoted(password)  # ValueError
        self._pairs = ("user", user), ("pass", password)

    def __call__(self, nonce):
        return self._pairs


class Token:
    """A token, str or bytes."""

    def __init__(self, token):
        quoted(token)
        self._pairs = (("auth_token", token),)

    def __call__(self, nonce):
        return self._pairs


class _Secret:
    """Bytes that are kept, or the path of a file that holds them."""

    def __init__(self, what, source):
        self._what = what
        self._kept = self._path = None
        if isinstance(source, str):
            self._path = _path(what, source)
        elif isinstance(source, (bytes, memoryview)):
            self._kept = bytearray(source)
        elif isinstance(source, bytearray):
            self._kept = source
        else:
            raise ValueError("%s: give the path of a file (str), or bytes or a bytearray" % what)

    def read(self):
        """What it is, a bytearray; `done` with it must follow. AuthError."""
        if self._path is None:
            if not any(self._kept):
                raise AuthError("%s: has been wiped, or is empty" % self._what)
            return self._kept
        try:
            return self._read()
        except OSError as e:
            if isinstance(e, AuthError):
                raise
            text = "%s: cannot read the file %s (error %s): is it on the board?"
            raise AuthError(text % (self._what, self._path, e.errno))

    def _read(self):
        with open(self._path, "rb") as file:
            size = file.seek(0, 2)
            if not 0 < size <= _MAX_FILE:
                text = "%s: the file %s has %d bytes: 1 to %d are right"
                raise AuthError(text % (self._what, self._path, size, _MAX_FILE))
            file.seek(0)
            raw = bytearray(size)
            file.readinto(raw)
        return raw

    def find(self, raw, jwt=False):
        """`find` in what was read; AuthError."""
        try:
            return find(raw, jwt)
        except ValueError as e:
            raise AuthError("%s: %s" % (self, e))

    def __str__(self):
        """What it is, and of which file."""
        return self._what if self._path is None else "%s: the file %s" % (self._what, self._path)

    def done(self, raw):
        """Overwrite what was read from a file."""
        if raw is not self._kept:
            _zero(raw)

    def wipe(self):
        """Overwrite what is kept."""
        if self._kept is not None:
            _zero(self._kept)


def _path(what, text):
    """The path, unless it looks as if it were the secret itself."""
    seed = len(text) == 58 and text[0] == "S"
    if (
        seed
        or len(text) > 255
        or text.strip()[:3] == "---"
        or (text[:2] == "ey" and text.count(".") == 2)
    ):
        raise ValueError(
            "%s: a str is the path of a file; give the %s itself as bytes" % (what, what)
        )
    if not text or "\0" in text:
        raise ValueError("%s: the path of its file is empty, or holds a NUL" % what)
    return text


def _zero(secret):
    for i in range(len(secret)):
        secret[i] = 0


class _Signer:
    """Signs nonces, and remembers the public key, which takes as long to find as a signature.

    It may only be used with its own seed: a signature with another's public key would give the
    seed away. So it is kept with the seed's SHA-256.
    """

    def __init__(self):
        self._seed = self._point = None

    def sign(self, secret, raw, nonce):
        """Public key and signature, both str; raw: what was read of the secret, which has the
        seed. AuthError. Allocates.
        """
        _check_nonce(nonce)
        start, end = secret.find(raw)
        seed = bytearray(memoryview(raw)[start:end])
        gc.collect()
        from . import nkey

        key = None
        try:
            key = nkey.from_seed(seed)
            if key.kind != "user":
                text = "%s: the seed is of an NKey for a %s; a user's (SU...) is needed"
                raise AuthError(text % (secret, key.kind))
            return self._sign(key, sha256(seed).digest(), nonce)
        except ValueError as e:
            raise AuthError("%s: %s" % (secret, e))
        finally:
            _zero(seed)
            if key is not None:
                key.wipe()
            nkey.release()
            gc.collect()

    def _sign(self, key, digest, nonce):
        if digest == self._seed:
            key.point = self._point
        pair = key.public, key.signature(nonce)
        self._seed, self._point = digest, key.point
        return pair


def _check_nonce(nonce):
    """A server may have anything signed; let it at least be nothing that means something
    elsewhere.
    """
    if not nonce:
        raise AuthError(
            "the server asks for no signature (no nonce in INFO): no NKeys or JWTs are configured,"
            " or rx_size is too small for its INFO"
        )
    if len(nonce) > _MAX_NONCE:
        raise AuthError("the server's nonce has more than %d characters" % _MAX_NONCE)
    for c in nonce:
        if c not in _NONCE:
            raise AuthError("the server's nonce is not base64")


class Nkey:
    """An NKey, by its seed (`SU...`)."""

    def __init__(self, seed):
        self._seed = _Secret("seed", seed)
        self._signer = _Signer()

    def __call__(self, nonce):
        seed = self._seed.read()
        try:
            public, signature = self._signer.sign(self._seed, seed, nonce)
        finally:
            self._seed.done(seed)
        return ("nkey", public), ("sig", signature)

    def check(self):
        """Raises what `find` has against the seed's file, as an AuthError. Allocates."""
        raw = self._seed.read()
        try:
            self._seed.find(raw)
        finally:
            self._seed.done(raw)

    def wipe(self):
        """Overwrite the seed, if it is kept here."""
        self._seed.wipe()


class UserJWT:
    """A user's JWT, and the seed of the NKey that it is for (None: it is a bearer token)."""

    def __init__(self, jwt, seed=None):
        self._jwt = _Secret("JWT", jwt)
        self._seed = None if seed is None else _Secret("seed", seed)
        self._signer = _Signer()

    def __call__(self, nonce):
        raw = self._jwt.read()
        try:
            start, end = self._jwt.find(raw, True)
            jwt = _jwt(raw, start, end)
        finally:
            self._jwt.done(raw)
        if self._seed is None:
            return (("jwt", jwt),)
        seed = self._seed.read()
        try:
            return _pairs(jwt, self._signer.sign(self._seed, seed, nonce))
        finally:
            self._seed.done(seed)

    def wipe(self):
        """Overwrite JWT and seed, if they are kept here."""
        self._jwt.wipe()
        if self._seed is not None:
            self._seed.wipe()


class UserCredentials:
    """A `.creds` file, as nsc and `tools/nats_jwt.py` write it: a user's JWT and seed."""

    def __init__(self, creds):
        self._creds = _Secret("creds", creds)
        self._signer = _Signer()

    def __call__(self, nonce):
        raw = self._creds.read()
        try:
            return self._use(raw, nonce)
        finally:
            self._creds.done(raw)

    def _use(self, raw, nonce):
        start, end = self._creds.find(raw, True)
        jwt = _jwt(raw, start, end)
        return _pairs(jwt, self._signer.sign(self._creds, raw, nonce))

    def claims(self):
        """What the JWT says, a dict; nobody verified it. AuthError as `find` has it, or because
        it is damaged. Allocates.
        """
        from json import loads

        raw = self._creds.read()
        try:
            self._creds.find(raw)
            start, end = self._creds.find(raw, True)
            try:
                claims = loads(_claims(_jwt(raw, start, end)).decode())
            except (ValueError, AuthError):
                claims = None
        finally:
            self._creds.done(raw)
        if not isinstance(claims, dict):
            raise AuthError("%s: its JWT is damaged: give the whole file anew" % self._creds)
        return claims

    def wipe(self):
        """Overwrite them, if they are kept here."""
        self._creds.wipe()


class Callback:
    """Fresh credentials: f() is called at every attempt to connect, and returns any of the others.

    It runs inside `poll()`, and must not wait for the network. None: no credentials this time. If
    it raises an AuthError that is what is reported; of any other exception only the name is, since
    its text may quote a secret (`error.cause` is the exception).
    """

    def __init__(self, f):
        if not callable(f):
            raise ValueError(
                "Callback: give a function without arguments that returns credentials"
            )
        self._f = f

    def __call__(self, nonce):
        found = self._f()
        if found is None:
            return ()
        if isinstance(found, Callback) or not callable(found):
            raise AuthError(
                "Callback: its function must return credentials of unats.auth, or None"
            )
        return found(nonce)


def _pairs(jwt, signed):
    """CONNECT's fields; AuthError if the JWT is for another key than the one that signed."""
    public, signature = signed
    if public.encode() not in _claims(jwt):
        raise AuthError("seed: the JWT is for another key; take both from the same .creds file")
    return ("jwt", jwt), ("sig", signature)


def _claims(jwt):
    """The JSON in a JWT, as bytes."""
    from binascii import a2b_base64

    text = jwt.split(".")[1].replace("-", "+").replace("_", "/")
    try:
        return a2b_base64((text + "=" * (-len(text) % 4)).encode())
    except ValueError:
        raise AuthError("JWT: its middle part is not base64: is it damaged?")


def _jwt(raw, start, end):
    """The JWT raw[start:end] as str. (It is no secret: it says what its holder may do.)"""
    for i in range(start, end):
        if not 44 < raw[i] < 123:
            raise AuthError("JWT: character %d cannot be in one: is it damaged?" % (i - start + 1))
    text = bytes(memoryview(raw)[start:end]).decode()
    if text[:2] != "ey" or text.count(".") != 2:
        raise AuthError("JWT: it must begin with ey and have three parts: is it damaged?")
    return text


def find(raw, jwt=False):
    """Where the seed lies in the bytes of a `.creds` or seed file, or the JWT: (start, end).

    It is the first such line below a line that begins with --- ; without one, the first anywhere.
    So nkeys does it (creds_utils.go), whatever those lines are titled; a byte order mark,
    comments, blank lines, the ends of lines and the public key do not matter. Whether it is sound
    is not looked at. ValueError: there is none. Allocates little; copies no more than three bytes
    of a line.
    """
    found = None
    fence = False
    at = 3 if raw[:3] == b"\xef\xbb\xbf" else 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        start, stop = _trim(raw, at, end)
        at = end + 1
        if start == stop:
            continue
        if _is_wanted(raw, start, stop, jwt):
            if fence:
                return start, stop
            found = found or (start, stop)
        fence = raw[start : start + 3] == b"---"
    if found is None:
        raise ValueError(
            "there is no %s in it: is it cut off? Give the whole file, saved as UTF-8"
            % ("JWT (a line ey...)" if jwt else "seed (a line SU...)")
        )
    return found


def _is_wanted(raw, start, stop, jwt):
    """Whether a line looks like a JWT, or else like a seed."""
    if raw.find(b" ", start, stop) >= 0:
        return False
    if jwt:
        dot = raw.find(b".", start, stop)
        return raw[start : start + 2] == b"ey" and raw.find(b".", dot + 1, stop) > dot > 0
    return raw[start] == 83 and stop - start >= _SEED_LEAST  # S


def _trim(raw, start, end):
    while start < end and raw[start] in _SPACE:
        start += 1
    while start < end and raw[end - 1] in _SPACE:
        end -= 1
    return start, end

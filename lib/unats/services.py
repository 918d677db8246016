"""Services (ADR-32): endpoints that answer requests, and can be found, asked and counted by
`nats micro ls` and the services clients of other languages.

    service = Service(nc, "thermostat", "1.0.0", "keeps it warm", {"place": "greenhouse-7"})
    service.endpoint("set", on_set, subject="devices.greenhouse-7.set")

    def on_set(msg):
        if not msg.data.isdigit():
            raise ServiceError(400, "send a number of degrees")
        set_to(msg.to_int())
        msg.respond(b"ok")

Works before connecting, and over reconnects, as subscriptions do. Requests are handled by
`poll()`; all of this allocates.
"""

import json

import utime

from unats.checks import check, check_subject
from unats.nuid import unique

_TYPE = "io.nats.micro.v1.%s_response"
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class ServiceError(Exception):
    """Raised by a handler: the request is answered with this code and text, in two headers."""

    def __init__(self, code, text):
        check("code", code, 1)
        super().__init__("%d: %s" % (code, text))
        self.code, self.text = code, text


class Service:
    """A service of that name (letters, digits, - and _) and version ("1.2.3"). `id`: this one's.

    metadata: a dict of str. `stopped`: whether `stop` was called. ValueError: a bad argument.
    """

    def __init__(self, nc, name, version, description="", metadata=None):
        _check_name(name, "name")
        if not isinstance(version, str) or not _is_version(version):
            raise ValueError("version: give it like 1.2.3")
        if not isinstance(description, str):
            raise ValueError("description: give a str")
        self._nc = nc
        self._about = {
            "name": name, "id": unique(), "version": version, "metadata": _checked(metadata)
        }  # fmt: skip
        self._description = description
        self._started = _now()
        self._endpoints = []
        self.stopped = False
        tail = ".%s.%s" % (name, self.id)
        self._subs = [
            nc.subscribe("$SRV.*" + end, self._on_question) for end in ("", "." + name, tail)
        ]

    @property
    def id(self):
        return self._about["id"]

    def endpoint(self, name, handler, subject=None, queue="q", metadata=None):
        """Call handler(msg) for requests on the subject (None: the endpoint's name); returns the
        `Endpoint`.

        queue: among the services with the same one and subject each request is handled by one;
        None: by all. What the handler raises is counted, and answered with the code 500.
        """
        _check_name(name, "name")
        if not callable(handler):
            raise ValueError("handler: give a function of one argument, the message")
        subject = check_subject(name if subject is None else subject, True)
        endpoint = Endpoint(name, handler, subject, queue, _checked(metadata))
        endpoint.sub = self._nc.subscribe(subject, endpoint.on_request, queue)
        self._endpoints.append(endpoint)
        return endpoint

    def group(self, prefix, queue="q"):
        """What has `endpoint`, too, for subjects below this prefix, and `group`."""
        return Group(self, check_subject(prefix), queue)

    def reset(self):
        """Count from 0 again."""
        for endpoint in self._endpoints:
            endpoint.reset()

    def stop(self):
        """Answer no more."""
        self.stopped = True
        for sub in self._subs + [endpoint.sub for endpoint in self._endpoints]:
            sub.unsubscribe()
        self._subs, self._endpoints = [], []

    # Questions about it

    def _on_question(self, msg):
        verb = msg.subject.split(".")[1]
        if verb == "PING":
            answer = {}
        elif verb == "INFO":
            answer = {
                "description": self._description,
                "endpoints": [endpoint.info() for endpoint in self._endpoints],
            }
        elif verb == "STATS":
            answer = self.stats()
        else:
            return
        answer.update(self._about, type=_TYPE % verb.lower())
        msg.respond(json.dumps(answer))

    def stats(self):
        """What was counted, as ADR-32 has it: `started`, and of each of the `endpoints`
        `num_requests`, `num_errors`, `last_error`, `processing_time` and
        `average_processing_time` in ns.
        """
        return {
            "started": self._started,
            "endpoints": [endpoint.stats() for endpoint in self._endpoints],
        }


class Group:
    """Endpoints below a prefix."""

    def __init__(self, service, prefix, queue):
        self._service, self._prefix, self._queue = service, prefix, queue

    def group(self, prefix, queue=None):
        """One below this."""
        prefix = "%s.%s" % (self._prefix, check_subject(prefix))
        return Group(self._service, prefix, queue or self._queue)

    def endpoint(self, name, handler, subject=None, queue=None, metadata=None):
        """As `Service.endpoint`, below the group's prefix."""
        subject = "%s.%s" % (self._prefix, name if subject is None else subject)
        return self._service.endpoint(name, handler, subject, queue or self._queue, metadata)


class Endpoint:
    """An endpoint: `name`, `subject`, `queue`, `metadata`, and what is counted."""

    def __init__(self, name, handler, subject, queue, metadata):
        self.name, self.subject, self.queue, self.metadata = name, subject, queue, metadata
        self._handler = handler
        self.sub = None
        self.reset()

    def reset(self):
        """Count from 0 again."""
        self.requests = self.errors = self.time_us = 0
        self.last_error = ""

    def on_request(self, msg):
        """Have the handler answer a request."""
        began = utime.ticks_us()
        # (It may be gone when the handler has polled.)
        reply = msg.reply
        try:
            self._handler(msg)
        except Exception as e:
            self._failed(msg.nc, reply, e)
        self.requests += 1
        self.time_us += utime.ticks_diff(utime.ticks_us(), began)

    def _failed(self, nc, reply, error):
        code, text = 500, repr(error)
        if isinstance(error, ServiceError):
            code, text = error.code, str(error.text)
        text = "".join([c if c >= " " and c != "\x7f" else " " for c in text])
        self.errors += 1
        self.last_error = "%d: %s" % (code, text)
        if reply:
            headers = {"Nats-Service-Error-Code": str(code), "Nats-Service-Error": text}
            nc.publish(reply, b"", None, headers)

    def info(self):
        """What ADR-32 has of it."""
        return {
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue or "",
            "metadata": self.metadata,
        }

    def stats(self):
        """What was counted."""
        ns = self.time_us * 1000
        return {
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue or "",
            "num_requests": self.requests,
            "num_errors": self.errors,
            "last_error": self.last_error,
            "processing_time": ns,
            "average_processing_time": ns // self.requests if self.requests else 0,
        }


def _check_name(name, what):
    good = isinstance(name, str) and name != ""
    for c in name if good else "":
        good = good and c in _NAME
    if not good:
        raise ValueError("%s: letters, digits, - and _ only" % what)


def _is_version(text):
    """Whether it begins with three numbers (semver.org)."""
    parts = text.split("+")[0].split("-")[0].split(".")
    return [part.isdigit() for part in parts] == [True] * 3


def _checked(metadata):
    """ValueError, unless it is a dict of str."""
    metadata = {} if metadata is None else metadata
    good = isinstance(metadata, dict)
    for name, value in metadata.items() if good else ():
        good = good and isinstance(name, str) and isinstance(value, str)
    if not good:
        raise ValueError("metadata: give a dict of str")
    return metadata


def _now():
    """The time as RFC 3339 has it; in 1970, 2000 or 2021 while a board's clock is not set."""
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(utime.gmtime()[:6])

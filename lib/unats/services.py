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


class ServiceError(Exception):
    """Raised by a handler: the request is answered with this code and text, in two headers."""

    def __init__(self, code, text):
        check("code", code, 1)
        super().__init__("%d: %s" % (code, text))
        self.code, self.text = code, text


class Group:
    """Endpoints of a service, below a prefix."""

    def __init__(self, service, prefix, queue):
        self._service, self._prefix, self._queue = service, prefix, queue

    def group(self, prefix, queue=None):
        """What has `endpoint`, too, for subjects below this prefix, and `group`."""
        prefix = self._prefix + check_subject(prefix, what="prefix") + "."
        return Group(self._service, prefix, queue or self._queue)

    def endpoint(self, name, handler, subject=None, queue="", metadata=None):
        """Call handler(msg) for requests on the subject (None: the endpoint's name); returns the
        `Endpoint`.

        queue: among the services with the same one and subject each request is handled by one;
        None: by all; "": the group's, or "q". What the handler raises is counted, and answered
        with the code 500.
        """
        _check(name, metadata)
        if not callable(handler):
            raise ValueError("handler: give a function")
        subject = self._prefix + check_subject(subject or name, True)
        queue = self._queue if queue == "" else queue
        endpoint = Endpoint(name, handler, subject, queue, metadata or {})
        service = self._service
        service._subs.append(service.nc.subscribe(subject, endpoint.on_request, queue))
        service.endpoints.append(endpoint)
        return endpoint


class Service(Group):
    """A service of that name (letters, digits, - and _) and version ("1.2.3"). metadata: a dict of
    str. `id`: this one's; `endpoints`; `stopped`: whether `stop` was called. ValueError: a bad
    argument.
    """

    def __init__(self, nc, name, version, description="", metadata=None):
        _check(name, metadata)
        # semver.org: three numbers, and what is behind - or +.
        numbers = version.split("+")[0].split("-")[0].split(".") if type(version) is str else []
        if len(numbers) != 3 or not all(map(str.isdigit, numbers)):
            raise ValueError("version: give it like 1.2.3")
        if not isinstance(description, str):
            raise ValueError("description: give a str")
        super().__init__(self, "", "q")
        self.nc = nc
        self.id = unique()
        self._about = {
            "name": name, "id": self.id, "version": version, "metadata": metadata or {}
        }  # fmt: skip
        self._description = description
        self._started = "%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(utime.gmtime()[:6])
        self.endpoints = []
        self.stopped = False
        self._subs = []
        for end in ("", "." + name, ".%s.%s" % (name, self.id)):
            self._subs.append(nc.subscribe("$SRV.*" + end, self._on_question))

    def reset(self):
        """Count from 0 again."""
        for endpoint in self.endpoints:
            endpoint.reset()

    def stop(self):
        """Answer no more."""
        self.stopped = True
        for sub in self._subs:
            sub.unsubscribe()
        self._subs, self.endpoints = [], []

    def _on_question(self, msg):
        verb = msg.subject.split(".")[1]
        answer = {}
        if verb == "INFO":
            answer["description"] = self._description
            answer["endpoints"] = [dict(e.about(), metadata=e.metadata) for e in self.endpoints]
        elif verb == "STATS":
            answer = self.stats()
        elif verb != "PING":
            return
        answer.update(self._about, type="io.nats.micro.v1.%s_response" % verb.lower())
        msg.respond(json.dumps(answer))

    def stats(self):
        """What was counted, as ADR-32 has it: `started` (in 1970, 2000 or 2021 while a board's
        clock is not set), and of each of the `endpoints` `num_requests`, `num_errors`,
        `last_error`, `processing_time` and `average_processing_time` in ns.
        """
        return {"started": self._started, "endpoints": list(map(Endpoint.stats, self.endpoints))}


class Endpoint:
    """An endpoint: `name`, `subject`, `queue`, `metadata`, and what is counted."""

    def __init__(self, name, handler, subject, queue, metadata):
        self.name, self.subject, self.queue, self.metadata = name, subject, queue, metadata
        self._handler = handler
        self.reset()

    def reset(self):
        """Count from 0 again."""
        self.requests = self.errors = self.time_us = 0
        self.last_error = ""

    def on_request(self, msg):
        """Have the handler answer a request."""
        began = utime.ticks_us()
        # (They may be gone when the handler has polled.)
        nc, reply = msg.nc, msg.reply
        try:
            self._handler(msg)
        except Exception as e:
            code, text = 500, repr(e)
            if isinstance(e, ServiceError):
                code, text = e.code, str(e.text)
            text = "".join([c if " " <= c != "\x7f" else " " for c in text])
            self.errors += 1
            self.last_error = "%d: %s" % (code, text)
            if reply:
                headers = {"Nats-Service-Error-Code": str(code), "Nats-Service-Error": text}
                nc.publish(reply, b"", None, headers)
        self.requests += 1
        self.time_us += utime.ticks_diff(utime.ticks_us(), began)

    def about(self):
        """What ADR-32 has of it everywhere."""
        return {"name": self.name, "subject": self.subject, "queue_group": self.queue or ""}

    def stats(self):
        """What was counted."""
        ns = self.time_us * 1000
        return dict(
            self.about(), num_requests=self.requests, num_errors=self.errors,
            last_error=self.last_error, processing_time=ns,
            average_processing_time=ns // max(self.requests, 1),
        )  # fmt: skip


def _check(name, metadata):
    """ValueError, unless they are a name, and a dict of str or None."""
    good = isinstance(name, str) and name
    for c in good or "":
        good = good and (c in "-_" or (c < "\x7f" and (c.isalpha() or c.isdigit())))
    if not good:
        raise ValueError("name: use a-z, A-Z, 0-9, - and _")
    try:
        "".join(list(metadata or {}) + list((metadata or {}).values()))
    except (TypeError, AttributeError):
        raise ValueError("metadata: give a dict of str")

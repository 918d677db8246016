"""Objects: what describes one, chunks that come in fragments, what is damaged, cut, replaced."""

import hashlib
import json
import unittest
from binascii import b2a_base64

import unats
from answering import Answering
from unats.jetstream.objectstore import ObjectStore

META = "$JS.API.DIRECT.GET.OBJ_O"
CREATE = "$JS.API.CONSUMER.CREATE.OBJ_O"
NEXT = "$JS.API.CONSUMER.MSG.NEXT.OBJ_O"


def digest(data):
    text = b2a_base64(hashlib.sha256(data).digest()).decode().strip()
    return "SHA-256=" + text.replace("+", "-").replace("/", "_")


class Objects(Answering):
    def setUp(self):
        super().setUp()
        self.store = ObjectStore(self.nc, "O", timeout_ms=100)
        self.chunks = [b"a" * 3000, b"b" * 500, b"c"]
        self.data = b"".join(self.chunks)
        self.info = {
            "name": "n", "bucket": "O", "nuid": "N", "size": len(self.data), "chunks": 3,
            "digest": digest(self.data), "metadata": {"k": "v"},
        }  # fmt: skip
        self.rules[META] = self.on_meta
        self.rules[CREATE] = lambda subject, reply, payload: self.tell(
            reply, b'{"name":"x","num_pending":%d}' % len(self.chunks)
        )
        self.rules[NEXT] = self.on_next
        self.delivered = 0
        self.got = bytearray()

    def on_meta(self, subject, reply, payload):
        if self.info is None:
            self.tell(reply, status="404 No Messages")
        else:
            head = "\r\nNats-Subject: %s\r\nNats-Sequence: 9" % subject[len(META) + 1 :]
            self.tell(reply, json.dumps(self.info).encode(), status=head)

    def on_next(self, subject, reply, payload):
        """A batch; the chunks that are left."""
        for _ in range(json.loads(payload)["batch"]):
            if self.delivered < len(self.chunks):
                self.delivered += 1
                left = len(self.chunks) - self.delivered
                ack = "$JS.ACK.OBJ_O.x.1.%d.%d.1785000000000000000.%d" % (
                    self.delivered + 100, self.delivered, left,
                )  # fmt: skip
                chunk = self.chunks[self.delivered - 1]
                self.tell("$O.O.C.N", chunk, ack, to=reply)

    def write(self, piece):
        self.assertTrue(len(piece) <= 1024)
        self.got.extend(piece)

    def failure(self):
        try:
            self.store.get("n", self.write)
        except unats.Error as e:
            return str(e)
        self.fail("no error")

    def test_it_comes_in_pieces(self):
        told = []
        info = self.store.get("n", self.write, progress=lambda n, size: told.append((n, size)))
        self.assertEqual(bytes(self.got), self.data)
        self.assertEqual((info.name, info.size, info.metadata), ("n", 3501, {"k": "v"}))
        self.assertEqual(told[-1], (3501, 3501))
        self.assertEqual(len(self.nc.subscriptions), 1)

    def test_from_an_offset(self):
        self.store.get("n", self.write, 1300)
        self.assertEqual(bytes(self.got), self.data[1300:])

    def test_an_empty_one(self):
        self.info.update(size=0, chunks=0, digest=digest(b""))
        self.assertEqual(self.store.get("n", self.write).size, 0)

    def test_a_digest_without_padding(self):
        self.info["digest"] = self.info["digest"].rstrip("=")
        self.assertEqual(self.store.get("n", self.write).size, 3501)

    def test_what_is_damaged_is_told(self):
        self.chunks[1] = b"x" * 500
        self.assertTrue("n is damaged" in self.failure())

    def test_what_is_cut_or_replaced_is_told(self):
        self.chunks.pop()
        self.assertTrue("n is cut" in self.failure())
        self.delivered = 0
        there = dict(self.info)
        answers = [there, dict(there, nuid="M")]

        def on_meta(subject, reply, payload):
            self.info = answers.pop(0)
            self.on_meta(subject, reply, payload)

        self.rules[META] = on_meta
        self.assertTrue("n was deleted or replaced" in self.failure())

    def test_there_is_none(self):
        self.info["deleted"] = True
        self.assertEqual(self.failure(), "no object n in O")
        self.info = None
        self.assertEqual(self.failure(), "no object n in O")
        self.assertEqual(self.store.info("n"), None)

    def test_what_describes_no_object_is_an_error(self):
        for wrong in ([], 5, {"name": 5}, dict(self.info, size="x"), dict(self.info, options=5)):
            self.info = wrong
            with self.assertRaises(unats.Error):
                self.store.info("n")

    def test_a_write_that_fails_ends_it(self):
        def write(piece):
            raise OSError(28)

        with self.assertRaises(OSError):
            self.store.get("n", write)
        self.assertEqual(len(self.nc.subscriptions), 1)

    def test_putting(self):
        self.info = None
        self.rules["$O.O."] = {"stream": "OBJ_O", "seq": 1}
        info = self.store.put("ü", self.data, 1000, {"k": "v"})
        self.assertEqual((info.size, info.chunks, info.digest), (3501, 4, digest(self.data)))
        sent = [s for s in self.seen if s[0].startswith("$O.O.")]
        self.assertEqual([len(s[3]) for s in sent[:-1]], [1000, 1000, 1000, 501])
        self.assertEqual(sent[-1][0], "$O.O.M.w7w=")
        self.assertTrue(b"Nats-Rollup: sub" in sent[-1][2])
        described = json.loads(sent[-1][3])
        self.assertEqual(described["options"], {"max_chunk_size": 1000})
        self.assertEqual((described["name"], described["size"]), ("ü", 3501))

    def test_what_is_not_taken_is_taken_back(self):
        self.info = None
        full = {"error": {"code": 503, "err_code": 10047, "description": "full"}}
        self.rules["$O.O."] = [{"stream": "OBJ_O", "seq": 1}, full]
        self.rules["$JS.API.STREAM.PURGE.OBJ_O"] = {"success": True, "purged": 1}
        with self.assertRaises(unats.Error):
            self.store.put("n", self.data, 1000)
        self.assertTrue(self.seen[-1][0].startswith("$JS.API.STREAM.PURGE"))
        self.assertTrue(b"$O.O.C." in self.seen[-1][3])

    def test_misuse_is_told_before_anything_is_sent(self):
        self.assert_misuse(
            lambda: self.store.get("", print), lambda: self.store.get("n", None),
            lambda: self.store.get("n", print, -1), lambda: self.store.put(5, b""),
            lambda: self.store.put("n", b"", 0), lambda: self.store.delete(""),
            lambda: self.store.info(None), lambda: ObjectStore(self.nc, "a.b"),
        )  # fmt: skip


if __name__ == "__main__":
    unittest.main()

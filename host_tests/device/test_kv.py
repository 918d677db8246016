"""Key-value: keys, revisions, markers, what a bucket is made like; numbers beyond 30 bits."""

import json
import unittest

import unats
from answering import Answering
from unats.jetstream.kv import Entry, KeyValue, WrongRevision

LARGE = 1 << 40
GET = "$JS.API.DIRECT.GET.KV_B"


class Buckets(Answering):
    def setUp(self):
        super().setUp()
        self.kv = KeyValue(self.nc, "B", timeout_ms=50)

    def stored(self, value, revision=1, key="k", more=""):
        """Have it be the answer to a direct get."""
        head = "\r\nNats-Subject: $KV.B.%s\r\nNats-Sequence: %d%s" % (key, revision, more)

        def answer(subject, reply, payload):
            self.tell(reply, value, status=head)

        self.rules[GET] = answer

    def test_an_entry(self):
        self.stored(b"\x00\xff", LARGE)
        entry = self.kv.get("k")
        self.assertEqual((entry.key, entry.value, entry.revision), ("k", b"\x00\xff", LARGE))
        self.assertEqual(entry.operation, "PUT")
        buf = bytearray(5)
        self.assertEqual(self.kv.get_into("k", buf), 2)
        self.assertEqual(bytes(buf), b"\x00\xff\0\0\0")
        with self.assertRaises(ValueError):
            self.kv.get_into("k", bytearray(1))

    def test_none_is_there(self):
        for more in (
            "\r\nKV-Operation: DEL", "\r\nKV-Operation: PURGE", "\r\nNats-Marker-Reason: MaxAge",
        ):  # fmt: skip
            self.stored(b"", 3, more=more)
            self.assertEqual(self.kv.get("k"), None)
        self.rules[GET] = lambda subject, reply, payload: self.tell(
            reply, status="404 No Messages"
        )
        self.assertEqual(self.kv.get("k"), None)
        self.assertEqual(self.kv.get_into("k", bytearray(1)), None)

    def test_what_a_marker_says(self):
        for headers, operation in (
            (None, "PUT"), ({"A": "b"}, "PUT"), ({"KV-Operation": "DEL"}, "DEL"),
            ({"Nats-Marker-Reason": "MaxAge"}, "PURGE"),
            ({"Nats-Marker-Reason": "Purge"}, "PURGE"),
            ({"Nats-Marker-Reason": "Remove"}, "DEL"),
        ):  # fmt: skip
            self.assertEqual(Entry("k", b"", 1, headers).operation, operation)

    def test_storing(self):
        self.rules["$KV.B."] = {"stream": "KV_B", "seq": LARGE}
        self.assertEqual(self.kv.put("a.b", b"1"), LARGE)
        self.assertEqual(self.kv.update("a.b", b"1", LARGE - 1), LARGE)
        headers = self.seen[-1][2]
        self.assertTrue(b"Nats-Expected-Last-Subject-Sequence: %d" % (LARGE - 1) in headers)
        self.kv.create("a.b", b"1", ttl_s=60)
        headers = self.seen[-1][2]
        self.assertTrue(b"Nats-Expected-Last-Subject-Sequence: 0" in headers)
        self.assertTrue(b"Nats-TTL: 60" in headers)
        self.kv.delete("a.b", revision=5)
        self.assertTrue(b"KV-Operation: DEL" in self.seen[-1][2])
        self.kv.purge("a.b")
        self.assertTrue(b"KV-Operation: PURGE" in self.seen[-1][2])
        self.assertTrue(b"Nats-Rollup: sub" in self.seen[-1][2])
        self.assertTrue(b"Expected" not in self.seen[-1][2])

    def test_a_lost_race(self):
        error = {"code": 400, "err_code": 10071, "description": "wrong last sequence: 7"}
        self.rules["$KV.B."] = {"error": error}
        with self.assertRaises(WrongRevision):
            self.kv.update("k", b"1", 3)
        self.rules["$KV.B."] = {"error": dict(error, err_code=10077)}
        try:
            self.kv.update("k", b"1", 3)
            self.fail("no error")
        except unats.Error as e:
            self.assertFalse(isinstance(e, WrongRevision))

    def test_garbage_for_an_answer_is_an_error_at_most(self):
        for answer in (b"", b"[]", b'{"stream":"B","seq":"7"}', b'{"error":[]}', b"\xff\xfe"):
            self.rules["$KV.B."] = answer
            with self.assertRaises(unats.Error):
                self.kv.put("k", b"1")
        for head in ("200", "\r\nNats-Subject: x\r\nNats-Sequence: y", "500 x", "xyz"):
            self.rules[GET] = lambda subject, reply, payload, head=head: self.tell(
                reply, b"x", status=head
            )
            with self.assertRaises(unats.Error):
                self.kv.get("k")

    def test_what_a_bucket_is_made_like(self):
        self.rules["$JS.API.STREAM.CREATE."] = {"config": {}}
        self.kv.create_bucket(history=5, ttl_s=1000000, marker_ttl_s=60, max_bytes=LARGE)
        config = json.loads(self.seen[-1][3])
        self.assertEqual((config["name"], config["subjects"]), ("KV_B", ["$KV.B.>"]))
        self.assertEqual(config["max_msgs_per_subject"], 5)
        self.assertEqual(config["max_age"], 1000000000000000)
        self.assertEqual(config["max_bytes"], LARGE)
        self.assertEqual(config["duplicate_window"], 120000000000)
        self.assertEqual(config["subject_delete_marker_ttl"], 60000000000)
        self.assertTrue(config["allow_msg_ttl"] and config["deny_delete"])
        self.assertTrue(config["allow_direct"] and config["allow_rollup_hdrs"])

    def test_misuse_is_told_before_anything_is_sent(self):
        for key in ("", ".a", "a.", "a..b", "a b", "a*", ">", "ä", 5, None, b"a"):
            self.assert_misuse(
                lambda: self.kv.get(key), lambda: self.kv.delete(key),
                lambda: self.kv.history(key),
            )  # fmt: skip
        self.assert_misuse(
            lambda: self.kv.create_bucket(history=65), lambda: self.kv.create_bucket(ttl_s=-1),
            lambda: self.kv.update("k", b"1", None), lambda: self.kv.put("k", b"1", 5),
            lambda: self.kv.keys("a b"), lambda: self.kv.watch(">", None),
            lambda: KeyValue(self.nc, "a.b"), lambda: KeyValue(self.nc, "B", domain="a b"),
        )  # fmt: skip


if __name__ == "__main__":
    unittest.main()

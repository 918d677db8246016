"""The streams that key-value buckets (ADR-8) and object stores (ADR-20) are: see `kv.py` and
`objectstore.py`. Loaded each time that one is made.
"""

from unats.checks import check

_NS = 1000000000
_TWO_MINUTES_NS = 120 * _NS


def keyvalue(bucket, history, ttl_s, max_bytes, storage, replicas, marker_ttl_s, handler):
    """See `KeyValue.create_bucket`."""
    check("history", history, 1, 64)
    check("marker_ttl_s", marker_ttl_s, 0)
    config = _config(ttl_s, max_bytes, storage, replicas)
    config["max_msgs_per_subject"] = history
    config["deny_delete"] = True
    if ttl_s:
        config["duplicate_window"] = min(ttl_s * _NS, _TWO_MINUTES_NS)
    if marker_ttl_s:
        config["allow_msg_ttl"] = True
        config["subject_delete_marker_ttl"] = marker_ttl_s * _NS
    return bucket.js.ensure_stream(bucket.stream, bucket.prefix + ">", handler, **config)


def objects(store, ttl_s, max_bytes, storage, replicas, handler):
    """See `ObjectStore.create_bucket`."""
    config = _config(ttl_s, max_bytes, storage, replicas)
    subjects = [store.prefix + "C.>", store.prefix + "M.>"]
    return store.js.ensure_stream(store.stream, subjects, handler, **config)


def _config(ttl_s, max_bytes, storage, replicas):
    check("ttl_s", ttl_s, 0)
    return {
        "max_bytes": max_bytes,
        "max_age": ttl_s * _NS,
        "storage": storage,
        "num_replicas": replicas,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }

"""PEM as DER (RFC 7468): a TLS stack without a PEM parser takes the latter only."""

from binascii import a2b_base64

_BEGIN = b"-----BEGIN "
_END = b"-----END "
_DASHES = b"-----"


def blocks(data, label, what):
    """The DER of each block in PEM text (bytes) whose label ends so, b"CERTIFICATE" or b"PRIVATE
    KEY".

    Others, as EC PARAMETERS, are passed over. `what` is named in a ValueError: there is no such
    block, or it is encrypted or damaged.
    """
    found = []
    for part in data.split(_BEGIN)[1:]:
        name, _, body = part.partition(_DASHES)
        if not name.endswith(label):
            continue
        body, end, _ = body.partition(_END)
        if b"ENCRYPTED" in name or b"ENCRYPTED" in body:
            raise ValueError("%s: it is encrypted, give it without a passphrase" % what)
        if not end:
            raise ValueError("%s: PEM without its end" % what)
        found.append(_decoded(body, what))
    if not found:
        raise ValueError("%s: PEM without a %s" % (what, label.decode()))
    return found


def _decoded(body, what):
    try:
        return a2b_base64(b"".join(body.split()))
    except ValueError:
        raise ValueError("%s: damaged PEM" % what) from None

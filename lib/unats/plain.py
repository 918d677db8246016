"""Kernels as bytecode, for a port whose firmware has no native emitter.

Same source (its decorator lines taken out), same results, several times slower. Bytecode sees the
characters of a str where viper sees its bytes, so what is given a str gets bytes made of it here:
without allocating, if it has no more than 64 characters.
"""

_scratch = bytearray(64)


def load(name, into):
    """Put the functions of the module `name`, `kernels`, `loop` or `scanner`, into a dict."""
    try:
        k = __import__("unats." + name, None, None, (name,)).__dict__
    except SyntaxError:  # invalid micropython decorator
        k = {"__name__": "unats." + name}
        with open(__file__.replace("plain.", name + ".")) as source:
            text = source.read()
        for emitter in ("viper", "native"):
            text = text.replace("@micropython." + emitter, "")
        exec(text, k)
    for function in ("copy", "put", "same"):
        if function in k:
            k[function] = _taking_str(k[function])
    if "ascii" in k:
        ascii = k["ascii"]
        k["ascii"] = lambda s, n, k=ascii: k(_bytes(s) if isinstance(s, str) else s, n)
    if name == "kernels":  # `publish` calls `pub`, and has another way for what it refuses
        pub = k["pub"]
        k["pub"] = lambda nc, subject, data: 0 if isinstance(subject, str) else pub(nc, subject, data)
    for function in k:
        if callable(k[function]):
            into[function] = k[function]


def _taking_str(kernel):
    def taking_str(buf, at, source, start, n, kernel=kernel):  # (a closure would take the heap)
        return kernel(buf, at, _bytes(source) if isinstance(source, str) else source, start, n)

    return taking_str


def _bytes(s):
    n = len(s)
    to = _scratch if n <= len(_scratch) else bytearray(n)
    while n:
        n -= 1
        to[n] = min(ord(s[n]), 255)
    return to

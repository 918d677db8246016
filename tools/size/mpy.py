"""What a .mpy file of bytecode has in its tables of constants, and what they take of the heap.

The format: https://docs.micropython.org/en/latest/reference/mpyfiles.html. After four bytes of
header come the number of names and of objects, the names, and the objects.
"""

_FUN_TABLE, _NONE, _FALSE, _TRUE, _ELLIPSIS, _STR, _BYTES, _INT, _FLOAT, _COMPLEX, _TUPLE = range(
    11
)
_BLOCK_WORDS = 4  # of a block of the heap
_NAME_BYTES = 2  # of a name's number in the table


class _Reader:
    """Reads a .mpy from its front."""

    def __init__(self, data):
        self._data, self._at = data, 4

    def uint(self):
        value = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    def bytes(self, n):
        self._at += n
        return self._data[self._at - n : self._at]


def constants(data, word):
    """Bytes of heap that the tables of a .mpy take once it is loaded, with words of so many bytes.

    That is the table itself, and its objects without the text of strings: what there is to load
    from ROMFS, and is not to be loaded if the module is frozen.
    """
    reader = _Reader(data)
    names, objects = reader.uint(), reader.uint()
    for _ in range(names):
        size = reader.uint()
        if not size & 1:  # its text; otherwise the number of a name that every firmware has
            reader.bytes((size >> 1) + 1)
    table = -(-names * _NAME_BYTES // word) + objects
    return _blocks(table, word) + sum(_object(reader, word) for _ in range(objects))


def _blocks(words, word):
    """Bytes of so many words, in whole blocks of the heap."""
    return -(-words // _BLOCK_WORDS) * _BLOCK_WORDS * word


def _object(reader, word):
    """Bytes of heap of the next object."""
    kind = reader.uint()
    if kind <= _ELLIPSIS:
        return 0
    size = reader.uint()
    if kind == _TUPLE:
        return _blocks(2 + size, word) + sum(_object(reader, word) for _ in range(size))
    text = reader.bytes(size + (kind in (_STR, _BYTES)))
    if kind == _BYTES and not size:
        return 0
    if kind == _INT:  # within a word, or an object that points to digits, a byte for each decimal
        small = abs(int(text)) < 1 << (8 * word - 2)
        return 0 if small else _blocks(4, word) + _blocks(-(-(size + word // 2) // word), word)
    return _blocks(4, word)  # a string's object has four words, a float's two

"""What the source of a module says: how many lines of code it has, and what it imports."""

import ast
import io
import tokenize

from tools.toolchain import PACKAGE, library

_LAYOUT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def modules():
    """Names of the library's modules: "__init__", "client", "auth/__init__", "auth/nkey", ..."""
    return [path.removeprefix("unats/").removesuffix(".py") for path in library(PACKAGE)]


def source(name):
    """The source of a module."""
    return (PACKAGE / f"{name}.py").read_text()


def code_lines(text):
    """Number of lines that hold code: not blank, not only a comment, not part of a docstring."""
    spans = _docstrings(ast.parse(text))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last = token.start[0], token.end[0]
        in_docstring = any(a <= first and last <= b for a, b in spans)
        if token.type not in _LAYOUT and not (token.type == tokenize.STRING and in_docstring):
            lines.update(range(first, last + 1))
    return len(lines)


def _docstrings(tree):
    """First and last line of each docstring in a syntax tree."""
    scopes = [scope for scope in ast.walk(tree) if isinstance(scope, _DOCUMENTED)]
    strings = [scope.body[0].value for scope in scopes if ast.get_docstring(scope) is not None]
    return [(string.lineno, string.end_lineno) for string in strings]


def imports(name, text, everywhere=False):
    """What a module imports of the package when it is itself imported; `everywhere`: also later,
    from within functions.

    Names as in modules(), but that a sub-package is named without `/__init__`, and that a name
    which `from .module import name` takes may be no module's.
    """
    names = set()
    pending = list(ast.parse(text).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom):
            names.update(_taken(name, node))
        elif isinstance(node, ast.Import):
            names.update(_inside(alias.name) for alias in node.names)
        elif everywhere or not isinstance(node, _FUNCTIONS):
            pending.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, (ast.stmt, ast.ExceptHandler))
            )
    return names - {None, ""}


def _taken(name, node):
    """What `from ... import ...` in the module `name` may take of the package."""
    if node.level:
        above = name.split("/")[: -node.level]
        origin = "/".join(above + (node.module.split(".") if node.module else []))
    else:
        origin = _inside(node.module)
    if origin is None:
        return []
    return [origin, *(f"{origin}/{alias.name}".lstrip("/") for alias in node.names)]


def _inside(dotted):
    """ "auth/nkey" for unats.auth.nkey, "" for unats, None for what is not of the package."""
    package, _, inside = dotted.partition(".")
    return inside.replace(".", "/") if package == "unats" else None


def import_order(names, wanted=None):
    """The modules so sorted that each comes after those it imports; the package itself last.

    wanted: only these, and what they import.
    """
    order, begun = [], set()

    def visit(name):
        name = name if name in names else f"{name}/__init__"
        if name in begun or name not in names:
            return
        begun.add(name)
        outer = name.removesuffix("/__init__").rpartition("/")[0]
        for other in sorted(imports(name, source(name)) | {outer}):
            visit(other)
        order.append(name)

    for name in names if wanted is None else wanted:
        if name != "__init__":
            visit(name)
    return [*order, "__init__"]

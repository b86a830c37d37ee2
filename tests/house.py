"""The size and the shape of the product: `python -m tests.house [DIR]`.

Prints for each room of the package in DIR (default: this one) its lines, its largest file and its
longest function; then the class with the most attributes, and the circles of imports.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def main() -> None:
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME / "app"
    files = {path: path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    rooms: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        parts = path.relative_to(package).parts
        rooms[parts[0] if len(parts) > 1 else "(top)"].append(path)
    print(f"{'room':12}{'lines':>7}  {'largest file':34}{'longest function'}")
    for room, paths in rooms.items():
        sizes = {path: files[path].count("\n") for path in paths}
        largest = max(paths, key=sizes.__getitem__)
        length, name = max(longest(path, files[path]) for path in paths)
        shown = f"{sizes[largest]} {largest.relative_to(package)}"
        print(f"{room:12}{sum(sizes.values()):7}  {shown:34}{length} {name}")
    own = [path for room, paths in rooms.items() if room != "comparison" for path in paths]
    print(f"product without comparison: {sum(files[path].count(chr(10)) for path in own)} lines")
    most, name = max(attributes(path, files[path]) for path in own)
    print(f"most attributes of an object: {most}, {name}")
    print(f"longest line: {max(len(line) for path in own for line in files[path].splitlines())}")
    print(f"circles: {circles(package, files) or 'none'}")


def longest(path: Path, source: str) -> tuple[int, str]:
    """Return the lines of the longest function of a module, without its docstring, and its name."""
    found = [(0, "")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            found.append((node.end_lineno - first.lineno + 1, f"{path.stem}.{node.name}"))
    return max(found)


def attributes(path: Path, source: str) -> tuple[int, str]:
    """Return the most attributes that a class of a module gives its objects, and its name."""
    found = [(0, "")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            set_here = {
                target.attr
                for inner in ast.walk(node)
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store)
                for target in [inner]
                if isinstance(target.value, ast.Name) and target.value.id == "self"
            }
            found.append((len(set_here), f"{path.stem}.{node.name}"))
    return max(found)


def circles(package: Path, files: dict[Path, str]) -> list[str]:
    """Return the modules that import each other, but for imports that are for types alone."""
    names = {module_of(package, path): path for path in files}
    imports = {
        name: set(imported(name, path.name == "__init__.py", files[path])) & names.keys() - {name}
        for name, path in names.items()
    }
    return [
        f"{one} ⇄ {other}"
        for one in sorted(imports)
        for other in sorted(reached(imports, one))
        if one < other and one in reached(imports, other)
    ]


def module_of(package: Path, path: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "."


def imported(name: str, is_package: bool, source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            above = name.split(".") if name != "." else []
            above = above[: len(above) - node.level + is_package]
            base = ".".join([*above, *filter(None, [node.module])])
            if node.module:
                yield base
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def reached(imports: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(imports[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports[name]
    return found


if __name__ == "__main__":
    main()

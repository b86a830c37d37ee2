"""Checkers of web pages, from the npm registry: `npm install --prefix . --no-save axe-core vnu-jar`."""

import subprocess
from pathlib import Path

from tests.programs import missing, program

MODULES = Path(__file__).resolve().parent.parent / "node_modules"


def axe() -> str:
    """Return the script of axe-core, which finds faults of accessibility."""
    return _from_npm("axe-core/axe.min.js").read_text("utf-8")


def faults_of_html(paths: list[Path]) -> str:
    """Return what the Nu HTML checker finds in the documents *paths*, style included."""
    jar = _from_npm("vnu-jar/build/dist/vnu.jar")
    # Half a minute of compiling is not worth it; its schemas go deep.
    java = [program("java"), "-XX:TieredStopAtLevel=1", "-Xss4m"]
    command = [*java, "-jar", str(jar), "--also-check-css", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    return (done.stdout + done.stderr).strip()


def _from_npm(name: str) -> Path:
    path = MODULES / name
    if not path.exists():
        missing(f"{path.relative_to(MODULES)} is not there: see tests/web_tools.py")
    return path

"""The wheel, as its users have it: in an environment of its own, from another directory; and whom
`--app` finds.
"""

import email
import fcntl
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from app import __version__
from tests.end_to_end.client import fetch
from tests.end_to_end.servers import HOME, LiveServer
from tests.programs import TAKES_LONG, is_thorough
from tests.test_architecture import imports, modules, within
from tests.waiting import wait_until

GUIDE = (HOME / "www" / "index.html").read_bytes()


@dataclass(frozen=True)
class Installed:
    """The built wheel, and the programs of the environment that it was installed into."""

    wheel: Path
    programs: Path

    def command(self, name: str) -> str:
        return str(self.programs / name)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Installed:
    """Build the wheel and install it, once for all processes of the session."""
    if not is_thorough():
        pytest.skip(TAKES_LONG)
    for module in ("hatchling", "pip"):
        if find_spec(module) is None:
            pytest.fail(f"{module} is missing") if os.environ.get("TALLY_CI") else pytest.skip(
                f"{module} is missing"
            )
    if worker_id == "master":
        return build_and_install(tmp_path_factory.mktemp("package"))
    directory = tmp_path_factory.getbasetemp().parent / "package"
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.is_dir():
            return found_in(directory)
        return build_and_install(directory)


def build_and_install(directory: Path) -> Installed:
    environment = directory / "environment"
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory))
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    [packages] = environment.glob("lib/python*/site-packages")
    # What the package depends on comes from here, so that nothing has to be fetched.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    installed = found_in(directory)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        installed.command("python"),
    ]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", str(installed.wheel))
    return installed


def found_in(directory: Path) -> Installed:
    [wheel] = directory.glob("*.whl")
    return Installed(wheel, directory / "environment" / "bin")


def run(*command: str, directory: Path = HOME, **environ: str) -> str:
    """Return what *command* prints to standard output."""
    ended = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def launched(
    command: Sequence[str], directory: Path, environ: Mapping[str, str]
) -> Iterator[LiveServer]:
    server = LiveServer([*command, "--bind", "127.0.0.1:0"], environ, directory=directory)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def serving(command: Sequence[str], directory: Path, **environ: str) -> Iterator[LiveServer]:
    with launched(command, directory, environ) as server:
        server.port = wait_until(server.port_named, timeout=20, message="the server's address")
        yield server


# What is in it


def test_the_wheel_holds_one_package_with_its_guide_and_no_tests(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())
    modules = {path.relative_to(HOME / "app") for path in HOME.glob("app/**/*.py")}
    assert {name.partition("/")[0] for name in names} == {
        "tally_server",
        f"tally_server-{__version__}.dist-info",
    }
    assert {
        Path(name).relative_to("tally_server") for name in names if name.endswith(".py")
    } == modules
    assert {"tally_server/www/index.html", "tally_server/py.typed"} <= names
    data = [
        path
        for kind in ("*.lua", "*.html", "*.css", "*.json")
        for path in HOME.glob(f"app/**/{kind}")
    ]
    assert {f"tally_server/{path.relative_to(HOME / 'app')}" for path in data} <= names
    assert len(data) >= 7
    assert f"tally_server-{__version__}.dist-info/licenses/LICENSE" in names
    assert [name for name in names if "test" in name or "__pycache__" in name] == []


def test_its_metadata(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        text = wheel.read(f"tally_server-{__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert (metadata["Name"], metadata["Version"]) == ("tally-server", __version__)
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) >= {"redis", "comparison"}


def test_what_the_modules_import_is_what_the_package_needs() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["redis"]]
    imported = {
        name.partition(".")[0]
        for path, module in modules()
        if within(module, "app") and not within(module, "app.comparison")
        for name in imports(path.read_text("utf-8"), module, is_package=path.name == "__init__.py")
    }
    # The standard library's, of later versions too; our own; types alone; the name of any
    # application.
    others = sys.stdlib_module_names | {"compression", "app", "_typeshed", "?"}
    assert {name.replace("_", "-") for name in imported - others} == {
        distribution(line) for line in needed
    }


def test_requirements_txt_pins_exactly_what_the_project_names() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())
    named = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        named += extra
    lines = [
        line
        for line in (HOME / "requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert {distribution(line) for line in lines} == {distribution(line) for line in named}
    assert [
        line
        for line in lines
        if not re.fullmatch(r"[\w-]+==[\w.]+(; (python_version|platform_system) .*)?", line)
    ] == []


def distribution(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0].lower()


# Installed, from another directory


def test_tally_serves_a_directory(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("hello")
    with serving([installed.command("tally"), "files"], tmp_path) as server:
        assert fetch(server.port, "/a.txt").body == b"hello"
        assert [(path, number) for path, _, _, number in server.counted(1)] == [("/a.txt", "1")]
        assert server.stop() == 0


@pytest.mark.parametrize(
    "arguments", [[], ["-w", "2"], ["--app", "tally_server.wsgi:app"]], ids=" ".join
)
def test_tally_alone_serves_the_guide(
    installed: Installed, tmp_path: Path, arguments: list[str]
) -> None:
    with serving([installed.command("tally"), *arguments], tmp_path) as server:
        assert fetch(server.port, "/").body == GUIDE


def test_python_runs_the_package(installed: Installed, tmp_path: Path) -> None:
    with serving([installed.command("python"), "-m", "tally_server"], tmp_path) as server:
        assert fetch(server.port, "/").body == GUIDE


def test_gunicorn_runs_the_package(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    command = [
        installed.command("python"),
        "-m",
        "gunicorn",
        "--no-control-socket",
        "tally_server.wsgi:app",
    ]
    with serving(command, tmp_path, TALLY_ROOT=str(tmp_path)) as server:
        assert fetch(server.port, "/a.txt").body == b"hello"
        assert [(path, number) for path, _, _, number in server.counted(1)] == [("/a.txt", "1")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], ["usage: tally [DIR] [options]", "tally counts COMMAND", "--bind"]),
        (["--version"], [f"Tally {__version__}"]),
        (["counts", "--help"], ["usage: tally counts", "show", "export"]),
        (["counts", "show", "--help"], ["usage: tally counts show"]),
    ],
    ids=lambda value: " ".join(value) if value[0] in ("--help", "--version", "counts") else "",
)
def test_what_tally_says(
    installed: Installed, tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    printed = run(installed.command("tally"), *arguments, directory=tmp_path)
    assert [text for text in said if text not in printed] == []
    assert "run_builtin" not in printed


def test_tally_counts_reads_what_tally_counted(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with serving([installed.command("tally"), ".", "--counts", "lmdb:counts"], tmp_path) as server:
        fetch(server.port, "/a.txt")
        assert server.stop() == 0
    shown = run(
        installed.command("tally"),
        "counts",
        "show",
        "--counts",
        "lmdb:counts",
        "--csv",
        directory=tmp_path,
    )
    assert "/a.txt" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "beginning"),
    [
        (["--threads", "many"], 2, "tally: "),
        (["missing"], 2, "tally: "),
        (["counts", "show", "--counts", "lmdb:missing"], 1, "tally counts: "),
    ],
)
def test_complaints_begin_with_the_command(
    installed: Installed, tmp_path: Path, arguments: list[str], status: int, beginning: str
) -> None:
    [line] = complaint([installed.command("tally"), *arguments], tmp_path, status)
    assert line.startswith(beginning)


def test_redis_without_its_package_names_the_extra(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found first, it is as if there were none.
    (tmp_path / "redis.py").write_text("raise ModuleNotFoundError(name='redis')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TALLY_COUNTS", "redis://127.0.0.1/0")
    for status, arguments in ((2, []), (1, ["counts", "show"])):
        [line] = complaint([installed.command("tally"), *arguments], tmp_path, status)
        assert "pip install 'tally-server[redis]'" in line


def complaint(command: Sequence[str], directory: Path, status: int) -> list[str]:
    """Return the lines of standard error of a *command* that ends with *status* and prints nothing
    else.
    """
    ended = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=50, check=False
    )
    assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
    return ended.stderr.splitlines()


# Whom --app finds

FLASK = "from flask import Flask\napp = Flask(__name__)\napp.get('/')(lambda: 'theirs')\n"
PLAIN = (
    "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'theirs']\n"
)

#: The files of somebody's project, and what is given to --app there.
PROJECTS = {
    "Flask's app.py": ({"app.py": FLASK}, "app:app"),
    "wsgi.py": ({"wsgi.py": PLAIN}, "wsgi:app"),
    "wsgi.py that imports app.py": (
        {"app.py": FLASK, "wsgi.py": "from app import app\n"},
        "wsgi:app",
    ),
    "a package app": ({"app/__init__.py": PLAIN}, "app:app"),
    "a package app without __init__.py": ({"app/site.py": PLAIN}, "app.site:app"),
    "modules called as ours": (
        {
            "app/__init__.py": "",
            "app/settings.py": "NAME = 'app'\n",
            "app/wsgi.py": "from app.settings import NAME\nfrom .server import app\n",
            "app/server/__init__.py": PLAIN,
        },
        "app.wsgi:app",
    ),
    "a package tests": ({"tests/__init__.py": PLAIN}, "tests:app"),
    "main.py and settings.py": (
        {"settings.py": "X = 1\n", "main.py": "import settings\n" + PLAIN},
        "main:app",
    ),
    "run_builtin.py": ({"run_builtin.py": PLAIN}, "run_builtin:app"),
    "nothing of ours is there by such a name": (
        {
            "site_.py": "import sys\nassert not {'app', 'wsgi', 'run_builtin'} & set(sys.modules)\n"
            + PLAIN
        },
        "site_:app",
    ),
    "an attribute": (
        {"app.py": PLAIN + "class site:\n    wsgi = staticmethod(app)\n"},
        "app:site.wsgi",
    ),
}


@pytest.fixture(params=["checkout", "installed"])
def program(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "checkout":
        return [sys.executable, str(HOME / "run_builtin.py")]
    installed: Installed = request.getfixturevalue("installed")
    return [installed.command("tally")]


def lay(files: dict[str, str], directory: Path) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("project", PROJECTS)
def test_app_is_the_application_of_the_current_directory(
    program: list[str], project: str, tmp_path: Path
) -> None:
    files, name = PROJECTS[project]
    lay(files, tmp_path)
    with serving([*program, "--app", name], tmp_path) as server:
        assert fetch(server.port, "/").body == b"theirs"


def test_so_it_is_in_every_worker(program: list[str], tmp_path: Path) -> None:
    lay({"app.py": PLAIN}, tmp_path)
    with serving([*program, "--app", "app:app", "-w", "2"], tmp_path) as server:
        assert fetch(server.port, "/").body == b"theirs"


@pytest.mark.parametrize(
    "arguments",
    [
        ["app:app"],
        ["wsgi:app"],
        ["wsgi:app", "-w", "2"],
        ["app.wsgi:app"],
        ["tests:app"],
        ["run_builtin:load"],
        ["wsgi"],
    ],
    ids=" ".join,
)
def test_what_is_not_in_the_current_directory_is_not_replaced(
    program: list[str], arguments: list[str], tmp_path: Path
) -> None:
    assert_refused([*program, "--app", *arguments], tmp_path)


@pytest.mark.parametrize("name", ["wsgi:app", "app:app", "app.wsgi:app", "app.wsgi:make_app"])
def test_nor_is_it_when_the_checkout_is_searched_too(name: str, tmp_path: Path) -> None:
    assert_refused(
        [sys.executable, str(HOME / "run_builtin.py"), "--app", name],
        tmp_path,
        PYTHONPATH=str(HOME),
    )


def test_nor_is_it_by_a_checkout_for_the_installed_program(
    installed: Installed, tmp_path: Path
) -> None:
    assert_refused(
        [installed.command("tally"), "--app", "wsgi:app"], tmp_path, PYTHONPATH=str(HOME)
    )


@pytest.mark.parametrize("name", ["app:app", "app.wsgi:app"])
def test_nor_is_it_in_the_checkout_itself(name: str) -> None:
    assert_refused([sys.executable, "run_builtin.py", "--app", name], HOME)


def assert_refused(command: Sequence[str], directory: Path, **environ: str) -> None:
    with launched(command, directory, environ) as server:
        assert server.wait() == 2, server.printed()
        assert server.out == []
        [line] = server.err
        assert "--app: " in line


def test_in_a_checkout_wsgi_app_is_the_files() -> None:
    with serving([sys.executable, "run_builtin.py", "--app", "wsgi:app"], HOME) as server:
        assert fetch(server.port, "/").body == GUIDE


def test_an_application_may_be_made_of_the_installed_package(
    installed: Installed, tmp_path: Path
) -> None:
    lay({"wsgi.py": "from tally_server.wsgi import app\n", "a.txt": "hello"}, tmp_path)
    with serving(
        [installed.command("tally"), "--app", "wsgi:app"], tmp_path, TALLY_ROOT=str(tmp_path)
    ) as server:
        assert fetch(server.port, "/a.txt").body == b"hello"

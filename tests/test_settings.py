"""Options: flag, variable, default; and the one line with which each senseless value is refused."""

import os
from collections.abc import Mapping, Sequence

import pytest

from app import __version__
from app.files.policy import HeaderRule
from app.options import DEFAULT_ROOT, variable_of
from app.server import Limits, ServerOptions
from app.settings import Settings, SettingsError


def read(*arguments: str, **environ: str) -> Settings:
    return Settings.from_command_line(arguments, environ)


DEFAULTS: dict[str, object] = {
    "root": DEFAULT_ROOT,
    "index": ("index.html",),
    "spa": None,
    "listing": False,
    "dotfiles": False,
    "follow_symlinks": False,
    "max_age": 0,
    "immutable": ("auto",),
    "header": (),
    "cors": None,
    "download": (),
    "mime": (),
    "charset": "utf-8",
    "no_compression": False,
    "root_grace": 10.0,
    "counts": "",
    "counts_journal": "",
    "count_log": "-",
    "count_header": False,
    "own": (),
    "robots": (),
    "clients": False,
    "download_bytes": 1_000_000,
    "keep_days": 0,
    "log_clients": "full",
    "quiet": False,
    "stats": "/-/tally/",
    "stats_token_file": "",
    "stats_public": False,
    "badge": (),
    "metrics_files": 1000,
    "metrics_match": "",
    "app": "",
    "bind": (":0",),
    "unix_mode": 0o666,
    "backlog": 2048,
    "threads": 8,
    "workers": 1,
    "certfile": "",
    "keyfile": "",
    "forwarded_allow_ips": (),
    "header_timeout": 10.0,
    "body_timeout": 30.0,
    "write_timeout": 60.0,
    "keep_alive": 75.0,
    "graceful_timeout": 30.0,
    "max_connections": 0,
    "limit_request_line": 8190,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "limit_request_head": 65536,
    "limit_request_body": 1073741824,
    "access_logfile": "",
    "access_logformat": "combined",
}


def test_defaults() -> None:
    settings = read()
    assert vars(settings) == DEFAULTS
    assert vars(Settings.from_environment({})) == DEFAULTS


def test_the_server_takes_its_options_by_name() -> None:
    others = {"threads": 3, "header_timeout": 1.5, "body_timeout": 2.5, "write_timeout": 3.5}
    others |= {"keep_alive": 0.0, "graceful_timeout": 4.5, "max_connections": 7}
    limits = {"line": 100, "fields": 5, "field_size": 200, "head": 300, "body": 0}
    given = others | {f"limit_request_{name}": value for name, value in limits.items()}
    settings = read(*(f"--{name.replace('_', '-')}={value}" for name, value in given.items()))
    expected = ServerOptions(**others, limits=Limits(**limits), multiprocess=True)  # type: ignore[arg-type]
    assert ServerOptions.of(settings, multiprocess=True) == expected
    assert ServerOptions.of(read(), multiprocess=False) == ServerOptions()


# arguments, variables, field, value
READINGS: list[tuple[Sequence[str], Mapping[str, str], str, object]] = [
    (["/srv"], {}, "root", "/srv"),
    (["--root", "/srv"], {}, "root", "/srv"),
    (["--root", "/srv", "/srv"], {}, "root", "/srv"),
    ([], {"TALLY_ROOT": "/srv"}, "root", "/srv"),
    (["/other"], {"TALLY_ROOT": "/srv"}, "root", "/other"),
    (["--root", "/other"], {"TALLY_ROOT": "/srv"}, "root", "/other"),
    (["below"], {}, "root", os.path.join(os.getcwd(), "below")),
    (["--", "-odd"], {}, "root", os.path.join(os.getcwd(), "-odd")),
    (["--index", "default.htm"], {}, "index", ("default.htm",)),
    ([], {"TALLY_INDEX": "index.html, index.htm"}, "index", ("index.html", "index.htm")),
    (["--spa", "/app/index.html"], {}, "spa", "app/index.html"),
    (["--immutable", "off"], {}, "immutable", ("off",)),
    (
        ["--immutable", "auto,*.whl", "--immutable", "v/*"],
        {},
        "immutable",
        ("auto", "*.whl", "v/*"),
    ),
    (["--cors"], {}, "cors", "*"),
    (["--cors", "https://a.example:8443"], {}, "cors", "https://a.example:8443"),
    ([], {"TALLY_CORS": "*"}, "cors", "*"),
    (["--download", "*.csv,*.xml"], {}, "download", ("*.csv", "*.xml")),
    (
        ["--header", "* X-A: 1", "--header", "*.js X-B:"],
        {},
        "header",
        (HeaderRule("*", "X-A", "1"), HeaderRule("*.js", "X-B", "")),
    ),
    (
        [],
        {"TALLY_HEADER": "* X-A: 1\n*.js X-B: a, b"},
        "header",
        (HeaderRule("*", "X-A", "1"), HeaderRule("*.js", "X-B", "a, b")),
    ),
    (
        ["--mime", ".x=a/b", "--mime", ".y=text/c; charset=utf-8"],
        {},
        "mime",
        ((".x", "a/b"), (".y", "text/c; charset=utf-8")),
    ),
    (["--charset", "none"], {}, "charset", ""),
    (["--max-age", "3600"], {"TALLY_MAX_AGE": "60"}, "max_age", 3600),
    ([], {"TALLY_MAX_AGE": "60"}, "max_age", 60),
    ([], {"TALLY_MAX_AGE": ""}, "max_age", 0),
    (["--root-grace", "never"], {}, "root_grace", None),
    (["--root-grace", "0"], {}, "root_grace", 0.0),
    ([], {"TALLY_ROOT_GRACE": "2.5"}, "root_grace", 2.5),
    (["--counts", "redis://localhost/1"], {}, "counts", "redis://localhost/1"),
    ([], {"TALLY_COUNTS": "lmdb:/var/lib/tally"}, "counts", "lmdb:/var/lib/tally"),
    (["--count-log", "off"], {}, "count_log", "off"),
    (["--count-header"], {}, "count_header", True),
    (["--count-header"], {"TALLY_COUNT_HEADER": "0"}, "count_header", True),
    ([], {"TALLY_COUNT_HEADER": "1"}, "count_header", True),
    ([], {"TALLY_COUNT_HEADER": "0"}, "count_header", False),
    ([], {"TALLY_COUNT_HEADER": ""}, "count_header", False),
    (
        ["--own", "192.0.2.0/24, ::1", "--own", "10.1.2.3"],
        {},
        "own",
        ("192.0.2.0/24", "::1", "10.1.2.3"),
    ),
    (["--stats", "off"], {}, "stats", ""),
    (["--stats", "numbers/"], {}, "stats", "/numbers/"),
    ([], {"TALLY_STATS": "/a/b"}, "stats", "/a/b/"),
    ([], {"TALLY_STATS_PUBLIC": "1"}, "stats_public", True),
    (["--badge", "/a/*,/b", "--badge", "/c"], {}, "badge", ("/a/*", "/b", "/c")),
    ([], {"TALLY_METRICS_FILES": "0"}, "metrics_files", 0),
    (["--metrics-match", "*.iso"], {}, "metrics_match", "*.iso"),
    (["--stats-token-file", "/run/token"], {}, "stats_token_file", "/run/token"),
    ([], {"TALLY_CLIENTS": "1"}, "clients", True),
    (["--download-bytes", "5"], {}, "download_bytes", 5),
    (["--keep-days", "400"], {}, "keep_days", 400),
    ([], {"TALLY_LOG_CLIENTS": "network"}, "log_clients", "network"),
    (["-q"], {}, "quiet", True),
    ([], {"TALLY_QUIET": "1"}, "quiet", True),
    (["-b", "127.0.0.1:80"], {}, "bind", ("127.0.0.1:80",)),
    (["-b", ":80", "--bind", "[::1]:81"], {}, "bind", (":80", "[::1]:81")),
    (["-b", ":80"], {"TALLY_BIND": ":81,:82"}, "bind", (":80",)),
    (["-b", ":80", "-b", ":80"], {}, "bind", (":80", ":80")),
    ([], {"TALLY_BIND": ":81, unix:/run/tally.sock"}, "bind", (":81", "unix:/run/tally.sock")),
    (["--unix-mode", "660"], {}, "unix_mode", 0o660),
    (["--unix-mode", "0600"], {}, "unix_mode", 0o600),
    (["--backlog", "5"], {}, "backlog", 5),
    (["--threads", "0"], {}, "threads", 0),
    (["-w", "4"], {"TALLY_WORKERS": "2"}, "workers", 4),
    (["-w", "auto"], {}, "workers", len(os.sched_getaffinity(0))),
    (["--certfile", "c", "--keyfile", "k"], {}, "keyfile", "k"),
    (["--forwarded-allow-ips", "10.0.0.1, unix"], {}, "forwarded_allow_ips", ("10.0.0.1", "unix")),
    (["--header-timeout", ".5"], {}, "header_timeout", 0.5),
    (["--keep-alive", "0"], {}, "keep_alive", 0.0),
    (["--limit-request-body", "0"], {}, "limit_request_body", 0),
    (["--access-logformat", "json"], {}, "access_logformat", "json"),
    ([], {"TALLY_ACCESS_LOGFORMAT": "json"}, "access_logformat", "json"),
    # What an orchestrator adds for a service of this name is not ours to judge.
    ([], {"TALLY_SERVICE_HOST": "10.0.0.1", "TALLY_PORT": "tcp://10.0.0.1:80"}, "bind", (":0",)),
]


@pytest.mark.parametrize(("arguments", "environ", "field", "value"), READINGS)
def test_reading(
    arguments: Sequence[str], environ: Mapping[str, str], field: str, value: object
) -> None:
    assert getattr(Settings.from_command_line(arguments, environ), field) == value
    if not arguments:
        assert getattr(Settings.from_environment(environ), field) == value


#: Texts that mean something else than what they say, or are read into something else than text.
READ_ONCE = [
    ("--stats", "off"), ("--stats", "/numbers"), ("--charset", "none"), ("--charset", "latin-1"),
    ("--root-grace", "never"), ("--workers", "auto"), ("--unix-mode", "660"), ("--cors", "*"),
    ("--immutable", "off"), ("--index", "a.html,b.html"), ("--own", "192.0.2.1"), ("--mime", ".x=a/b"),
    ("--spa", "/app.html"), ("--max-age", "60"), ("--download", "*.csv"), ("--header", "* X-A: b"),
    ("--keep-days", "0"), ("--badge", "/*"), ("--log-clients", "off"), ("--access-logformat", "json"),
    ("--forwarded-allow-ips", "10.0.0.1"), ("--bind", ":80"),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "text"), READ_ONCE)
def test_flag_and_variable_read_the_same_text_alike(flag: str, text: str) -> None:
    field = flag.removeprefix("--").replace("-", "_")
    by_flag = getattr(read(flag, text), field)
    assert getattr(Settings.from_environment({variable_of(flag): text}), field) == by_flag
    by_both = Settings.from_command_line([flag, text], {variable_of(flag): text})
    assert getattr(by_both, field) == by_flag


# flag, value: refused alike on the command line and in the variable
SENSELESS = [
    ("--index", "a/b"),
    ("--index", ".."),
    ("--index", ".hidden"),
    ("--index", "a.html,"),
    ("--spa", "../a.html"),
    ("--cors", "example.com"),
    ("--cors", "https://a.example/path"),
    ("--header", "X-A: 1"),
    ("--header", "* Content-Length: 3"),
    ("--header", "* X-A: a\0b"),
    ("--mime", "x=a/b"),
    ("--mime", ".x=a"),
    ("--charset", "utf 8"),
    ("--max-age", "-1"),
    ("--max-age", "soon"),
    ("--max-age", "1.5"),
    ("--max-age", "9" * 5000),
    ("--max-age", "\N{ARABIC-INDIC DIGIT ONE}"),
    ("--root-grace", "-1"),
    ("--root-grace", "nan"),
    ("--root-grace", "forever"),
    ("--own", "192.0.2"),
    ("--own", "10.0.0.0/8,,"),
    ("--robots", "/nowhere/at/all"),
    ("--robots", "/dev/null/x"),
    ("--download-bytes", "0"),
    ("--keep-days", "-1"),
    ("--log-clients", "some"),
    ("--stats", "/"),
    ("--metrics-files", "-1"),
    ("--metrics-match", "x" * 1001),
    ("--stats", "/a/../b"),
    ("--stats", "/a b"),
    ("--bind", ","),
    ("--bind", ":80,,:81"),
    ("--unix-mode", "999"),
    ("--unix-mode", "rw"),
    ("--unix-mode", "7777"),
    ("--backlog", "0"),
    ("--threads", "-1"),
    ("--threads", "many"),
    ("--threads", "5000"),
    ("--threads", "1_0"),
    ("--workers", "0"),
    ("--workers", "all"),
    ("--header-timeout", "0"),
    ("--header-timeout", "inf"),
    ("--body-timeout", "1e3"),
    ("--write-timeout", "10s"),
    ("--keep-alive", "-0.1"),
    ("--limit-request-line", "10"),
    ("--limit-request-fields", "0"),
    ("--access-logformat", "common"),
    ("--forwarded-allow-ips", " "),
]


@pytest.mark.parametrize(("flag", "value"), SENSELESS)
def test_senseless_value(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(f"{flag}={value}")
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("tally: ")
    assert f"{flag}: " in printed.err
    with pytest.raises(SettingsError, match=f"^{variable_of(flag)}: ") as refused:
        Settings.from_environment({variable_of(flag): value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("variable", ["TALLY_COUNT_HEADER", "TALLY_QUIET", "TALLY_NO_COMPRESSION"])
@pytest.mark.parametrize("value", ["yes", "true", "2", " 1"])
def test_senseless_switch(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: .* is neither 1 nor 0$"):
        Settings.from_environment({variable: value})


# arguments, what the line says
REFUSED = [
    (["--frob"], "--frob"),
    (
        ["--thread", "4"],
        "--thread",
    ),  # no abbreviations: an option added later would change their meaning
    (["a", "b"], "b"),
    (["--root", "a", "b"], "two different directories"),
    (["--root", ""], "--root: it must not be empty"),
    ([""], "must not be empty"),
    (["--threads"], "--threads: expected one argument"),
    (["--count-header=1"], "--count-header"),
    (["--keyfile", "k"], "--certfile"),
    (["line\nbreak", "second\nline"], "second line"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_refused_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(*arguments)
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("tally: ")
    assert line.count("\n") == 1
    assert said in line


def test_help_names_every_option_with_its_variable_and_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in Settings.__annotations__:
        flag = "--" + name.replace("_", "-")
        assert f"{flag} " in text
        assert f"[{variable_of(flag)}" in text
    for shown in (
        "[TALLY_THREADS; default 8]",
        "[TALLY_COUNT_HEADER; default off]",
        "[TALLY_BIND; default :0]",
    ):
        assert shown in text


def test_version_is_the_packages_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"Tally {__version__}\n"

"""The command lines of servers, and the configuration files they name."""

import sys
from pathlib import Path

import pytest

from app.comparison.servers import DEFAULT_SERVERS, PROJECT, SERVERS, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site("/the/site", 8123, str(tmp_path), codings=True)


def test_every_server_has_a_command_for_a_site(site: Site) -> None:
    for server in SERVERS.values():
        words = server.command_for(site)
        assert not [word for word in words if "{" in word], server.name
        assert words[0] == sys.executable or not server.application


def test_whitenoise_runs_under_each_server_that_runs_us(site: Site) -> None:
    own = [name for name, server in SERVERS.items() if server.application.endswith("wsgi:app")]
    assert set(DEFAULT_SERVERS) <= set(own)
    for name in own:
        other = SERVERS[f"{name}+whitenoise"]
        assert other.needs[-1] == "whitenoise"
        assert other.variables(site)["COMPARISON_APPLICATION"].endswith("whitenoise_site:app")
    builtin = SERVERS["builtin+whitenoise"].command_for(site)
    assert builtin[1:4] == [f"{PROJECT}/run_builtin.py", "--bind", "127.0.0.1:8123"]
    assert builtin[4] == "--app"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nginx", ['root "/the/site";', "listen 127.0.0.1:8123;", "gzip_static on;"]),
        ("caddy", ["http://:8123 {", "root * /the/site", "precompressed gzip"]),
        ("lighttpd", ['"/the/site"', "server.port = 8123", '".css" => "text/css; charset=utf-8"']),
    ],
)
def test_a_configuration_file_names_the_site(name: str, parts: list[str], site: Site) -> None:
    server = SERVERS[name]
    path = Path(site.scratch, server.configuration)
    assert str(path) in server.command_for(site)
    text = path.read_text("utf-8")
    assert [part for part in parts if part not in text] == []

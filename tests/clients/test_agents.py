"""User-Agents and the class that each has."""

import pytest

from app.clients.agents import class_of, list_version, read_patterns

MOZILLA = "Mozilla/5.0"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0"

PEOPLE = [
    f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36",
    f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/142.0.0.0",
    f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Safari/605.1.15",
    f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) {SAFARI} Mobile/15E148 Safari/604.1",
    f"{MOZILLA} (Linux; Android 14; CUBOT X50) {CHROME} Mobile Safari/537.36",
    f"{MOZILLA} (Linux; Android 14; Nexus 5X) {CHROME} Mobile Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
    f"{MOZILLA} (compatible; Konqueror/4.5; Linux) KHTML/4.5.4 (like Gecko)",
    "w3m/0.5.3+git20230121",
    "Links (2.29; Linux 6.1 x86_64)",
    "Dillo/3.1",
    "AppleCoreMedia/1.0.0.21A329 (iPhone; U; CPU OS 17_0 like Mac OS X; en_us)",
    "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)",
    "AntennaPod/3.3.1",
    "Podcasts/1575.1.1 CFNetwork/1399 Darwin/22.1.0",
    "Spotify/8.8.0 iOS/16.1 (iPhone14,2)",
    "VLC/3.0.20 LibVLC/3.0.20",
    "Kodi/20.2 (X11; Linux x86_64) Ubuntu/22.04",
    "Thunderbird/115.8.0",
]

TOOLS = [
    "curl/8.5.0",
    "Wget/1.21.4",
    "Wget2/2.1.0",
    "aria2/1.37.0",
    "python-requests/2.31.0",
    "python-httpx/0.27.0",
    "Python-urllib/3.12",
    "Python/3.12 aiohttp/3.9.3",
    "libwww-perl/6.72",
    "Go-http-client/2.0",
    "Java-http-client/17.0.10",
    "Apache-HttpClient/4.5.14 (Java/17.0.10)",
    "Symfony HttpClient/Curl",
    "Java/17.0.10",
    "Dart/3.3 (dart:io)",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "node",
    "undici",
    "Deno/1.41.0",
    "reqwest/0.11.24",
    'pip/24.0 {"ci":null,"cpu":"x86_64"}',
    'uv/0.5.4 {"installer":{"name":"uv"}}',
    "poetry/1.8.3 CPython/3.12.3 Linux/6.8.0",
    "conda/24.1.2 requests/2.31.0 CPython/3.11.8",
    "bandersnatch/6.5.0 (cpython 3.12.2-final0, Linux x86_64) (aiohttp 3.9.3)",
    "devpi-server/6.10.0 (py3.11.8; linux)",
    "git/2.43.0",
    "git-lfs/3.4.1 (GitHub; linux amd64; go 1.21)",
    "Debian APT-HTTP/1.3 (2.6.1)",
    "Debian APT-CURL/1.0 (1.6)",
    "dnf/4.18",
    "libdnf (Fedora Linux 40; workstation; Linux.x86_64)",
    "urlgrabber/3.10 yum/3.4.3",
    "ZYpp 17.31.2 (curl 8.0.1) openSUSE-Leap-15.5-x86_64",
    "pacman/6.1.0 (Linux x86_64) libalpm/14.0.0",
    "apk-tools/2.14.4",
    "Homebrew/4.2.10 (Macintosh; arm64 Mac OS X 14.3) curl/8.4.0",
    "npm/10.2.4 node/v20.11.0 linux x64 workspaces/false",
    "cargo 1.76.0 (c84b36747 2024-01-18)",
    "GoModuleMirror/1.0 (+https://proxy.golang.org)",
    "Composer/2.7.1 (Linux; 6.5.0; PHP 8.2.16; cURL 8.5.0)",
    "RubyGems/3.5.6 x86_64-linux Ruby/3.3.0",
    "Apache-Maven/3.9.6 (Java 17.0.10; Linux 6.5.0)",
    "docker/25.0.3 go/go1.21.6 git-commit/f417435 kernel/6.5.0 os/linux arch/amd64",
    "containerd/1.7.13",
    "skopeo/1.14.2",
    "HTTPie/3.2.2",
    f"{MOZILLA} (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.2506",
    "Microsoft BITS/7.8",
    "rclone/v1.65.2",
    "PIP/24.0",
]

ROBOTS = [
    "",
    "-",
    "Mozilla/5.0",
    f"{MOZILLA} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"{MOZILLA} (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    f"{MOZILLA} (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Baiduspider+(+http://www.baidu.com/search/spider.htm)",
    f"{MOZILLA} {CHROME} Safari/537.36 (compatible; GPTBot/1.0; +https://openai.com/gptbot)",
    f"{MOZILLA} {CHROME}; compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    f"{MOZILLA} {CHROME} (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    f"{MOZILLA} {CHROME} (compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
    f"{MOZILLA} {CHROME} (compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "GoogleOther",
    f"{MOZILLA} (Linux; Android 6.0.1; Nexus 5X) {CHROME} Mobile Safari/537.36 (compatible; GoogleOther)",
    "Google-InspectionTool/1.0",
    "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0)",
    "TelegramBot (like TwitterBot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mastodon/4.2.7 (http.rb/5.1.1; +https://mastodon.social/)",
    f"{MOZILLA} (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    f"{MOZILLA} (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
    f"{MOZILLA} (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    f"{MOZILLA} (compatible; CensysInspect/1.1; +https://about.censys.io/)",
    f"{MOZILLA} zgrab/0.x",
    "Scrapy/2.11.1 (+https://scrapy.org)",
    "HTTrack 3.49",
    "kube-probe/1.29",
    "Prometheus/2.50.1",
    "Blackbox Exporter/0.24.0",
    "GoogleHC/1.0",
    "ELB-HealthChecker/2.0",
    "Amazon-Route53-Health-Check-Service (ref 1234; report http://amzn.to/1vsZADi)",
    f"{MOZILLA}+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Better Uptime Bot Mozilla/5.0",
    "Uptime-Kuma/1.23.11",
    "check_http/v2.3.1 (monitoring-plugins 2.3.1)",
]

AGENTS = [
    *((agent, "people") for agent in PEOPLE),
    *((agent, "tools") for agent in TOOLS),
    *((agent, "robots") for agent in ROBOTS),
]


@pytest.mark.parametrize(("agent", "class_"), AGENTS)
def test_the_class_of_an_agent(agent: str, class_: str) -> None:
    assert class_of(agent) == class_


def test_a_list_of_the_operators() -> None:
    patterns = read_patterns(["# ours", "", "  ^corp-monitor/  ", "Firefox/(1[34])0", "\ufeff#"])
    assert class_of("Corp-Monitor/1.0", patterns) == "robots"
    assert class_of("a corp-monitor/1.0", patterns) == "people"
    assert class_of("curl/8.5.0 firefox/140", patterns) == "robots"
    assert class_of("curl/8.5.0", patterns) == "tools"


@pytest.mark.parametrize("line", ["(", "a{2", "[", "*", "x{99999999999}"])
def test_a_pattern_that_is_none(line: str) -> None:
    if line == "a{2":
        assert len(read_patterns([line])) == 1
        return
    with pytest.raises(ValueError, match=r"^line 3: [^\n]+$"):
        read_patterns(["fine", "# (", line])


def test_which_lists() -> None:
    assert list_version() == "counter-robots 2025.11"


@pytest.mark.parametrize(
    "piece",
    ["a", " ", "(", "/", "Mozilla ", "google ", "http-", "Go-http-clien", "bot", "1.", "\xff"],
)
def test_no_agent_takes_long(piece: str) -> None:
    from time import thread_time

    agent = (piece * 512)[:512]
    class_of(agent)
    begun = thread_time()
    for _ in range(20):
        class_of(agent)
    assert (thread_time() - begun) / 20 < 0.01, "seconds; an ordinary one takes 0.0001 to 0.0004"

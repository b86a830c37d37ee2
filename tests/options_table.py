"""The tables of options in the guide, made from what `app.settings` says of them.

    python -m tests.options_table

writes them into www/guide/running.html. `tests/test_site.py` fails when the page has others.
"""

import sys
from html import escape
from pathlib import Path

from app.options import DEFAULT_ROOT, GROUPS, Option

PAGE = Path(__file__).resolve().parent.parent / "www" / "guide" / "running.html"
_BEGIN, _END = (
    "        <!-- options: made by tests/options_table.py -->\n",
    "        <!-- /options -->\n",
)
#: The groups' anchors, and what is to be said before their tables.
_GROUPS = {
    "what is served": ("files", ""),
    "counting": ("counting", ""),
    "statistics": ("statistics", ""),
    "the built-in server": (
        "server",
        "Under gunicorn only <code>TALLY_THREADS</code> (1 or more) has an effect. Use gunicorn’s own"
        " options for the rest.",
    ),
    "limits": ("limits", ""),
    "the server's access log": ("access-log", ""),
}


def _row(option: Option) -> str:
    flags = ", ".join(option.flags) + (f" {option.metavar}" if option.metavar else "")
    return f"""\
              <tr>
                <td><code>{escape(flags, quote=False)}</code> \
<code class="variable">{option.variable}</code></td>
                <td>{_default(option)}</td>
                <td>{escape(option.help, quote=False)}</td>
              </tr>
"""


def _default(option: Option) -> str:
    if option.default == DEFAULT_ROOT:
        return "Tally’s guide"
    return f"<code>{escape(option.default)}</code>" if option.default else option.unset


def _table(title: str, options: tuple[Option, ...]) -> str:
    anchor, note = _GROUPS[title]
    shown = (title[:1].upper() + title[1:]).replace("'", "’")
    return f"""\
        <h3 id="{anchor}">{shown}</h3>
{f"        <p>{note}</p>" + chr(10) if note else ""}\
        <div class="scroll" tabindex="0" role="region" aria-label="Options: {title.replace("'", "’")}">
          <table class="options">
            <thead>
              <tr><th scope="col">Flag and variable</th><th scope="col">Default</th>\
<th scope="col">Meaning</th></tr>
            </thead>
            <tbody>
{"".join(map(_row, options))}\
            </tbody>
          </table>
        </div>
"""


def page_with_tables(page: str) -> str:
    """Return *page* with the tables of options as they are now."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    tables = "".join(_table(title, options) for title, options in GROUPS)
    return before + _BEGIN + tables + _END + after


def main() -> int:
    PAGE.write_text(page_with_tables(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The configuration files of nginx, Caddy and lighttpd: no access log, all else as near their
defaults as can be.
"""

import os

_MEDIA_TYPES = {
    "html": "text/html",
    "txt": "text/plain",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "json": "application/json",
    "bin": "application/octet-stream",
}


def nginx_file(root: str, port: int, scratch: str, codings: bool) -> str:
    """Write nginx's configuration into *scratch* and return its path."""
    types = " ".join(f"{media_type} {ending};" for ending, media_type in _MEDIA_TYPES.items())
    bodies = " ".join(
        f"{kind}_temp_path {scratch}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # A master that is root gives its workers to `nobody`, who could not read a private document
    # root.
    user = "user root;" if os.getuid() == 0 else ""
    return _write(
        scratch,
        "nginx.conf",
        f"""{user} daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  {bodies}
  types {{ {types} }}
  access_log off; sendfile on; charset utf-8; charset_types text/plain text/css text/javascript;
  {"gzip_static on; gzip_vary on;" if codings else ""}
  server {{ listen 127.0.0.1:{port}; root "{root}"; index index.html; }}
}}
""",
    )


def caddy_file(root: str, port: int, scratch: str, codings: bool) -> str:
    """Write Caddy's configuration into *scratch* and return its path."""
    return _write(
        scratch,
        "Caddyfile",
        f"""{{
  admin off
  auto_https off
  storage file_system {scratch}/caddy
}}
http://:{port} {{
  bind 127.0.0.1
  root * {root}
  file_server {{
    {"precompressed gzip" if codings else ""}
  }}
}}
""",
    )


def lighttpd_file(root: str, port: int, scratch: str) -> str:
    """Write lighttpd's configuration into *scratch* and return its path."""
    types = ", ".join(
        f'".{ending}" => "{media_type}{"; charset=utf-8" * media_type.startswith("text/")}"'
        for ending, media_type in _MEDIA_TYPES.items()
    )
    return _write(
        scratch,
        "lighttpd.conf",
        f"""server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-fds = 16384
index-file.names = ( "index.html" )
mimetype.assign = ( {types} )
""",
    )


def _write(scratch: str, name: str, text: str) -> str:
    path = os.path.join(scratch, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path

"""A large generated tree through both servers, by wget and eight curls at once, compared with `diff
-r`.

python -m tests.end_to_end.mirror --files 500 --largest 300M
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.end_to_end.servers import BUILTIN, GUNICORN, running
from tests.end_to_end.tree import generate, write_links

CLIENTS = 8


def size(text: str) -> int:
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper())
    return int(text[:-1]) * factor if factor else int(text)


def start_clients(
    port: int, root: Path, tree: dict[str, Path], copies: Path
) -> list[subprocess.Popen[bytes]]:
    """Start wget, which takes the whole tree, and the curls, which share it between them."""
    base = f"http://127.0.0.1:{port}"
    wget = [
        "wget",
        "--mirror",
        "--quiet",
        "--no-host-directories",
        "--restrict-file-names=nocontrol",
    ]
    started = [subprocess.Popen([*wget, f"--directory-prefix={copies / 'wget'}", f"{base}/"])]
    targets = [*tree.items(), ("/index.html", root / "index.html")]
    for number in range(CLIENTS):
        config = copies / f"curl-{number}"
        lines = []
        for target, path in targets[number::CLIENTS]:
            output = (
                str(copies / "curl" / path.relative_to(root))
                .replace("\\", "\\\\")
                .replace('"', '\\"')
            )
            lines.append(f'url = "{base}{target}"\noutput = "{output}"\n')
        config.write_text("".join(lines), "utf-8")
        started.append(
            subprocess.Popen(["curl", "-fsS", "--create-dirs", "--globoff", "--config", config])
        )
    return started


def mirror(kind: str, root: Path, tree: dict[str, Path], copies: Path) -> bool:
    """Fetch *tree* through the server *kind*; return whether both copies are the same as *root*."""
    began = time.monotonic()
    with running(kind, root=root, TALLY_COUNT_LOG="off") as server:
        statuses = [client.wait() for client in start_clients(server.port, root, tree, copies)]
        stopped = server.stop()
    compared = [
        subprocess.run(["diff", "-r", root, copies / name], check=False).returncode
        for name in ("wget", "curl")
    ]
    same = not any([*statuses, *compared, stopped])
    print(
        f"{kind}: {len(tree)} files, {time.monotonic() - began:.1f} s,"
        f" {'the same' if same else 'DIFFERENT'}",
        flush=True,
    )
    if not same:
        print(f"  clients {statuses}, diff {compared}, server {stopped}\n{server.printed()}")
    return same


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.mirror", description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--largest", type=size, default=size("300M"), metavar="SIZE")
    arguments = parser.parse_args()
    for name in ("wget", "curl", "diff"):
        if shutil.which(name) is None:
            parser.error(f"{name} is not installed")
    same = []
    with tempfile.TemporaryDirectory(prefix="tally-mirror-") as home:
        root = Path(home) / "root"
        root.mkdir()
        tree = generate(root, files=arguments.files, largest=arguments.largest)
        write_links(root, tree)
        for kind in (BUILTIN, GUNICORN):
            copies = Path(home) / kind
            copies.mkdir()
            same.append(mirror(kind, root, tree, copies))
            shutil.rmtree(copies)
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())

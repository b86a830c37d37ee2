"""What can be known of the file system below a directory, of the machine's boot, and of the
process-id namespace that this process is in.
"""

import os

# File systems that write each block in a new place, so that there may be no space when a page is
# written, although it was allocated; and those whose space another machine manages. An overlay may
# lie on either kind.
_WITHOUT_RESERVE = frozenset(
    {"9p", "bcachefs", "btrfs", "ceph", "cifs", "f2fs", "glusterfs", "nfs", "nfs4", "nilfs2",
     "overlay", "smb3", "smbfs", "virtiofs", "zfs"}
)  # fmt: skip


def reserves_space(directory: str) -> bool:
    """Tell whether space that is allocated in *directory* can be relied on when a page of the file
    is written.
    """
    kind = _kind(directory)
    return kind not in _WITHOUT_RESERVE and not kind.startswith("fuse")


def _kind(directory: str) -> str:
    """Return the type of the file system, such as ext4; "" where it cannot be known."""
    path = os.path.realpath(directory)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                # proc(5): the mount point is the fifth field; the type comes after the hyphen.
                before, _, after = line.partition(" - ")
                mounted = _unescaped(before.split(" ")[4])
                # Of several mounts at one point, the last one is what is seen.
                if len(mounted) >= len(best) and (path + "/").startswith(mounted.rstrip("/") + "/"):
                    best, kind = mounted, after.partition(" ")[0]
    except (OSError, IndexError):
        return ""
    return kind


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def boot() -> bytes:
    """Return what tells this boot of the machine from any other; b"?" if unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip()
    except OSError:
        return b"?"


def process_namespace() -> bytes:
    """Return what tells this process-id namespace from any other, also of other machines; b"" if
    unknown.
    """
    try:
        status = os.stat("/proc/self/ns/pid")
    except OSError:
        return b""
    its_boot = boot()
    return b"%s %d" % (its_boot, status.st_ino) if its_boot != b"?" else b""

"""Media types by file name: one pinned table, so that every machine gives the same answer (RFC 9110
section 8.3).
"""

import mimetypes
import os

DEFAULT = "application/octet-stream"

# The table comes first; what it lacks, the table in Python's source decides. Types from the
# system's own files are left out, since they differ from machine to machine. text/javascript: RFC
# 9239. A compressed archive is what it is (application/gzip), not a coding of something else:
# clients must store it as it is.
_TYPES = {
    # Documents
    "html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml", "txt": "text/plain",
    "text": "text/plain", "log": "text/plain", "conf": "text/plain", "ini": "text/plain",
    "css": "text/css", "csv": "text/csv", "tsv": "text/tab-separated-values",
    "md": "text/markdown", "markdown": "text/markdown", "rst": "text/x-rst",
    "ics": "text/calendar", "vcf": "text/vcard", "vtt": "text/vtt", "srt": "text/plain", "pdf": "application/pdf",
    "rtf": "application/rtf", "epub": "application/epub+zip", "ps": "application/postscript",
    # Code and data
    "js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript", "json": "application/json",
    "map": "application/json", "jsonld": "application/ld+json", "geojson": "application/geo+json",
    "ndjson": "application/x-ndjson", "jsonl": "application/jsonl", "webmanifest": "application/manifest+json",
    "xml": "application/xml", "xsl": "application/xslt+xml", "xslt": "application/xslt+xml", "xsd": "application/xml",
    "rss": "application/rss+xml", "atom": "application/atom+xml", "gpx": "application/gpx+xml",
    "kml": "application/vnd.google-earth.kml+xml", "yaml": "application/yaml", "yml": "application/yaml",
    "toml": "application/toml", "sql": "application/sql", "wasm": "application/wasm", "py": "text/x-python",
    "c": "text/x-c", "h": "text/x-c", "sh": "application/x-sh", "ts": "video/mp2t", "tsx": "text/plain",
    "jsx": "text/plain", "graphql": "application/graphql", "sqlite": "application/vnd.sqlite3", "bin": DEFAULT,
    # Pictures
    "svg": "image/svg+xml", "png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg",
    "jpe": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "jxl": "image/jxl",
    "heic": "image/heic", "heif": "image/heif", "ico": "image/vnd.microsoft.icon", "bmp": "image/bmp",
    "tif": "image/tiff", "tiff": "image/tiff", "psd": "image/vnd.adobe.photoshop",
    # Sound and film
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "oga": "audio/ogg", "ogg": "audio/ogg",
    "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "weba": "audio/webm", "mid": "audio/midi",
    "midi": "audio/midi", "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
    "mov": "video/quicktime", "avi": "video/x-msvideo", "mkv": "video/matroska", "mpeg": "video/mpeg",
    "mpg": "video/mpeg", "3gp": "video/3gpp", "m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",
    # Fonts and models
    "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf", "ttc": "font/collection",
    "eot": "application/vnd.ms-fontobject", "glb": "model/gltf-binary", "gltf": "model/gltf+json", "stl": "model/stl",
    # Archives and packages
    "zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2",
    "tbz2": "application/x-bzip2", "xz": "application/x-xz", "txz": "application/x-xz", "zst": "application/zstd",
    "br": DEFAULT, "tar": "application/x-tar", "7z": "application/x-7z-compressed", "rar": "application/vnd.rar",
    "jar": "application/java-archive", "apk": "application/vnd.android.package-archive", "whl": "application/zip",
    "deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm", "iso": "application/x-iso9660-image",
    "dmg": "application/x-apple-diskimage", "exe": "application/vnd.microsoft.portable-executable",
    "msi": "application/x-msi", "torrent": "application/x-bittorrent", "asc": "text/plain", "sig": DEFAULT,
    # Office
    "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
}  # fmt: skip

# Built without file names, it holds Python's own table alone.
_PYTHON = mimetypes.MimeTypes(filenames=()).types_map[1]


def media_type_of(name: bytes) -> str:
    """Return the value of Content-Type for a file called *name*; text comes with its charset,
    UTF-8.
    """
    extension = os.path.splitext(name)[1].decode("ascii", "replace").lower()
    media_type = _TYPES.get(extension[1:]) or _PYTHON.get(extension) or DEFAULT
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type

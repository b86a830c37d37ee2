"""Error pages: small HTML documents that say nothing of the request or of the file system."""

from functools import cache

REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
STATUS_LINES = {status: f"{status} {reason}" for status, reason in REASONS.items()}

_EXPLANATIONS = {
    301: "The page is at another address.",
    403: "The file at this address may not be read.",
    404: "There is no file at this address.",
    405: "Files can only be fetched here.",
    406: "There is no form of this file that the client takes.",
    412: "The file is not, or no longer, the one that was meant.",
    416: "The file has no such part.",
    500: "The file could not be read.",
    503: "The files cannot be reached at the moment. Please try again in a few seconds.",
}

_STYLE = (
    "body{margin:15vh auto;max-width:36rem;padding:0 1rem;background:Canvas;color:CanvasText;"
    "font:1rem/1.5 system-ui,sans-serif}h1{font-size:1.5rem}"
)


@cache
def page(status: int) -> bytes:
    """Return the HTML document, in UTF-8, that goes with a redirect or an error."""
    title = STATUS_LINES[status]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n"
        f"<p>{_EXPLANATIONS[status]}</p>\n</main>\n</body>\n</html>\n"
    ).encode()

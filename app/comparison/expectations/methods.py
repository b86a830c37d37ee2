"""Methods: RFC 9110 section 9."""

from .checks import ANY, EMPTY, ONE, OTHER_FILE, WHOLE, answers, field, members, second, status
from .row import NOTHING, OTHER, ask, get, head, must, post, should, text

_UNCHANGED = "405: the file does not change, and the client is told so"
_ALLOWED = (status(405) & field("Allow", members("GET", "HEAD"))) | status(501)
_NO_MORE = second(OTHER_FILE) | answers(1)

ROWS = (
    must("9110 9.3.1", "GET of a file", text(), WHOLE),
    must("9110 9.3.1", "GET of an empty file", get("/empty.txt"), status(200) & EMPTY, "200 with nothing"),
    must("9110 15.5.5", "GET of nothing", get(NOTHING), status(404)),
    must("9110 9.3.2", "HEAD of a file", head(), status(200) & EMPTY, "200 without content"),
    must("9110 9.3.2", "HEAD, then GET on the connection", head() + OTHER, second(OTHER_FILE),
         "no byte of content after the head of the first answer", 2),
    should("9110 8.6", "HEAD says the length", head(), status(200) & field("Content-Length", ANY),
           "Content-Length as for GET"),
    must("9110 9.3.2", "HEAD of nothing", head(target=NOTHING), status(404) & EMPTY, "404 without content"),
    must("9110 9.3.2", "HEAD of nothing, then GET", head(target=NOTHING) + OTHER, _NO_MORE,
         "no byte of an error page in between", 2),
    should("9110 15.5.6", "POST of a file", post("Content-Length: 3", content="a=1"), status(405, 501), _UNCHANGED),
    should("9110 15.5.6", "PUT of a file", ask("PUT", "/text.txt", "Content-Length: 11", content="new content"),
           status(405, 501), _UNCHANGED),
    should("9110 15.5.6", "DELETE of a file", ask("DELETE", "/text.txt"), status(405, 501), _UNCHANGED),
    should("9110 15.5.6", "PATCH of a file", ask("PATCH", "/text.txt", "Content-Length: 2", content="{}"),
           status(405, 501), _UNCHANGED),
    must("9110 15.5.6", "POST says what is allowed", post("Content-Length: 3", content="a=1"), _ALLOWED,
         "a 405 has Allow with GET and HEAD"),
    must("9110 15.5.6", "DELETE says what is allowed", ask("DELETE", "/text.txt"), _ALLOWED,
         "a 405 has Allow with GET and HEAD"),
    should("9110 9.1", "a method nobody knows", ask("BREW", "/text.txt"), status(501, 405)),
    must("9110 9.1", "method names are case-sensitive", ask("get", "/text.txt"), status(4, 5),
         "`get` is not GET: an error"),
    should("9110 9.3.8", "TRACE does not echo secrets", ask("TRACE", "/text.txt", "Cookie: secret=1"),
           status(405, 501), "refused"),
    must("9110 9.3.6", "CONNECT to a server that is no proxy", ask("CONNECT", "example.com:443"), status(4, 5),
         "an error, never a tunnel"),
    should("9110 9.3.7", "OPTIONS of a file", ask("OPTIONS", "/text.txt"),
           (status(200, 204) & field("Allow", ANY)) | status(405, 501), "2xx with Allow, or a plain refusal"),
    should("9112 3.2.4", "OPTIONS *", ask("OPTIONS", "*"), status(200, 204, 405, 501),
           "2xx for the server as a whole, or a plain refusal"),
    must("9112 3.2.4", "GET *", get("*"), status(4), "the asterisk is for OPTIONS alone: an error"),
    must("9112 6", "GET with content", ask("GET", "/text.txt",
         "Content-Length: 5", content="hello") + OTHER, _NO_MORE,
         "the content is not taken for the next request", 2),
    should("9110 15.5.5", "a 404 is not served as 200", get("/pages/"), status(2, 3, 4),
           "no 5xx for a directory without index"),
    should("9110 8.6", "one Content-Length", text(), status(200) & field("Content-Length", ONE),
           "the length is told, once"),
)  # fmt: skip

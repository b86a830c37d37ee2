"""The statistics: a page, an interface for programs, metrics and badges, below a prefix.

    application ─► access      may this client see that?
                ─► a handler   page, api, metrics, badges: parameters in, an Answer out
                               each asks the counters through `CountReader`, and nothing else

All of it is GET, and changes nothing but the client's own cookie. What a handler cannot answer it
raises as a `RefusedError`, which becomes a page, a problem document or a line of text in one place.

The room is loaded with the first request below the prefix: a server whose statistics nobody opens
pays nothing for them. Nothing here knows where or how counts are kept.
"""

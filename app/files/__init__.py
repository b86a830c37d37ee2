"""What to answer: the WSGI application that serves the files under a document root."""

from .application import FileApplication
from .document_root import root_problem

__all__ = ["FileApplication", "root_problem"]

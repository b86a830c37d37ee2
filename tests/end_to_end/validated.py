"""The application inside the standard library's check of both sides of WSGI."""

from wsgiref.validate import validator

from wsgi import app as application

app = validator(application)

"""A small Django project as operators have it behind a proxy: pages for everybody, a login with a
session, forms with tokens against forgery, the admin, and https demanded by the application itself.

    application.py FOLDER

serves it on a free port of 127.0.0.1, which it prints, with its database in the folder, and a user
`ana` with the password `secret-9`.
"""

import socketserver
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

folder = Path(sys.argv[1])

settings.configure(
    SECRET_KEY="a key for tests",
    ALLOWED_HOSTS=["www.example", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    STATIC_URL="/static/",
    LOGIN_URL="/admin/login/",
    # What Django's checklist for deployment asks for, behind a proxy that speaks TLS.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    SECURE_SSL_REDIRECT=True,
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
)
django.setup()

# After django.setup().
from django.contrib import admin  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.decorators import login_required  # noqa: E402

made = 0


def front(request):
    """A page for everybody, which says how often it was made."""
    global made
    made += 1
    lines = "".join(f"<li>entry {number}</li>\n" for number in range(200))
    response = HttpResponse(f"<h1>made {made}</h1><ul>{lines}</ul>")
    response["Cache-Control"] = "public, max-age=60"
    return response


@login_required
def account(request):
    return HttpResponse(f"the account of {request.user.username} by {request.scheme}")


urlpatterns = [
    path("", front),
    path("account/", account),
    path("admin/", admin.site.urls),
]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


call_command("migrate", verbosity=0)
get_user_model().objects.create_superuser("ana", "ana@www.example", "secret-9")
with make_server("127.0.0.1", 0, get_wsgi_application(), Server, Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()

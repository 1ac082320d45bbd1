"""Notes behind Django with ConditionalGetMiddleware, which makes a strong entity tag: the MD5 of the body."""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseNotFound, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)

notes: dict[str, str] = {}


def note(request, key):
    if request.method == "POST":
        notes[key] = request.body.decode()
        return HttpResponse(status=204)
    if key not in notes:
        return HttpResponseNotFound()
    return JsonResponse({"key": key, "text": notes[key]})


urlpatterns = [path("notes/<str:key>", note)]

django.setup()
application = get_wsgi_application()

"""A counter for `logux serve --backend`, with Django and logux-django.

    pip install -r requirements.txt
    LOGUX_CONTROL_SECRET=secret python server.py 8000
"""
import os
import sys
from pathlib import Path
from threading import Lock

from django.conf import settings

SECRET = os.environ['LOGUX_CONTROL_SECRET']


def may_login(user_id, token, cookie, headers):
    return token == 'good'


settings.configure(
    ALLOWED_HOSTS=['127.0.0.1', 'localhost'],
    DEBUG=False,
    INSTALLED_APPS=['logux'],
    LOGUX_CONFIG={
        'AUTH_FUNC': may_login,
        'CONTROL_SECRET': SECRET,
        'SUBPROTOCOL': '3.0.0',
        'SUPPORTS': '^3.0.0',
        'URL': os.environ.get('LOGUX_URL', 'http://127.0.0.1:31337/'),
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY='only for this example',
)

from django.urls import path  # noqa: E402  (Django has to be configured first)
from logux.core import ActionCommand, ChannelCommand, logux_add  # noqa: E402
from logux.dispatchers import logux  # noqa: E402
from logux.views import dispatch  # noqa: E402

urlpatterns = [path('logux', dispatch)]

COUNTER = Path(os.environ.get('COUNTER_FILE', 'counter.txt'))
LOCK = Lock()


def value():
    return int(COUNTER.read_text()) if COUNTER.exists() else 0


class Counter(ChannelCommand):
    channel_pattern = r'^counter$'

    def access(self, action, meta):
        return True

    def load(self, action, meta):
        return {'type': 'counter/set', 'value': value()}


class Increment(ActionCommand):
    action_type = 'INC'

    def resend(self, action, meta):
        return ['counter']

    def access(self, action, meta):
        return meta.user_id != 'guest'

    def process(self, action, meta):
        with LOCK:
            COUNTER.write_text(str(value() + 1))


class Announce(ActionCommand):
    """Sends an action on its own account, while it processes another."""

    action_type = 'ANNOUNCE'

    def access(self, action, meta):
        return True

    def process(self, action, meta):
        logux_add({'type': 'announced', 'text': action['text']}, {'channels': ['counter']})


class Broken(ActionCommand):
    action_type = 'BREAK'

    def access(self, action, meta):
        return True

    def process(self, action, meta):
        raise RuntimeError('this always fails')


for command in (Increment, Announce, Broken):
    logux.actions.register(command)
logux.channels.register(Counter)

if __name__ == '__main__':
    from django.core.management import execute_from_command_line

    port = sys.argv[1] if len(sys.argv) > 1 else '8000'
    execute_from_command_line([sys.argv[0], 'runserver', f'127.0.0.1:{port}', '--noreload'])

"""Changes the requests of scripts/api-fuzz where a description has no words for what is meant."""

import hashlib
import itertools
import time

import schemathesis

KEY = "Idempotency-Key"
LONGEST_KEY = 255
LONGEST_OPENID = 128
MOST_STOCK = 1_000_000_000
# More than all orders of a run hold.
ROOM = 10_000_000

# Those of earlier runs are still there.
RUN = f"{time.time_ns():x}"
openids = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    key_for_this_body(case)
    body = case.body
    if isinstance(body, dict):
        if (case.method.upper(), case.path) == ("POST", "/order"):
            openid_of_its_own(body)
        elif case.path == "/seckill/reset":
            room_for_what_is_held(body)


def key_for_this_body(case):
    """Gives each body keys of its own.

    A key that was used with another body is refused, rightly, and would be taken for a well-formed request that
    was not taken. The same body with the same key stays the same request: a retry.
    """
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY and all("!" <= character <= "~" for character in key):
        body = hashlib.sha256(repr(case.body).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        case.headers[KEY] = (body + key)[:LONGEST_KEY]


def openid_of_its_own(body):
    """An openid that another order has is refused, rightly."""
    openid = body.get("openid")
    if isinstance(openid, str) and 0 < len(openid) <= LONGEST_OPENID:
        body["openid"] = f"{RUN}-{next(openids)}-{openid}"[:LONGEST_OPENID]


def room_for_what_is_held(body):
    """Units left and units held cannot be more than a sale may have together."""
    count = body.get("count")
    if isinstance(count, int) and MOST_STOCK - ROOM < count <= MOST_STOCK:
        body["count"] = count - ROOM

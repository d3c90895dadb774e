"""Changes the requests of scripts/api-fuzz where a description has no words for what is meant."""

import hashlib

import schemathesis

HEADER = "Idempotency-Key"
LONGEST = 255


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives each body keys of its own.

    A key that was used with another body is refused, rightly, and would be taken for a well-formed request that
    was not taken. The same body with the same key stays the same request: a retry.
    """
    key = (case.headers or {}).get(HEADER)
    if isinstance(key, str) and 0 < len(key) <= LONGEST and all("!" <= character <= "~" for character in key):
        body = hashlib.sha256(repr(case.body).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        case.headers[HEADER] = (body + key)[:LONGEST]

"""PyJWT's verdicts on the cases of `published.mjs`: the cases on stdin, an array of booleans on stdout."""

import json
import sys

import jwt


def accepts(case):
    try:
        keys = jwt.PyJWKSet.from_dict(case["set"]).keys
    except jwt.PyJWTError:
        return False
    for key in (key for key in keys if key.key_id == "k"):
        try:
            jwt.decode(case["token"], key.key, algorithms=[case["alg"]], issuer="bakery-auth")
            return True
        except Exception:
            continue
    return False


print(json.dumps([accepts(case) for case in json.load(sys.stdin)]))

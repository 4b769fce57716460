"""PyJWT's side of the interoperability test: one request as JSON on stdin, one answer on stdout."""

import json
import sys

import jwt

request = json.load(sys.stdin)
algorithm = request["algorithm"]

if request["do"] == "mint":
    key = request["secret"] if algorithm.startswith("HS") else request["private_pem"]
    print(jwt.encode(request["claims"], key, algorithm=algorithm, headers={"kid": request["kid"]}))
else:
    token = request["token"]
    if algorithm.startswith("HS"):
        key = request["secret"]
    else:
        keys = jwt.PyJWKSet.from_dict(request["jwks"])
        key = keys[jwt.get_unverified_header(token)["kid"]].key
    claims = jwt.decode(
        token, key, algorithms=[algorithm], issuer=request["issuer"], options={"require": ["exp", "iat", "iss", "sub", "jti"]}
    )
    print(json.dumps(claims))

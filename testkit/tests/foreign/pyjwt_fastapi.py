"""A service as one writes it with FastAPI and PyJWT, after their documentation.

    KEY=public.pem ALGORITHM=ES256 ISSUER=bakery-auth AUDIENCE=stock uvicorn pyjwt_fastapi:app
"""

import os

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

app = FastAPI()
KEY = open(os.environ["KEY"]).read()


def service(bearer: HTTPAuthorizationCredentials = Depends(HTTPBearer())):
    try:
        claims = jwt.decode(
            bearer.credentials,
            KEY,
            algorithms=[os.environ["ALGORITHM"]],
            issuer=os.environ["ISSUER"],
            audience=os.environ["AUDIENCE"],
        )
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "invalid token") from error
    if claims.get("type") != "service" or not claims.get("is_service"):
        raise HTTPException(403, "services only")
    if claims.get("service") != "orders" or "stock:read" not in claims.get("scope", "").split():
        raise HTTPException(403, "not this service")
    return claims


@app.get("/stock")
def stock(caller=Depends(service)):
    return {"loaves": 12}

"""The peer: the same function behind FastAPI, as fast as FastAPI lets it be.

The handler is a coroutine, so that no thread is involved, and the body is not validated.
"""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from measure import words

app = FastAPI()


@app.post("/v1/run")
async def serve(request: Request) -> JSONResponse:
    body = await request.json()
    return JSONResponse({"output": words.run(body["input"])})

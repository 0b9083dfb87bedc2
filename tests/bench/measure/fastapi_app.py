"""The peers: the same function behind FastAPI, as its tutorial writes it and as fast as FastAPI lets it be."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from measure import words

tutorial = FastAPI()
tuned = FastAPI()


class Input(BaseModel):
    text: str


class Call(BaseModel):
    input: Input


class Output(BaseModel):
    label: str
    score: int


class Answer(BaseModel):
    output: Output


@tutorial.post("/v1/run")
async def run(call: Call) -> Answer:
    """Models check what comes in and what goes out."""
    return Answer(output=Output(**words.run(call.input.model_dump())))


@tuned.post("/v1/run")
async def run_unchecked(request: Request) -> JSONResponse:
    """Neither is checked."""
    body = await request.json()
    return JSONResponse({"output": words.run(body["input"])})

"""A few items behind FastAPI, as its tutorial would write them: no entity tag, and HEAD is answered with 405."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: int


app = FastAPI()
items: dict[str, Item] = {}


@app.get("/items/{key}")
def read(key: str) -> Item:
    return items[key]


@app.put("/items/{key}")
def write(key: str, item: Item) -> Item:
    items[key] = item
    return item

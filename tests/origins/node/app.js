// Posts behind Express with its default settings: a weak entity tag, which is the length and the SHA-1 of the body.

'use strict';

const express = require('express');

const app = express();
const posts = new Map();

app.get('/posts/:key', (request, response) => {
  const post = posts.get(request.params.key);
  if (post === undefined) return response.sendStatus(404);
  return response.json(post);
});

app.put('/posts/:key', express.json(), (request, response) => {
  posts.set(request.params.key, request.body);
  response.sendStatus(204);
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

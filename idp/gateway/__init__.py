"""The gateway: lets a request through when its token says so.

Needs `jose`, `protocol`, uvicorn, httptools and the standard library: neither Flask nor a database.
Every shape (forward-auth, proxy, middleware) asks the one `Gate.decide`, and
every doubt is a refusal: a path with two readings, a route nobody wrote, keys too old to be believed.
"""

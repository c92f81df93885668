"""A gateway's file as a declaration for the provider: what it says of APIs, roles, exchanges and of itself."""

"""What `idp token explain` knows: why each claim is there, where keys come from, and what has ended a token."""

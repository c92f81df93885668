"""LDAP directories: a name and a password in, an Identity out. `idp.federation.ldap` is the wire below it."""

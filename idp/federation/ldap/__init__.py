"""The only door to ldap3: one line to one server, verified before anything is said on it.

What its defaults would do and is not done here: believe any certificate, wait for ever, and take the password to
whatever server a referral names.
"""

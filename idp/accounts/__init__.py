"""Who the user is: passwords, second factors, sessions, throttle, roles.

Plain Python over the store: no Flask, no request objects. argon2 only in passwords.py, pyotp only in totp.py.
"""

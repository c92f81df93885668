"""The one door to SQLAlchemy: one aggregate per file, each with its own query functions.

Every function takes the session first and the time where time matters. Absence is None; broken is an exception.
Whatever may be used once is claimed by one conditional statement. Columns called `client_id` hold the public
identifier everywhere (`client.client_id`), columns called `account_id` hold `account.id`.
"""

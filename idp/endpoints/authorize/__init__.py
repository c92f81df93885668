"""The authorization endpoint and the pages of a sign-in.

Law of this folder: steps never route to each other. Each ends with a 303 to `/authorize?signin=ID`, where
`flow.next_step` alone says what comes next.
`views > login | mfa | enrol | recovery | consent | respond > answer | entry > visit > flow`.
"""

from __future__ import annotations

from idp.endpoints.authorize import consent, elsewhere, enrol, link, login, mfa, recovery, views

blueprints = (
    views.blueprint,
    login.blueprint,
    mfa.blueprint,
    recovery.blueprint,
    enrol.blueprint,
    consent.blueprint,
    elsewhere.blueprint,
    link.blueprint,
)

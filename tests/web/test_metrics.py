"""Counters for Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from idp.store import client, event
from idp.web import housekeeping, metrics


def value(line_start):
    for line in metrics.render().decode().splitlines():
        if line.startswith(line_start + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_counts_what_is_issued_and_refused(http, service):
    issued = 'idp_tokens_issued_total{grant_type="client_credentials"}'
    refused = 'idp_refusals_total{endpoint="token.token",error="unsupported_grant_type"}'
    before = value(issued), value(refused)
    http.post("/token", data={"grant_type": "client_credentials"}, headers=service.basic)
    http.post("/token", data={"grant_type": "nonsense"}, headers=service.basic)
    assert (value(issued), value(refused)) == (before[0] + 1, before[1] + 1)


def test_no_label_comes_from_a_caller(http):
    http.get("/nowhere/canary-label")
    http.post("/token", data={"grant_type": "canary-label"})
    assert b"canary-label" not in metrics.render()


def test_the_metrics_are_not_on_the_public_port(http):
    assert http.get("/metrics").status_code == 404


def test_adds_up_over_processes(tmp_path):
    count = "from idp.web import metrics; metrics.issued('x'); metrics.signin('password', 'accepted')"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], check=True, env=environment)
    show = "from idp.web import metrics; print(metrics.render().decode())"
    told = subprocess.run([sys.executable, "-c", show], check=True, env=environment, capture_output=True, text=True)
    assert 'idp_tokens_issued_total{grant_type="x"} 2.0' in told.stdout


def test_counts_the_steps_of_a_sign_in_and_what_came_of_it(browser, web_app, alice):
    def counted():
        names = ("idp_signins_total{", "idp_authorizations_total ")
        lines = [line for line in metrics.render().decode().splitlines() if line.startswith(names)]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    before = counted()
    browser.log_in(browser.authorize(web_app), alice, password="wrong")
    browser.tokens(web_app, alice)
    more = {name: count - before.get(name, 0) for name, count in counted().items()}
    assert more['idp_signins_total{outcome="refused",step="password"}'] == 1
    assert more['idp_signins_total{outcome="accepted",step="password"}'] == 1
    assert more["idp_authorizations_total"] == 1


def test_says_how_far_gateways_are_and_when_one_is_gone(db):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    late = now - timedelta(seconds=40)
    with db.write() as tx:
        client.create(tx, client_id="web-app", name="Gateway", auth_method="none", now=now)
        event.open_stream(tx, "web-app", "one", now, since=now)
        event.open_stream(tx, "web-app", "two", now, since=now)
        event.tell(tx, "token", ["jti"], late, reason="test")
        event.acknowledge(tx, event.find_stream(tx, "web-app", "two").id, [each.id for each in events(tx, now)])
    housekeeping.tell_streams(db, now)
    assert value("idp_event_outbox") == 1
    assert value('idp_event_streams{client="web-app"}') == 2
    assert value('idp_events_waiting{client="web-app"}') == 1
    assert value('idp_event_lag_seconds{client="web-app"}') == 40
    with db.write() as tx:
        client.remove(tx, "web-app", now)
    housekeeping.tell_streams(db, now)
    assert value('idp_event_streams{client="web-app"}') == 0
    assert value('idp_event_lag_seconds{client="web-app"}') == 0


def events(tx, now):
    stream = event.find_stream(tx, "web-app", "two")
    return event.waiting(tx, stream.id, since=now - timedelta(hours=1), limit=10)

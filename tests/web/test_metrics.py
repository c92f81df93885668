"""Counters for Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys

from idp.web import metrics


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

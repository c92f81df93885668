from __future__ import annotations

import datetime as dt
import threading

from idp.store.background import Background, Job

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def test_a_job_runs_at_its_turn_and_not_before():
    ran = []
    work = Background(
        [Job(name="often", every=dt.timedelta(0), run=ran.append), Job(name="seldom", every=HOUR, run=ran.append)],
        clock=lambda: NOW,
        report=lambda *_: None,
    )
    work.turn()
    work.turn()
    assert ran == [NOW, NOW, NOW]


def test_a_job_that_fails_is_told_and_ends_no_other():
    told, ran = [], []

    def fail(_now):
        raise ZeroDivisionError

    work = Background(
        [Job(name="bad", every=HOUR, run=fail), Job(name="good", every=HOUR, run=ran.append)],
        clock=lambda: NOW,
        report=lambda name, error: told.append((name, type(error))),
    )
    work.turn()
    assert (told, ran) == ([("bad", ZeroDivisionError)], [NOW])


def test_the_thread_works_until_it_is_stopped():
    done = threading.Event()
    job = Job(name="job", every=dt.timedelta(0), run=lambda _now: done.set())
    work = Background([job], clock=lambda: NOW, report=lambda *_: None, tick=0.01)
    work.start()
    assert done.wait(5)
    work.stop()
    assert not any(thread.name == "background" for thread in threading.enumerate())


def test_what_never_began_can_be_stopped():
    Background([], clock=lambda: NOW, report=lambda *_: None).stop()

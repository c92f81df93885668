from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.gateway.lines import Place, line_of
from tests.gateway.policy.ground import toml

TEXT = '''
version = 1  # = [
"quoted key" = { a = 1, b.c = [1, 2] }
[table]  # [other]
x.y = """
[[routes]]
""" # more
'z"' = '{['
[[routes]]
id = "one"
list = [  # [
  1, { deep = "]" },
  [ '}',
    2 ],
]
[routes.inner]
here = true
[[routes]]
id = "two"
"es\\u0063\\U00000061\\"ped" = 1
[[routes.parts]]
p = 1
[[routes.parts]]
p = 2
[last]
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("version",), 2),
        (("quoted key", "b", "c", 1), 3),
        (("table",), 4),
        (("table", "x", "y"), 5),
        (("table", 'z"'), 8),
        (("routes", 0), 9),
        (("routes", 0, "list"), 11),
        (("routes", 0, "list", 1, "deep"), 12),
        (("routes", 0, "list", 2, 1), 14),
        (("routes", 0, "inner", "here"), 17),
        (("routes", 1), 18),
        (("routes", 1, 'esca"ped'), 20),
        (("routes", 1, "parts", 1, "p"), 24),
        (("last",), 25),
        (("routes", 1, "missing", "too"), 18),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_a_field_is_found_on_its_line(place, line):
    tomllib.loads(TEXT)
    assert line_of(TEXT, place) == line


def test_a_text_that_is_cut_off_is_still_walked_to_its_end():
    for length in range(len(TEXT)):
        assert line_of(TEXT[:length], ("nowhere",)) == 1


names = st.text(max_size=6)
values = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def places(value: object, place: Place) -> list[Place]:
    inside: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [place, *(found for step, each in inside for found in places(each, (*place, step)))]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(names, values), min_size=1, max_size=5, unique_by=lambda each: each[0]))
def test_whatever_tomllib_reads_is_found_on_its_line(fields):
    text = "\n".join(f"{toml(name)} = {toml(value)}" for name, value in fields)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # JSON has escapes that TOML lacks
        return
    for number, (name, _) in enumerate(fields, 1):
        for place in places(read[name], (name,)):
            assert line_of(text, place) == number

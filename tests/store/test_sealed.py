from __future__ import annotations

import os
import stat

import pytest

from idp.store.ids import new_id
from idp.store.sealed import (
    SealBroken,
    Sealer,
    UnsafeKeyFile,
    add_master_key,
    create_master_key,
    key_id,
    load_master_key,
)


def test_a_sealed_value_opens_in_its_place(sealer):
    assert sealer.open("totp", "seed", "1", sealer.seal("totp", "seed", "1", b"seed")) == b"seed"


@pytest.mark.attack("ST2")
@pytest.mark.parametrize("place", [("key", "seed", "1"), ("totp", "label", "1"), ("totp", "seed", "2")])
def test_a_value_moved_to_another_place_does_not_open(sealer, place):
    sealed = sealer.seal("totp", "seed", "1", b"seed")
    with pytest.raises(SealBroken):
        sealer.open(*place, sealed)


@pytest.mark.attack("ST2")
@pytest.mark.parametrize("index", [0, 8, 20, -1])
def test_a_changed_value_does_not_open(sealer, index):
    sealed = bytearray(sealer.seal("totp", "seed", "1", b"seed"))
    sealed[index] ^= 1
    with pytest.raises(SealBroken):
        sealer.open("totp", "seed", "1", bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(8), bytes(20)])
def test_what_was_never_sealed_does_not_open(sealer, sealed):
    with pytest.raises(SealBroken):
        sealer.open("totp", "seed", "1", sealed)


def test_a_cut_value_under_a_known_key_does_not_open(sealer):
    with pytest.raises(SealBroken):
        sealer.open("totp", "seed", "1", sealer.seal("totp", "seed", "1", b"seed")[:15])


def test_the_same_value_is_sealed_differently_each_time(sealer):
    assert sealer.seal("t", "c", "1", b"v") != sealer.seal("t", "c", "1", b"v")


@pytest.mark.attack("ST6")
def test_a_new_master_key_seals_and_the_old_one_still_opens(tmp_path):
    file = tmp_path / "master.key"
    create_master_key(file)
    before = load_master_key(file)
    old = before.seal("t", "c", "1", b"value")
    name = add_master_key(file)
    after = load_master_key(file)
    assert after.active == name
    assert after.open("t", "c", "1", old) == b"value"
    assert after.stale(old)
    assert not after.stale(after.seal("t", "c", "1", b"value"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_master_key_signs_nobody_out(tmp_path):
    file = tmp_path / "master.key"
    create_master_key(file)
    before = load_master_key(file).derive("flask")
    add_master_key(file)
    assert load_master_key(file).derive("flask") == before


def test_purposes_have_different_keys(sealer):
    assert sealer.derive("flask") != sealer.derive("refresh")
    assert len(sealer.derive("flask")) == 32


def test_the_key_file_is_for_its_owner_and_never_overwritten(tmp_path):
    file = tmp_path / "var" / "master.key"
    create_master_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_master_key(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_file_that_others_can_reach_is_refused(tmp_path, mode):
    file = tmp_path / "master.key"
    create_master_key(file)
    file.chmod(mode)
    with pytest.raises(UnsafeKeyFile, match="chmod 600"):
        load_master_key(file)


@pytest.mark.parametrize("text", ["", "\n", "not hex", "abcd", "zz" * 32])
def test_a_file_that_is_no_key_file_is_refused(tmp_path, text):
    file = tmp_path / "master.key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UnsafeKeyFile, match="master"):
        load_master_key(file)


def test_a_missing_key_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UnsafeKeyFile, match="idp key init"):
        load_master_key(tmp_path / "none")


def test_a_folder_is_no_key_file(tmp_path):
    with pytest.raises(UnsafeKeyFile, match="plain file"):
        load_master_key(tmp_path)


def test_the_active_key_must_be_there():
    key = os.urandom(32)
    with pytest.raises(UnsafeKeyFile):
        Sealer({key_id(key): key}, active="00" * 8)


def test_ids_are_sorted_by_time_and_unique():
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [each[:18] for each in made] == sorted(each[:18] for each in made)
    assert all(each[14] == "7" and each[19] in "89ab" for each in made)

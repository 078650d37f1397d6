"""What the protocols know of their clients."""

from __future__ import annotations

import random

import pytest

from harness.model import Caller
from harness.runtime.agenda import Agenda
from simulated_backends.iscsi.session import IscsiTarget, SessionTimes
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.profiles import ProfileError


def test_the_larger_wait_and_the_smaller_retain_win() -> None:
    """Time2Wait and Time2Retain are negotiated as RFC 7143 has it, and are 0 to 3600 s."""
    assert SessionTimes(2, 20).negotiated_with(SessionTimes(5, 0)) == SessionTimes(5, 0)
    with pytest.raises(ValueError, match="DefaultTime2Retain"):
        SessionTimes(2, 3601)


def test_the_loss_policy_of_lio_and_open_iscsi() -> None:
    """By default a lost session is noticed after 45 s, waits 2 s, retains nothing, and its jobs finish unseen."""
    testbed = IscsiTestbed(seed=1, options={})
    loss = testbed.profile.loss
    assert (loss.detection_ns, loss.time2wait_ns, loss.time2retain_ns) == (45 * 10**9, 2 * 10**9, 0)
    assert loss.then == "finish"
    testbed.close()


@pytest.mark.parametrize("end", ["nop_in", "nop_out"])
def test_both_ends_of_a_session_send_keep_alives(end: str) -> None:
    """An interval of 0 is refused by its name: without pings an end would never know that its session is lost."""
    with pytest.raises(ProfileError, match=f"{end}_interval_ns is 0; it must be at least 1"):
        IscsiTestbed(seed=1, options={f"{end}_interval_ns": 0})
    response = "nop_in_response_ns" if end == "nop_in" else "nop_out_timeout_ns"
    with pytest.raises(ProfileError, match=f"{response} is -1; it must be at least 0"):
        IscsiTestbed(seed=1, options={response: -1})
    IscsiTestbed(seed=1, options={f"{end}_interval_ns": 1, response: 0}).close()


def test_the_loss_policy_of_a_lease() -> None:
    """A lost NFS client is noticed when its lease of 90 s expires, and its jobs are stopped."""
    testbed = NfsTestbed(seed=1, options={})
    loss = testbed.profile.loss
    assert (loss.detection_ns, loss.time2wait_ns, loss.time2retain_ns, loss.then) == (90 * 10**9, 0, 0, "abort")
    testbed.close()


def test_each_login_is_an_i_t_nexus_of_its_own() -> None:
    """A nexus names both ports and not the address; two sessions of one initiator differ by their ISIDs."""
    target = IscsiTarget(Agenda(), "iqn.2010-10.org.openstack:primary", random.Random(1))
    first = target.log_in(Caller("iqn.1993-08.org.debian:a", "alice", "192.0.2.1"))
    second = target.log_in(Caller("iqn.1993-08.org.debian:a", "alice", "192.0.2.1"))
    assert first != second and target.known() == 2
    assert first.startswith("iqn.1993-08.org.debian:a,i,0x80") and first.endswith(":primary,t,0x0001")
    assert "192.0.2.1" not in first

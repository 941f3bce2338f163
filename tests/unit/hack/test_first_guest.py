"""What the bench of a first guest reads: audit events become counts, libvirt's log becomes a command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from kit import steps
from kit.first_guest import figures, writes
from kit.first_guest.writes import Row
from kit.start import qemu_line

OPERATOR = "system:serviceaccount:innkeeper-system:innkeeper-operator"
AGENT = "system:serviceaccount:host-a:agent"
LOG = r"""2026-11-25 04:40:18.083+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.22
LC_ALL=C \
/usr/bin/qemu-system-x86_64 \
-name guest=old \
-S
2026-11-25 04:40:22.037+0000: shutting down, reason=crashed
2026-11-25 04:41:18.083+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.22
LC_ALL=C \
HOME=/var/lib/libvirt/qemu/domain-4 \
/usr/bin/qemu-system-x86_64 \
-name guest=new \
-S \
-object '{"qom-type":"secret","id":"masterKey0","file":"/var/lib/libvirt/master-key.aes"}' \
-object '{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864}' \
-display none \
-nodefaults \
-chardev socket,id=charmonitor,fd=28,server=on,wait=off \
-mon chardev=charmonitor,id=monitor,mode=control \
-netdev '{"type":"tap","fd":"30","id":"hostnet0"}' \
-add-fd set=0,fd=29,opaque=serial0-log \
-chardev socket,id=charchannel0,fd=31,server=on,wait=off \
-chardev pty,id=charserial0,logfile=/dev/fdset/0,logappend=on \
-msg timestamp=on
char device redirected to /dev/pts/0 (label charserial0)
"""


def an_event(user: str, verb: str, resource: str, **more: Any) -> dict[str, Any]:
    about = {"resource": resource, **({"subresource": more["sub"]} if "sub" in more else {})}
    status = {"code": more.get("code", 200)}
    return {"user": {"username": user}, "verb": verb, "objectRef": about, "responseStatus": status}


def test_refused_writes_count_and_heartbeats_do_not() -> None:
    counted = writes.count(
        [
            an_event(OPERATOR, "create", "ipaddresses", code=201),
            an_event(OPERATOR, "patch", "guests", sub="status", code=409),
            an_event(OPERATOR, "create", "events", code=201),
            an_event(OPERATOR, "patch", "ippools", sub="status"),
            an_event(AGENT, "patch", "assignments", sub="status"),
            an_event(AGENT, "patch", "hostagents", sub="status"),
            an_event(AGENT, "update", "leases"),
            an_event(OPERATOR, "create", "tokenreviews", code=201),
        ]
    )
    assert (counted.of_guests, counted.of_counters) == (5, 1)
    assert counted.refused == {Row("operator", "patch", "guests/status"): 1}
    assert Row("agents", "patch", "assignments/status") in counted.rows(apart=False)
    assert {row.kind for row in counted.rows(apart=True)} == {"hostagents/status", "leases", "tokenreviews"}


@pytest.mark.parametrize(
    "user",
    [
        "innkeeper-trial-admin",
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:default:agent",
        "system:serviceaccount:host-a:other",
    ],
)
def test_strangers_are_not_counted(user: str) -> None:
    assert writes.count([an_event(user, "create", "guests")]).of_guests == 0


def test_a_line_that_is_still_written_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    whole = json.dumps(an_event(OPERATOR, "create", "ipaddresses"))
    log.write_text(f"{whole}\n{whole}\n{whole[:20]}")
    assert len(list(writes.read(log))) == 2
    assert len(list(writes.read(log, since=len(whole) + 1))) == 1


def test_the_same_machine_is_started_without_what_libvirt_hands_over() -> None:
    command = qemu_line.by_hand(qemu_line.last_line(LOG), monitor="/run/m", tap="by-hand")
    assert command == [
        "/usr/bin/qemu-system-x86_64",
        *("-name", "guest=new"),
        *("-object", '{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864}'),
        *("-display", "none"),
        "-nodefaults",
        *("-chardev", "socket,id=charmonitor,path=/run/m,server=on,wait=off"),
        *("-mon", "chardev=charmonitor,id=monitor,mode=control"),
        *("-netdev", "tap,id=hostnet0,ifname=by-hand,script=no,downscript=no"),
        *("-chardev", "null,id=charchannel0"),
        *("-chardev", "pty,id=charserial0"),
        *("-msg", "timestamp=on"),
    ]


def test_a_log_without_a_start_is_told() -> None:
    with pytest.raises(steps.StepError, match="no command line"):
        qemu_line.last_line("nothing yet\n")


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert [figures.percentile(hundred, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert figures.percentile([7.0], 99) == 7.0

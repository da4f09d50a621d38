"""An AE title is believed from the machines and certificates that it is bound to."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from dicom_node.node.acceptor_plan import acceptor_plan
from dicom_node.receive.access import (
    AccessRefusal,
    Binding,
    Bindings,
    Caller,
    access_refusal,
    certificate_names,
    names_in,
    plain_name,
)
from dicom_node.settings.load import load
from dicom_node.settings.self_test import TEST_TITLE

OWN = "10.1.2.9"


def bound(
    *hosts: str, names: tuple[str, ...] | None = None, is_here: bool = False
) -> Binding:
    return Binding(
        networks=tuple(map(ip_network, hosts)) if hosts else None,
        names=None if names is None else frozenset(map(plain_name, names)),
        is_here=is_here,
    )


def refused(binding: Binding, address: str, *names: str) -> AccessRefusal | None:
    caller = Caller(address=address, own_address=OWN, names=frozenset(names))
    return access_refusal("PACS", caller, {"PACS": (binding,)})


def test_the_title_of_the_nodes_own_test_is_believed_from_this_machine_alone(
    root: Path,
) -> None:
    settings = load(root / "config" / "node.yaml", analyses=["lumbar-mri"])
    plan = acceptor_plan(settings, 0, 1)
    for address, why in ((OWN, None), ("10.1.2.3", AccessRefusal.HOST)):
        caller = Caller(address=address, own_address=OWN)
        assert access_refusal(TEST_TITLE, caller, plan.options.bindings) is why
    assert TEST_TITLE in (plan.options.calling_aes or ())


def test_a_title_that_is_not_bound_is_free() -> None:
    bindings: Bindings = {"OTHER": (bound("10.0.0.1"),)}
    caller = Caller(address="192.0.2.1", own_address=OWN)
    assert access_refusal("PACS", caller, bindings) is None


@pytest.mark.parametrize(
    ("network", "address", "is_allowed"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.2.0/24", "10.1.2.255", True),
        ("10.1.2.0/24", "10.1.3.0", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.1.2.3", "::ffff:10.1.2.3", True),
    ],
)
def test_the_address_lies_in_a_network(
    network: str, address: str, is_allowed: bool
) -> None:
    assert (refused(bound(network), address) is None) is is_allowed


def test_one_of_several_networks_is_enough() -> None:
    binding = bound("10.1.2.3", "10.2.0.0/16")
    assert refused(binding, "10.2.9.9") is None
    assert refused(binding, "10.3.9.9") is AccessRefusal.HOST


def test_host_and_certificate_must_both_hold() -> None:
    binding = bound("10.1.2.3", names=("PACS.example",))
    assert refused(binding, "10.1.2.3", "pacs.example", "more") is None
    assert refused(binding, "10.1.2.4", "pacs.example") is AccessRefusal.HOST
    assert refused(binding, "10.1.2.3", "mr.example") is AccessRefusal.CERTIFICATE
    assert refused(binding, "10.1.2.3") is AccessRefusal.CERTIFICATE


def test_of_two_peers_with_one_title_one_must_hold_wholly() -> None:
    bindings = {
        "PACS": (bound("10.1.2.3", names=("a",)), bound("10.1.2.4", names=("b",)))
    }

    def told(address: str, name: str) -> AccessRefusal | None:
        names = frozenset({name})
        caller = Caller(address=address, own_address=OWN, names=names)
        return access_refusal("PACS", caller, bindings)

    assert told("10.1.2.3", "a") is None
    assert told("10.1.2.4", "b") is None
    assert told("10.1.2.4", "a") is AccessRefusal.CERTIFICATE


@pytest.mark.parametrize(
    ("address", "is_here"),
    [("127.0.0.1", True), ("::1", True), (OWN, True), ("10.1.2.8", False)],
)
def test_what_is_this_machine(address: str, is_here: bool) -> None:
    assert (refused(bound(is_here=True), address) is None) is is_here


def subject(name: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    return ((("organizationName", "Hospital"),), (("commonName", name),))


@pytest.mark.parametrize(
    ("alternative", "names"),
    [
        ((), {"pacs"}),
        ((("IP Address", "10.1.2.3"),), {"10.1.2.3", "pacs"}),
        ((("IP Address", "2001:DB8:0:0:0:0:0:1"),), {"2001:db8::1", "pacs"}),
        ((("DNS", "PACS.Example"),), {"pacs.example"}),
        ((("DNS", "*.example"), ("URI", "urn:x")), {"*.example", "urn:x"}),
        ((("DirName", subject("x")),), {"pacs"}),
    ],
)
def test_the_names_of_a_certificate(
    alternative: tuple[tuple[str, str], ...], names: set[str]
) -> None:
    found = names_in({"subject": subject("PACS"), "subjectAltName": alternative})
    assert found == names


def test_a_wildcard_stands_for_itself_alone() -> None:
    assert refused(bound(names=("pacs.example",)), OWN, "*.example") is not None


def test_without_tls_nobody_has_a_name() -> None:
    assert certificate_names(object()) == frozenset()
    assert names_in({}) == frozenset()

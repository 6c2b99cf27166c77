"""The files of TLS: which of them is wrong, and what would be right."""

from pathlib import Path

import pytest
import trustme

from gateway.carriers.sip.tls import UnusableFile, client_context, server_context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    ours, others = authority.issue_cert("gateway.example"), authority.issue_cert("other.example")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    ours.cert_chain_pems[0].write_to_path(folder / "ours.pem")
    ours.private_key_pem.write_to_path(folder / "ours.key")
    ours.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    others.private_key_pem.write_to_path(folder / "others.key")
    (folder / "no.pem").write_text("gateway\n")
    return folder


@pytest.mark.parametrize(("certificate", "key"), [("ours.pem", "ours.key"), ("both.pem", "both.pem")])
def test_a_certificate_and_its_key_can_be_used(files: Path, certificate: str, key: str):
    server_context(files / certificate, files / key)
    client_context(authority=files / "ca.pem", certificate=files / certificate, key=files / key)


@pytest.mark.parametrize(
    ("certificate", "key", "what", "right"),
    [
        ("none", "ours.key", "certificate", "cannot be read: No such file or directory"),
        (".", "ours.key", "certificate", "cannot be read: Is a directory"),
        ("no.pem", "ours.key", "certificate", "expected a PEM file with certificates"),
        ("ours.pem", "none", "key", "cannot be read: No such file or directory"),
        ("ours.pem", "no.pem", "key", "expected a PEM file with the private key of sip.certificate"),
        ("ours.pem", "others.key", "key", "expected a PEM file with the private key of sip.certificate"),
    ],
)
def test_of_a_certificate_and_a_key_that_which_is_wrong_is_named(
    files: Path, certificate: str, key: str, what: str, right: str
):
    with pytest.raises(UnusableFile, match=right) as raised:
        server_context(files / certificate, files / key)

    assert raised.value.what == what


@pytest.mark.parametrize(
    ("authority", "right"),
    [
        ("none", "cannot be read: No such file or directory"),
        ("no.pem", "expected a PEM file with certificates"),
    ],
)
def test_those_who_are_to_be_trusted_are_named_where_they_cannot_be_read(
    files: Path, authority: str, right: str
):
    with pytest.raises(UnusableFile, match=right) as raised:
        client_context(authority=files / authority)

    assert raised.value.what == "ca"

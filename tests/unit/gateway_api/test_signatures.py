"""Signatures as the Standard Webhooks specification has them."""

from caudal.gateway_api.domain.signatures import signature


def test_the_example_of_the_specification() -> None:
    secret = "whsec_plJ3nmyCDGBKInavdOK15jsl"
    body = b'{"event_type":"ping","data":{"success":true}}'
    assert signature(secret, "msg_loFOjxBNrRLzqYUf", "1731705121", body) == (
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
    )
